"""CatCMA with margin: CMA-ES on real axes and steps, and a categorical distribution on names.

Hamano, Saito, Nomura, Uchida and Shirakawa, "CatCMA with margin: stochastic optimization for
continuous, integer, and categorical variables", arXiv 2504.07884, as the library `cmaes` has it
(read there, not in the paper). Restarts: Auger and Hansen, "A restart CMA evolution strategy with
increasing population size", CEC 2005.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.evolutionary.cmaes_library import CatCMAwM
from hpobench_llm.optimizers.evolutionary.mixed import MixedSpace
from hpobench_llm.space import Configuration

SIGMA = 0.3  # of the range, as `cmaes` has it here


@contextmanager
def silent() -> Iterator[None]:
    """Hide what the library divides by zero where all losses of a generation are equal."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def kernel(
    mixed: MixedSpace, start: Configuration, seed: int, population: int | None = None
) -> CatCMAwM:
    """Return the library's distribution around a configuration, names equally likely."""
    mean = mixed.mean(start)
    width = len(mean)
    return CatCMAwM(
        **mixed.lists,
        mean=mean if width else None,
        cov=np.eye(width) * SIGMA**2 if width else None,
        population_size=population,
        seed=seed,
    )


class CatCma(SingleObjectiveOptimizer):
    """`cmaes.CatCMAwM` with the library's defaults, but for where it begins.

    These are `4 + floor(3 ln d)` trials a generation, a margin of one over d for steps and names,
    and a penalty for points beyond the ends of a real axis. The encoding is that of `MixedSpace`.

    Deviations: the first mean is the best of the initial design, where there is one (`ask` waits
    for it), else a uniform draw, and the first step size 0.3 of the range, as for `cmaes`; the
    library begins in the centre with a tenth. When it says that it should stop, which it never
    does on names alone, it starts again from another draw with twice the population. A generation
    is complete when as many outcomes are known, whichever generation they were asked in: no worker
    waits. A configuration that was moved before it was evaluated is told as it was evaluated. A
    failed trial has the metric's worst value. A configuration may come again.

    Raises:
        MissingDependencyError: cmaes is not installed.
        OptimizerError: more than one objective.
    """

    seeding = "seeds of CatCMAwM from a NumPy generator"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._mixed = MixedSpace(self.space)
        self._start = self.space.sample(self._rng)
        self._start_loss = float("inf")  # the loss at the start, if it is the best of a design
        self._cma: CatCMAwM | None = None
        self._restarts = 0
        self._under_way: dict[int, tuple[int, Any]] = {}
        self._generation: list[tuple[Any, float]] = []

    def suggest(self, number: int) -> Suggestion | None:
        """Return a draw from the distribution; None while an initial design runs."""
        if self._mixed.empty:
            return Suggestion(self._start)
        if self._cma is None:
            if self._running:
                return None
            self._cma = self._begin(self._start, None)
        solution = self._cma.ask()
        self._under_way[number] = self._restarts, solution
        return Suggestion(self._mixed.config(solution))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Collect a generation, then move the distribution."""
        loss = evaluation.loss(self.objective)
        restart, solution = self._under_way.pop(trial.number, (None, None))
        if restart is None and loss < self._start_loss:  # of an initial design
            self._start, self._start_loss = trial.config, loss
        # What was asked for before a restart belongs to another distribution.
        if self._cma is None or restart != self._restarts:
            return
        self._generation.append((self._mixed.moved(solution, trial.config), loss))
        if len(self._generation) < self._cma.population_size:
            return
        with silent():
            self._cma.tell(self._generation)
            # On names alone the library's test would only warn.
            converged = bool(self._mixed.x or self._mixed.z) and self._cma.should_stop()
        self._generation = []
        if converged:
            self._restarts += 1
            draw = self.space.sample(self._rng)
            self._cma = self._begin(draw, 2 * self._cma.population_size)

    def _begin(self, start: Configuration, population: int | None) -> CatCMAwM:
        return kernel(self._mixed, start, int(self._rng.integers(2**31)), population)
