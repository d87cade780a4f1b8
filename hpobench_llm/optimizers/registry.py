"""Optimizers by name; a module is imported only when its optimizer is built.

A name may go on with what is put around the optimizer, from the inside out:
`NAME+WRAPPER[:VALUE]+...`, such as `tpe-optuna+warm-start:3+stop-no-improve`.
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import OptimizerError, UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Source
from hpobench_llm.optimizers.catalogue import ENTRIES, WRAPPERS
from hpobench_llm.optimizers.entry import Entry, Wrapper
from hpobench_llm.space import Configuration, Space


def list_optimizers() -> dict[str, Entry]:
    """Return the optimizers by name."""
    return dict(ENTRIES)


def list_wrappers() -> dict[str, Wrapper]:
    """Return what can be put around an optimizer, by name."""
    return dict(WRAPPERS)


def entry(name: str) -> Entry:
    """Return what is known of an optimizer, with what its name puts around it.

    Raises:
        UnknownNameError, OptimizerError: as `check_name`.
    """
    plain, wrappers = _parse(name)
    found = ENTRIES[plain]
    for wrapper, _ in wrappers:
        found = wrapper.around(found)
    return found


def check_name(name: str, where: str = "") -> None:
    """Refuse the name of an optimizer that cannot be built.

    Raises:
        UnknownNameError: there is no such optimizer or wrapper.
        OptimizerError: a wrapper's value is not what it takes.
    """
    _parse(name, where)


def build(
    name: str,
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
    """Build the optimizer `name`; the arguments are those of `Optimizer`.

    Raises:
        UnknownNameError: there is none of that name.
        MissingDependencyError: its library is not installed.
        OptimizerError: it cannot take this space or these objectives.
    """
    if entry(name).transfer and not sources:
        raise OptimizerError(f"{name} learns from related tasks: it needs at least one source")
    plain, wrappers = _parse(name)
    make = _load(ENTRIES[plain].target)
    for wrapper, value in wrappers:
        make = partial(_load(wrapper.target), make, value)
    optimizer: Optimizer = make(
        space=space,
        objectives=objectives,
        fidelities=fidelities,
        budget=budget,
        seed=seed,
        sources=sources,
        initial=initial,
        constraints=constraints,
    )
    return optimizer


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(f"hpobench_llm.optimizers.{module}"), attribute)


def _parse(name: str, where: str = "") -> tuple[str, list[tuple[Wrapper, int | float]]]:
    plain, *parts = name.split("+")
    if plain not in ENTRIES:
        raise UnknownNameError("optimizer", plain, ENTRIES, where)
    place = f"{where}: {name}" if where else name
    wrappers = []
    for part in parts:
        key, colon, text = part.partition(":")
        if key not in WRAPPERS:
            raise UnknownNameError("wrapper of an optimizer", key, WRAPPERS, place)
        value = WRAPPERS[key].read(text if colon else None, f"{place}: {key}")
        wrappers.append((WRAPPERS[key], value))
    return plain, wrappers
