"""A portfolio: configurations that together are good on every related task.

Wistuba, Schilling and Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015,
as Salinas et al. ("Syne Tune", AutoML 2022) have it. Our own code.
"""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import (
    SingleObjectiveOptimizer,
    Source,
    Suggestion,
    Trial,
)
from hpobench_llm.optimizers.encoding import Points, columns, encode
from hpobench_llm.optimizers.transfer.knowledge import losses
from hpobench_llm.space import Configuration, Space, config_id

Scores = NDArray[np.float64]


def ranks(values: Scores) -> Scores:
    """Return each task's ranks of its losses (tasks, configurations), ties sharing their mean."""
    ranked: Scores = rankdata(values, axis=1)
    return ranked


def scaled(values: Scores) -> Scores:
    """Return each task's losses from 0, its best, to 1, its worst sound one; a failed one is 1."""
    finite = np.where(np.isfinite(values), values, np.nan)  # infinite: failed
    low, high = np.nanmin(finite, axis=1), np.nanmax(finite, axis=1)
    spread = np.where(high > low, high - low, 1.0)
    return np.where(np.isfinite(values), (values - low[:, None]) / spread[:, None], 1.0)


class ZeroShot(SingleObjectiveOptimizer):
    """Asks for the configurations of the sources in the order of `portfolio`; learns nothing.

    What is averaged over the sources is the rank of a configuration in each, as in Syne Tune.
    A failed configuration is the worst, and a source without a sound one is left out. A
    configuration that a source lacks has there the loss of the nearest one that it has, in the
    unit cube with equal cells (a categorical axis: one column a name). When all are asked for,
    uniform draws follow.

    Deviations: the paper fills gaps by a surrogate for each source, Syne Tune by one or not at
    all; it stops where its portfolio is as long as the budget, which is the same.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        tried = {config_id(config) for config in self._design}
        configs, values = filled_losses(self.space, self.sources, self.objective)
        # Configurations of the initial design come before, and are not asked for again.
        order = (configs[row] for row in portfolio(values, self.budget, self.scored))
        self._portfolio = deque(config for config in order if config_id(config) not in tried)

    @staticmethod
    def scored(values: Scores) -> Scores:
        """Return what is averaged over the sources."""
        return ranks(values)

    def suggest(self, number: int) -> Suggestion:
        """Return the next of the portfolio."""
        if self._portfolio:
            return Suggestion(self._portfolio.popleft())
        return Suggestion(self.space.sample(self._rng))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""


class ZeroShotScaled(ZeroShot):
    """The same of losses that are scaled to [0, 1] in each source, in place of ranks.

    So how much worse a configuration is counts, and not only how many are better.
    """

    @staticmethod
    def scored(values: Scores) -> Scores:
        """Return what is averaged over the sources."""
        return scaled(values)


def portfolio(values: Scores, length: int, scored: Callable[[Scores], Scores]) -> list[int]:
    """Return up to `length` columns of losses (tasks, configurations), the best portfolio first.

    It is built greedily: the next column is the one that most lowers the best score so far,
    averaged over the tasks; of several the first. When none lowers it, a new portfolio begins
    among the remaining columns, scored anew, as in Syne Tune.
    """
    order: list[int] = []
    remaining = np.arange(values.shape[1])
    while len(values) and len(remaining) and len(order) < length:
        scores = scored(values[:, remaining])
        best = np.full((len(values), 1), np.inf)
        picks: list[int] = []
        while np.any(scores < best) and len(order) + len(picks) < length:
            reached = np.minimum(best, scores).mean(axis=0)
            # Sums of equal terms may differ in the last digit, which is no reason to prefer one.
            picks.append(int(np.flatnonzero(reached <= reached.min() + 1e-12)[0]))
            best = np.minimum(best, scores[:, picks[-1:]])
        order += remaining[picks].tolist()
        remaining = np.delete(remaining, picks)
    return order


def filled_losses(
    space: Space, sources: Sequence[Source], objective: Metric
) -> tuple[list[Configuration], Scores]:
    """Return all configurations of the sources, and their losses (tasks, configurations).

    See `ZeroShot`; a failed one is infinite. Of duplicates in a source the first row counts.
    """
    distinct = {config_id(config): config for source in sources for config in source.configs}
    configs = list(distinct.values())
    points = _points(space, configs)
    rows = []
    for source in sources:
        values = losses(source, (objective,))[:, 0]
        if np.isfinite(values).any():
            source_points = _points(space, source.configs)
            nearest = [np.argmin(((source_points - point) ** 2).sum(axis=1)) for point in points]
            rows.append(np.where(np.isnan(values), np.inf, values)[nearest])
    return configs, np.array(rows).reshape(len(rows), len(configs))


def _points(space: Space, configs: Sequence[Configuration]) -> Points:
    return columns(space, np.array([encode(space, config) for config in configs]))
