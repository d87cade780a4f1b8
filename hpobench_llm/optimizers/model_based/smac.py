"""SMAC's optimization of hyperparameters with a random forest. Our own code.

Hutter, Hoos and Leyton-Brown, "Sequential model-based optimization for general algorithm
configuration", LION 2011; Lindauer et al., "SMAC3: a versatile Bayesian optimization package for
hyperparameter optimization", JMLR 23, 2022. The settings are those of version 2.4's
`HyperparameterOptimizationFacade`.

The library itself is not among the optimizers: smac 2.4.1 installs beside all others, but its
trials follow the order of Python's sets. With equal seeds it asks for other configurations where
`PYTHONHASHSEED` is another, from the first trials of its forest on, so that no replay repeats.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats.qmc import Sobol

from hpobench_llm.optimizers.encoding import Points, columns, decode
from hpobench_llm.optimizers.model_based.base import ModelBased
from hpobench_llm.optimizers.model_based.candidates import best_unseen, uniform
from hpobench_llm.optimizers.model_based.climbing import climb
from hpobench_llm.optimizers.model_based.forest import Forest
from hpobench_llm.optimizers.model_based.history import Losses
from hpobench_llm.space import Configuration

Array = NDArray[np.float64]


class SmacRf(ModelBased):
    """Fits a random forest to the logarithm of the losses and maximises expected improvement.

    Defaults of the facade: a scrambled Sobol sequence of 10 trials an axis, but no more than a
    quarter of the budget; every fifth trial or so a uniform draw; 10 trees, each of as many
    trials, drawn with repetition, split on all axes until the leaves are pure. Losses are scaled
    so that the logarithm spreads the best 5 %, see `log_scaled`. The expected improvement is that
    of the loss, whose logarithm is normal with the trees' mean and variance, over the lowest mean
    among the trials. Of 10,000 uniform draws (or the whole space if it is smaller) the best 10,
    and of the trials the 10 best by improvement and the 10 best by mean, begin a local search; the
    best point of all searches that was not asked for before is next.

    Deviations: a local search looks at four neighbours on every axis at once and moves to the
    best of them, until none was better ten times; SMAC's moves to the first that is better, and
    adapts its step, which here stays at the 0.05 where SMAC's begins. On an ordinal axis a
    neighbour is one step up or down, on a categorical axis any name. The forest sees a
    categorical axis as one column a name. It is fitted anew for every suggestion, with new
    bootstraps, where SMAC's waits for 8 more trials (`retrain_after`). No configuration is run
    more than once, as the intensifier would do with several seeds. As in SMAC running trials are
    not looked at. A failed trial has the worst loss of those that did not fail, where SMAC's crash
    cost is infinite unless it is set.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        OptimizerError: more than one objective.
    """

    trees: ClassVar[int] = 10
    draws: ClassVar[int] = 10_000
    starts: ClassVar[int] = 10
    random_share: ClassVar[float] = 0.2

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self.startup_trials = max(1, min(10 * len(self.space), self.budget // 4))
        self._sequence = Sobol(len(self.space), rng=self.rng)

    def first(self) -> Configuration:
        """Return the next point of the sequence."""
        return decode(self.space, self._sequence.random(1)[0])

    def propose(self) -> Configuration:
        """Return a uniform draw, or the point of the largest improvement that was found."""
        if self.rng.random() < self.random_share:
            return self.space.sample(self.rng)
        evaluated = self.history.points
        inputs = columns(self.space, evaluated)
        forest = Forest.fit(inputs, log_scaled(self.history.losses), self.trees, self.rng)
        means, _ = forest.predict(inputs)

        def score(points: Points) -> Array:
            mean, variance = forest.predict(columns(self.space, points))
            return improvement_of_logs(float(means.min()), mean, variance)

        drawn = uniform(self.space, self.draws, self.rng)
        begin = np.vstack(
            (
                drawn[np.argsort(-score(drawn), kind="stable")[: self.starts]],
                evaluated[np.argsort(-score(evaluated), kind="stable")[: self.starts]],
                evaluated[np.argsort(means, kind="stable")[: self.starts]],
            )
        )
        # From the best draws, and from the trials that promise most or seem best.
        points, scores = climb(self.space, begin, score, self.rng)
        return best_unseen(self.space, points, scores, self.history.seen, self.rng)


def log_scaled(losses: Losses) -> Losses:
    """Return the logarithms of losses `(n,)` that are scaled to end at 1.

    The value that becomes 0 lies as far below the best as the best lies below the 5 % quantile.
    """
    best, worst = float(losses.min()), float(losses.max())
    if worst <= best:
        return np.zeros(len(losses))
    # A little below, so that the best itself is never 0, which has no logarithm.
    zero = 2.0 * best - float(np.quantile(losses, 0.05)) - 1e-10 * (worst - best)
    logs: Losses = np.log((losses - zero) / (worst - zero))
    return logs


def improvement_of_logs(best: float, mean: Array, variance: Array) -> Array:
    """Return the expected improvement of a value whose logarithm is normal, over `exp(best)`.

    Equation 3 of Hutter, Hoos, Leyton-Brown and Murphy, "An experimental investigation of
    model-based parameter optimisation: SPO and beyond", GECCO 2009.
    """
    deviation = np.sqrt(np.maximum(variance, 1e-10))
    z = (best - mean) / deviation
    gain: Array = np.exp(best) * ndtr(z)
    gain -= np.exp(0.5 * deviation**2 + mean) * ndtr(z - deviation)
    return gain
