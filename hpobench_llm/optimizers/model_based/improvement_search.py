"""The search of a Gaussian process for the largest expected improvement.

How `gp`, `cei` and `parego` fit a process to what was evaluated and look for the next trial.
"""

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.optimizers.encoding import Point, Points, columns
from hpobench_llm.optimizers.model_based.candidates import around, uniform
from hpobench_llm.optimizers.model_based.expected_improvement import log_expected_improvement
from hpobench_llm.optimizers.model_based.gaussian_process import (
    GaussianProcess,
    gaussian,
    matern,
)
from hpobench_llm.optimizers.model_based.history import Losses, warped
from hpobench_llm.space import Space

DRAWS = 2000
NEIGHBOURS = 250
STEPS = 250
MODELLED = 200
KERNELS = (gaussian, matern)


def fitted(space: Space, points: Points, targets: Losses) -> GaussianProcess:
    """Return the process fitted to targets `(n,)` at `points (n, d)` of a space.

    It sees the unit cube with equal cells, a categorical axis as one column a name. Its kernel and
    hyperparameters are the most plausible that are found.
    """
    inputs = columns(space, points)
    fits = [GaussianProcess.fit(inputs, targets, kernel) for kernel in KERNELS]
    return max(fits, key=lambda process: process.plausibility)


class ImprovementSearch:
    """Fits a process and scores candidates by the logarithm of their expected improvement."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng

    def candidates(self, best: Point) -> Points:
        """Return 2000 uniform draws, or the whole space if it is smaller, and 500 near `best`."""
        drawn = uniform(self._space, DRAWS, self._rng)
        return np.vstack((drawn, around(self._space, best, NEIGHBOURS, STEPS, self._rng)))

    def scores(
        self,
        points: Points,
        losses: Losses,
        running: Points,
        candidates: Points,
        eligible: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float64]:
        """Return the logarithm of each candidate's expected improvement, `(m,)`.

        The improvement is over the lowest mean among the trials, since outcomes are noisy. Losses
        are `warped`; a running trial counts as if its outcome were the mean (kriging believer).
        Beyond 200 trials the process sees the 100 best and 100 random others.

        Args:
            points: what was evaluated, `(n, d)`.
            losses: lower is better, `(n,)`.
            running: what is being evaluated, `(k, d)`.
            candidates: `(m, d)`.
            eligible: which trials may be the best, `(n,)`, at least one; None: all.
        """
        eligible = np.ones(len(losses), dtype=np.bool_) if eligible is None else eligible
        # Ordered by loss, those that may be the best first.
        rows = thinned(np.lexsort((losses, ~eligible)), self._rng)
        process = fitted(self._space, points[rows], warped(losses)[rows])
        if len(running):
            process = process.believing(columns(self._space, running))
        means, _ = process.predict(process.inputs)
        # Running trials, believed at their means, may be the best too.
        best = means[np.concatenate((eligible[rows], np.ones(len(running), dtype=np.bool_)))].min()
        mean, deviation = process.predict(columns(self._space, candidates))
        return log_expected_improvement(float(best), mean, deviation)


def thinned(order: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return which trials a process is fitted to; `order` has all of them, the best first.

    All of them up to `MODELLED`; of more the best `MODELLED / 2`, and as many random others.
    """
    if len(order) <= MODELLED:
        return order
    half = MODELLED // 2
    return np.concatenate((order[:half], rng.choice(order[half:], half, replace=False)))
