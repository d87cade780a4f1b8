"""Optimizers by name; a module is imported only when its optimizer is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from hpobench_llm.errors import UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.space import Configuration, Space

Family = Literal[
    "random", "direct search", "evolutionary", "local search", "model-based", "multi-fidelity"
]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an optimizer lives and what it can do.

    Args:
        target: module and class.
        family: how it searches; `random` never learns from an outcome.
        distribution: the library that does the work; empty if the code is our own.
        summary: a few words for a listing.
        objectives: `one`: exactly one; `several`: any number from one on.
        fidelity: it runs trials in part, so the benchmark needs a fidelity axis.
        constraints: it takes constraints into account.
        transfer: it learns from `sources`.
        sequential: it asks for one trial at a time, however many workers there are.
        ends: it repeats no configuration of a finite space and asks for nothing when none is left.
    """

    target: str
    family: Family
    distribution: str
    summary: str
    objectives: Literal["one", "several"] = "one"
    fidelity: bool = False
    constraints: bool = False
    transfer: bool = False
    sequential: bool = False
    ends: bool = False

    @property
    def installed(self) -> str | None:
        """The installed version of `distribution`; None if there is none, or not installed."""
        try:
            return version(self.distribution) if self.distribution else None
        except PackageNotFoundError:
            return None

    def columns(self) -> dict[str, str | bool | None]:
        """Return what a listing shows, as plain JSON values."""
        shown = {slot: getattr(self, slot) for slot in self.__slots__ if slot != "target"}
        return shown | {"installed": self.installed}


_ENTRIES = {
    "random": Entry(
        "random_search:RandomSearch",
        "random",
        "",
        "independent uniform draws",
        objectives="several",
    ),
    "sobol": Entry("sobol:Sobol", "random", "scipy", "scrambled sequence", objectives="several"),
    "grid": Entry(
        "grid:Grid",
        "random",
        "",
        "shuffled, 10 values of a continuous axis",
        objectives="several",
        ends=True,
    ),
    "nomad": Entry(
        "nomad:Nomad",
        "direct search",
        "PyNomadBBO",
        "mesh adaptive direct search",
        sequential=True,
        ends=True,
    ),
    "nomad-mo": Entry(
        "nomad_mo:NomadMo",
        "direct search",
        "PyNomadBBO",
        "DMulti-MADS",
        objectives="several",
        sequential=True,
        ends=True,
    ),
    "cmaes": Entry("cma_es:CmaEs", "evolutionary", "cmaes", "CMA-ES with margin, restarts"),
    "de": Entry(
        "differential_evolution:DifferentialEvolution",
        "evolutionary",
        "",
        "DE/rand/1/bin, population 20",
    ),
    "regularized-evolution": Entry(
        "regularized_evolution:RegularizedEvolution",
        "evolutionary",
        "",
        "the oldest dies, population 100",
    ),
    "nsga2": Entry(
        "nsga2:Nsga2", "evolutionary", "pymoo", "NSGA-II, population 20", objectives="several"
    ),
    "local-search-mo": Entry(
        "local_search:LocalSearchMo",
        "local search",
        "",
        "neighbours of the Pareto front",
        objectives="several",
    ),
    "tpe-nni": Entry(
        "tpe_nni:TpeNni", "model-based", "nni", "NNI's TPE, 20 random starts", ends=True
    ),
    "tpe-optuna": Entry(
        "tpe_optuna:TpeOptuna", "model-based", "optuna", "Optuna's TPE, 10 random starts"
    ),
    "motpe": Entry(
        "tpe_optuna:Motpe",
        "model-based",
        "optuna",
        "Optuna's TPE by hypervolume, 10 random starts",
        objectives="several",
    ),
    "random-scalarisation": Entry(
        "random_scalarisation:RandomScalarisation",
        "model-based",
        "optuna",
        "new weights for every trial, then TPE",
        objectives="several",
    ),
    "parego": Entry(
        "parego:Parego",
        "model-based",
        "scikit-learn",
        "Gaussian process on random weights",
        objectives="several",
    ),
    "successive-halving": Entry(
        "successive_halving:SuccessiveHalving",
        "multi-fidelity",
        "",
        "synchronous, eta 3",
        fidelity=True,
    ),
    "hyperband": Entry(
        "successive_halving:Hyperband",
        "multi-fidelity",
        "",
        "synchronous brackets, eta 3",
        fidelity=True,
    ),
    "asha": Entry(
        "asha:Asha", "multi-fidelity", "", "asynchronous, by promotion, eta 3", fidelity=True
    ),
    "asha-stopping": Entry(
        "asha:AshaStopping",
        "multi-fidelity",
        "",
        "asynchronous, by stopping, eta 3",
        fidelity=True,
    ),
    "moasha": Entry(
        "moasha:MoAsha",
        "multi-fidelity",
        "",
        "ASHA by non-dominated fronts, eta 3",
        objectives="several",
        fidelity=True,
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
