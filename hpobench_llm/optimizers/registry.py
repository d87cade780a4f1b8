"""Optimizers by name; a module is imported only when its optimizer is built."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import HpobenchError, OptimizerError, UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Source
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.optimizers.plugins import Plugin, find_plugins
from hpobench_llm.space import Configuration, Space

_HOME = "hpobench_llm.optimizers."


class _Registry(Mapping[str, Entry]):
    """The package's optimizers, then the plug-ins, each imported when its entry is read."""

    @cached_property
    def plugins(self) -> dict[str, Plugin]:
        """The plug-ins by name: not looked for before a name is not one of the package's."""
        return find_plugins(ENTRIES)

    def __getitem__(self, name: str) -> Entry:
        return ENTRIES[name] if name in ENTRIES else self.plugins[name].entry

    def __contains__(self, name: object) -> bool:
        return name in ENTRIES or name in self.plugins

    def __iter__(self) -> Iterator[str]:
        yield from ENTRIES
        yield from self.plugins

    def __len__(self) -> int:
        return len(ENTRIES) + len(self.plugins)


_REGISTRY = _Registry()


def list_optimizers() -> Mapping[str, Entry]:
    """Return the optimizers by name, plug-ins included; a plug-in's entry imports its module."""
    return _REGISTRY


def check_name(name: str, where: str = "") -> None:
    """Raise `UnknownNameError` unless an optimizer of this name exists."""
    if name not in _REGISTRY:
        raise UnknownNameError("optimizer", name, _REGISTRY, where)


def entry(optimizer: str | type[Optimizer]) -> Entry:
    """Return what an optimizer can do, by its name or its class.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if isinstance(optimizer, str):
        check_name(optimizer)
        return _REGISTRY[optimizer]
    home = f"{optimizer.__module__}:{optimizer.__qualname__}".removeprefix(_HOME)
    return next((e for e in ENTRIES.values() if e.target == home), optimizer.entry)


def build(
    optimizer: str | type[Optimizer],
    *,
    space: Space,
    objectives: Sequence[Metric],
    fidelities: Sequence[Fidelity] = (),
    budget: int,
    seed: int,
    sources: Sequence[Source] = (),
    initial: Sequence[Configuration] = (),
    constraints: Sequence[Constraint] = (),
) -> Optimizer:
    """Build an optimizer by its name or its class; the arguments are those of `Optimizer`.

    Raises:
        UnknownNameError: there is none of that name.
        MissingDependencyError: its library is not installed.
        OptimizerError: it cannot take this space or these objectives, is no optimizer, or failed.
    """
    cls = _class_of(optimizer)
    name = optimizer if isinstance(optimizer, str) else cls.__name__
    if entry(optimizer).transfer and not sources:
        raise OptimizerError(f"{name} learns from related tasks: it needs at least one source")
    try:
        return cls(space, objectives, fidelities, budget, seed, sources, initial, constraints)
    except HpobenchError:
        raise
    except (Exception, SystemExit) as error:
        raise OptimizerError(
            f"{name} could not be built: {type(error).__name__}: {error}"
        ) from error


def _class_of(optimizer: str | type[Optimizer]) -> type[Optimizer]:
    if not isinstance(optimizer, str):
        cls = optimizer
        if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
            raise OptimizerError(f"a name or class of an optimizer is expected, got {cls!r}")
    elif optimizer in ENTRIES:
        module, _, attribute = ENTRIES[optimizer].target.partition(":")
        cls = getattr(import_module(f"{_HOME}{module}"), attribute)
    else:
        check_name(optimizer)
        cls = _REGISTRY.plugins[optimizer].load()
    if cls.ask is not Optimizer.ask or cls.tell is not Optimizer.tell:
        raise OptimizerError(
            f"{cls.__module__}.{cls.__qualname__} has an `ask` or a `tell` of its own: budget, "
            "numbers and checks are kept in these; write `suggest` and `learn`"
        )
    return cls
