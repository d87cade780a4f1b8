"""Copula Thompson sampling: what loss, as a quantile of its task, a configuration tends to have.

Salinas, Shen and Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML
2020. The regression is scikit-learn's random forest.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import Points, columns, decode, encode
from hpobench_llm.optimizers.model_based.candidates import uniform
from hpobench_llm.optimizers.transfer.knowledge import losses
from hpobench_llm.space import config_id

try:
    from sklearn.ensemble import RandomForestRegressor
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise MissingDependencyError(
        "scikit-learn", "surrogate", "the optimizer 'quantile-transfer'"
    ) from None

Array = NDArray[np.float64]


class QuantileTransfer(SingleObjectiveOptimizer):
    """Draws a loss for every candidate from what the sources predict, and asks for the lowest.

    The losses of each source become `normal_scores`, so that tasks of any scale can be learned
    together: a random forest (100 trees, leaves of 3) on all sources predicts mean and deviation
    of a configuration's score. It does not learn of the target's outcomes: that is the paper's
    CTS (its GCP goes on to model them), in the form that Syne Tune has.

    A configuration that failed has the worst rank of its source. A source without a sound
    evaluation is left out; where there is no other, draws are uniform.

    Deviations: the paper fits a neural network with a mean and a deviation; the forest's
    deviation is that between its trees and within their leaves. The candidates are drawn once,
    2000 or the whole space if it is smaller, and not anew for each trial; what was tried is not
    asked for again until all were.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        OptimizerError: more than one objective.
    """

    draws: ClassVar[int] = 2000

    def set_up(self) -> None:
        """Fit the forest and predict every candidate."""
        self._rng = np.random.default_rng(self.seed)
        points = uniform(self.space, self.draws, self._rng)
        self._configs = [decode(self.space, point) for point in points]
        self._indices = {config_id(config): index for index, config in enumerate(self._configs)}
        self._mean, self._deviation = self._predicted(points)
        self._tried = np.zeros(len(points), dtype=np.bool_)
        for config in self._design:
            self._try(config_id(config))

    def suggest(self, number: int) -> Suggestion:
        """Return the candidate of the lowest draw."""
        if self._tried.all():  # a small space begins anew
            self._tried[:] = False
        drawn = self._mean + self._deviation * self._rng.standard_normal(len(self._mean))
        index = int(np.argmin(np.where(self._tried, np.inf, drawn)))
        self._tried[index] = True
        return Suggestion(dict(self._configs[index]))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember that the configuration was tried; ignore the outcome."""
        self._try(config_id(trial.config))

    def _try(self, name: str) -> None:
        if name in self._indices:
            self._tried[self._indices[name]] = True

    def _predicted(self, points: Points) -> tuple[Array, Array]:
        inputs, targets = [], []
        for source in self.sources:
            source_losses = losses(source, (self.objective,))[:, 0]
            if np.isfinite(source_losses).any():
                inputs += [encode(self.space, config) for config in source.configs]
                targets.append(normal_scores(source_losses))
        if not inputs:
            return np.zeros(len(points)), np.ones(len(points))
        forest = RandomForestRegressor(
            100, min_samples_leaf=3, random_state=int(self._rng.integers(2**31))
        )
        forest.fit(columns(self.space, np.array(inputs)), np.concatenate(targets))
        return mean_and_deviation(forest, columns(self.space, points))


def normal_scores(losses: Array) -> Array:
    """Return losses `(n,)` as standard normal quantiles of their ranks; NaN has the worst rank.

    Ties share their mean rank. Ranks divided by n are kept off 0 and 1 by `delta = 1 / (4
    n^(1/4) sqrt(pi log n))`, as in the paper.
    """
    count = len(losses)
    if count < 2:
        return np.zeros(count)
    ranks = rankdata(np.nan_to_num(losses, nan=np.inf)) / count
    delta = 1.0 / (4.0 * count**0.25 * np.sqrt(np.pi * np.log(count)))
    scores: Array = ndtri(np.clip(ranks, delta, 1.0 - delta))
    return scores


def mean_and_deviation(forest: RandomForestRegressor, inputs: Points) -> tuple[Array, Array]:
    """Return a forest's mean and deviation `(m,)`: between its trees and within their leaves."""
    leaves = forest.apply(inputs)  # (m, trees)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    means = np.array([t.value[leaf, 0, 0] for t, leaf in zip(trees, leaves.T, strict=True)])
    within = np.array([t.impurity[leaf] for t, leaf in zip(trees, leaves.T, strict=True)])
    # The impurity of a leaf of equal targets may be a rounding error below 0.
    variance = means.var(axis=0) + np.maximum(within, 0.0).mean(axis=0)
    return means.mean(axis=0), np.sqrt(variance)
