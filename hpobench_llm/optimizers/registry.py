"""Optimizers by name; a module is imported only when its optimizer is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hpobench_llm.errors import UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.space import Configuration, Space


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an optimizer lives and what a listing says of it."""

    target: str
    family: str
    library: str
    summary: str


_ENTRIES = {
    "random": Entry("random_search:RandomSearch", "random", "", "independent uniform draws"),
    "nomad": Entry("nomad:Nomad", "direct search", "PyNomadBBO", "mesh adaptive direct search"),
    "tpe-nni": Entry("tpe_nni:TpeNni", "model-based", "nni", "NNI's TPE, 20 random starts"),
    "tpe-optuna": Entry(
        "tpe_optuna:TpeOptuna", "model-based", "optuna", "Optuna's TPE, 10 random starts"
    ),
    "successive-halving": Entry(
        "successive_halving:SuccessiveHalving", "multi-fidelity", "", "synchronous, eta 3"
    ),
    "hyperband": Entry(
        "successive_halving:Hyperband", "multi-fidelity", "", "synchronous brackets, eta 3"
    ),
    "asha": Entry("asha:Asha", "multi-fidelity", "", "asynchronous, by promotion, eta 3"),
    "asha-stopping": Entry(
        "asha:AshaStopping", "multi-fidelity", "", "asynchronous, by stopping, eta 3"
    ),
}


def list_optimizers() -> dict[str, Entry]:
    """Return the optimizers by name."""
    return dict(_ENTRIES)


def check_name(name: str, where: str = "") -> None:
    """Raise `UnknownNameError` unless an optimizer of this name exists."""
    if name not in _ENTRIES:
        raise UnknownNameError("optimizer", name, _ENTRIES, where)


def build(
    name: str,
    *,
    space: Space,
    objectives: Sequence[Metric],
    fidelities: Sequence[Fidelity] = (),
    budget: int,
    seed: int,
    sources: Any = None,
    initial: Sequence[Configuration] = (),
) -> Optimizer:
    """Build the optimizer `name`; the arguments are those of `Optimizer`.

    Raises:
        UnknownNameError: there is none of that name.
        MissingDependencyError: its library is not installed.
        OptimizerError: it cannot take this space or these objectives.
    """
    check_name(name)
    module, _, attribute = _ENTRIES[name].target.partition(":")
    cls = getattr(import_module(f"hpobench_llm.optimizers.{module}"), attribute)
    optimizer: Optimizer = cls(space, objectives, fidelities, budget, seed, sources, initial)
    return optimizer
