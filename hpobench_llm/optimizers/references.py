"""Optimizers by where their class lies, `module:Class`, without a package that names them.

A module is imported as Python would, so that other processes can import it too. A class of a
script that runs (`__main__`) goes by the script's name. One that was typed in, in a notebook or at
a prompt, lies in `__main__` and nowhere else: this process alone knows it.
"""

import sys
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from pkgutil import iter_modules

from hpobench_llm.errors import ConfigurationError, nearest, shown
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.entry import Entry

MAIN = "__main__"
_GIVEN: dict[str, type[Optimizer]] = {}  # the classes that this process was handed, by reference


def is_reference(name: str) -> bool:
    """Return whether a name, without its wrappers, says where a class lies."""
    return ":" in name


def module_of(reference: str) -> str:
    """Return the module of a reference."""
    return reference.partition(":")[0]


def reference_to(cls: type[Optimizer]) -> str:
    """Return the reference of a class, by which this process knows it from then on.

    Raises:
        ConfigurationError: it is no optimizer's class, or lies where no import reaches it.
    """
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ConfigurationError(f"a name or class of an optimizer is expected, got {shown(cls)}")
    # Workers are other processes, and find a class by its name in a module.
    if "<locals>" in cls.__qualname__:
        raise ConfigurationError(
            f"{cls.__qualname__} is made inside a function, where no import reaches it; define it "
            "at the top of its module"
        )
    module = _script() if cls.__module__ == MAIN else cls.__module__
    reference = f"{module}:{cls.__qualname__}"
    _GIVEN[reference] = cls
    return reference


def class_at(reference: str) -> type[Optimizer]:
    """Return the class that a reference names; its module is imported.

    Raises:
        ConfigurationError: there is none, it is no optimizer's, or its module cannot be imported.
    """
    if reference in _GIVEN:
        return _GIVEN[reference]
    module, _, attribute = reference.partition(":")
    # What was typed in lives in one process: no other can import it.
    if module == MAIN:
        raise ConfigurationError(
            f"{reference}: was typed into another session; write the class into a file that can "
            "be imported"
        )
    try:
        home = import_module(module)
    except (Exception, SystemExit) as error:
        # A module that is there may fail on one that is not: these are two mistakes.
        lacking = error.name if isinstance(error, ModuleNotFoundError) else None
        if lacking and f"{module}.".startswith(f"{lacking}."):
            close = get_close_matches(lacking, _modules_beside(lacking), n=1, cutoff=0.7)
            why = f"there is no module {lacking}, neither beside the study's file nor installed"
            why += nearest(lacking, close) if close else ""
        else:
            why = f"{module} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigurationError(f"{reference}: {why}") from None
    try:
        cls = attrgetter(attribute)(home)
    except AttributeError:
        classes = [name for name, value in vars(home).items() if isinstance(value, type)]
        raise ConfigurationError(
            f"{reference}: {module} has no {attribute!r}{nearest(attribute, classes)}"
        ) from None
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ConfigurationError(f"{reference}: is no subclass of Optimizer: {shown(cls)}")
    return cls


def entry_at(reference: str) -> Entry:
    """Return what a class says of itself; the work is done by its own module.

    Raises:
        ConfigurationError: as `class_at`.
    """
    entry = class_at(reference).entry
    return replace(
        entry, target=reference, distribution=entry.distribution or module_of(reference)
    )


def _modules_beside(module: str) -> list[str]:
    """Return the modules of a module's package, or those that have none; or what is no package."""
    parent = module.rpartition(".")[0]
    if not parent:
        return [info.name for info in iter_modules()]
    package = getattr(sys.modules.get(parent), "__path__", None)
    return [parent] if package is None else [f"{parent}.{i.name}" for i in iter_modules(package)]


def _script() -> str:
    """Return the module that `__main__` is to other processes; `__main__` where it is none."""
    main = sys.modules[MAIN]
    if main.__spec__ is not None:  # python -m package.module
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    if file is None:
        return MAIN
    path = Path(file).resolve()
    # Another module of that name may come first on the path: then it would be that one's class.
    spec = find_spec(path.stem) if path.stem.isidentifier() else None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
        raise ConfigurationError(
            f"{path}: other processes cannot import it as `{path.stem}`; move the optimizer into "
            "a module that can be imported"
        )
    return path.stem
