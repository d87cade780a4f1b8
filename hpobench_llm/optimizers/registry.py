"""Optimizers by name; a module is imported only when its optimizer is built.

A name may go on with what is put around the optimizer, from the inside out:
`NAME+WRAPPER[:VALUE]+...`, such as `tpe-optuna+warm-start:3+stop-no-improve`. A name with a colon,
`my_module:MyClass`, says where a class lies: see `references`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from importlib import import_module
from typing import Any

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import HpobenchError, OptimizerError, UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Source
from hpobench_llm.optimizers.catalogue import ENTRIES, WRAPPERS
from hpobench_llm.optimizers.entry import Entry, Wrapper
from hpobench_llm.optimizers.plugins import Plugin, find_plugins
from hpobench_llm.optimizers.references import class_at, entry_at, is_reference, reference_to
from hpobench_llm.space import Configuration, Space

_HOME = "hpobench_llm.optimizers."


class _Registry(Mapping[str, Entry]):
    """The package's optimizers, then the plug-ins, each imported when its entry is read."""

    @cached_property
    def plugins(self) -> dict[str, Plugin]:
        """The plug-ins by name; looked for once a name is none of the package's own."""
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

    def __repr__(self) -> str:
        return f"<{len(self)} optimizers: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        import pandas as pd  # which no optimizer needs

        rows = {name: entry.columns() for name, entry in self.items()}
        return pd.DataFrame.from_dict(rows, orient="index").to_html()


_REGISTRY = _Registry()


def list_optimizers() -> Mapping[str, Entry]:
    """Return the optimizers by name, plug-ins included; a plug-in's entry imports its module.

    Example:
        >>> list_optimizers()["asha"].fidelity
        True
    """
    return _REGISTRY


def list_wrappers() -> dict[str, Wrapper]:
    """Return what can be put around an optimizer, by name."""
    return dict(WRAPPERS)


def entry(optimizer: str | type[Optimizer]) -> Entry:
    """Return the entry of an optimizer by its name, wrappers included, or of a class.

    Raises:
        UnknownNameError, OptimizerError: as `check_name`, or it is neither a name nor a class.
    """
    if not isinstance(optimizer, str):
        _check_class(optimizer)
        home = f"{optimizer.__module__}:{optimizer.__qualname__}".removeprefix(_HOME)
        # A class of the package by where it lies: its own `entry` is empty.
        return next((e for e in ENTRIES.values() if e.target == home), optimizer.entry)
    plain, wrappers = _parse(optimizer)
    described = entry_at(plain) if is_reference(plain) else _REGISTRY[plain]
    for wrapper, _ in wrappers:
        described = wrapper.around(described)
    return described


def check_name(name: str, where: str = "") -> None:
    """Refuse the name of an optimizer that cannot be built.

    Raises:
        UnknownNameError: there is no such optimizer or wrapper.
        OptimizerError: a wrapper's value is not what it takes.
        ConfigurationError: there is no class where the name says that it lies.
    """
    plain, _ = _parse(name, where)
    if is_reference(plain):
        class_at(plain)


def name_of(optimizer: str | type[Optimizer]) -> str:
    """Return the name by which `build` finds an optimizer again: of a class where it lies.

    Raises:
        ConfigurationError: as `reference_to`.
    """
    if isinstance(optimizer, str):
        return optimizer
    home = f"{getattr(optimizer, '__module__', '')}:{getattr(optimizer, '__qualname__', '')}"
    ours = (n for n, e in ENTRIES.items() if e.target == home.removeprefix(_HOME))
    return next(ours, None) or reference_to(optimizer)


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

    Example:
        >>> from hpobench_llm import load
        >>> benchmark = load("toy-bowl")
        >>> task = {"space": benchmark.space, "objectives": (benchmark.metrics["val_loss"],)}
        >>> optimizer = build("sobol", budget=4, seed=0, **task)
        >>> optimizer.ask().number
        0

    Raises:
        UnknownNameError: there is none of that name.
        MissingDependencyError: its library is not installed.
        OptimizerError: it cannot take this space or these objectives, is no optimizer, or failed.
    """
    cls, wrappers = _parse(optimizer) if isinstance(optimizer, str) else (optimizer, [])
    make: Callable[..., Optimizer] = _class_of(cls)
    # From the inside out: each wrapper takes what builds the optimizer inside of it.
    for wrapper, value in wrappers:
        make = partial(_load(wrapper.target), make, value)
    name = optimizer if isinstance(optimizer, str) else optimizer.__name__
    if entry(optimizer).transfer and not sources:
        raise OptimizerError(f"{name} learns from related tasks: it needs at least one source")
    try:
        return make(
            space=space,
            objectives=objectives,
            fidelities=fidelities,
            budget=budget,
            seed=seed,
            sources=sources,
            initial=initial,
            constraints=constraints,
        )
    except HpobenchError:
        raise
    except (Exception, SystemExit) as error:
        raise OptimizerError(
            f"{name} could not be built: {type(error).__name__}: {error}"
        ) from error


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(f"{_HOME}{module}"), attribute)


def _check_class(cls: object) -> None:
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise OptimizerError(f"a name or class of an optimizer is expected, got {cls!r}")


def _class_of(optimizer: str | type[Optimizer]) -> type[Optimizer]:
    cls: Any = optimizer
    if isinstance(optimizer, str):
        if is_reference(optimizer):
            cls = class_at(optimizer)
        elif optimizer in ENTRIES:
            cls = _load(ENTRIES[optimizer].target)
        else:
            cls = _REGISTRY.plugins[optimizer].load()
    else:
        _check_class(cls)
    # `final` is for type checkers alone: a plug-in could go round the checks of both.
    if cls.ask is not Optimizer.ask or cls.tell is not Optimizer.tell:
        raise OptimizerError(
            f"{cls.__module__}.{cls.__qualname__} has an `ask` or a `tell` of its own: budget, "
            "numbers and checks are kept in these; write `suggest` and `learn`"
        )
    optimizer_class: type[Optimizer] = cls
    return optimizer_class


def _parse(name: str, where: str = "") -> tuple[str, list[tuple[Wrapper, int | float]]]:
    plain, *parts = name.split("+")
    if not is_reference(plain) and plain not in _REGISTRY:
        raise UnknownNameError("optimizer", plain, _REGISTRY, where)
    context = f"{where}: {name}" if where else name
    wrappers = []
    for part in parts:
        key, colon, text = part.partition(":")
        if key not in WRAPPERS:
            raise UnknownNameError("wrapper of an optimizer", key, WRAPPERS, context)
        value = WRAPPERS[key].read(text if colon else None, f"{context}: {key}")
        wrappers.append((WRAPPERS[key], value))
    return plain, wrappers
