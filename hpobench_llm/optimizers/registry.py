"""Optimizers by name; a module is imported only when its optimizer is built."""

from collections.abc import Sequence
from importlib import import_module

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import OptimizerError, UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Source
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.space import Configuration, Space


def list_optimizers() -> dict[str, Entry]:
    """Return the optimizers by name."""
    return dict(ENTRIES)


def check_name(name: str, where: str = "") -> None:
    """Raise `UnknownNameError` unless an optimizer of this name exists."""
    if name not in ENTRIES:
        raise UnknownNameError("optimizer", name, ENTRIES, where)


def entry(name: str) -> Entry:
    """Return what is known of an optimizer; `UnknownNameError` if there is none of that name."""
    check_name(name)
    return ENTRIES[name]


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
    check_name(name)
    if ENTRIES[name].transfer and not sources:
        raise OptimizerError(f"{name} learns from related tasks: it needs at least one source")
    module, _, attribute = ENTRIES[name].target.partition(":")
    cls = getattr(import_module(f"hpobench_llm.optimizers.{module}"), attribute)
    optimizer: Optimizer = cls(
        space, objectives, fidelities, budget, seed, sources, initial, constraints
    )
    return optimizer
