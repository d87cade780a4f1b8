"""A portfolio: configurations that together are good on every related task.

Wistuba, Schilling and Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015,
as Salinas et al. ("Syne Tune", AutoML 2022) have it. Our own code.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


class ZeroShot(SingleObjectiveOptimizer):
    """Asks for the configurations of the sources in the order of `portfolio`; learns nothing.

    Each source's losses are scaled to [0, 1] by its best and its worst sound loss; a failed
    configuration has 1, and a source without a sound one is left out. A configuration that a
    source lacks has there the loss of the nearest one that it has, in the unit cube with equal
    cells (a categorical axis: one column a name). When all are asked for, uniform draws follow.

    Deviations: the paper fills gaps by a surrogate for each source; it stops where its portfolio
    is as long as the budget, which is the same.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        tried = {config_id(config) for config in self._design}
        configs, scaled = scaled_losses(self.space, self.sources, self.objective)
        order = (configs[row] for row in portfolio(scaled, self.budget))
        self._portfolio = deque(config for config in order if config_id(config) not in tried)

    def suggest(self, number: int) -> Suggestion:
        """Return the next of the portfolio."""
        if self._portfolio:
            return Suggestion(self._portfolio.popleft())
        return Suggestion(self.space.sample(self._rng))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""


def portfolio(scaled: NDArray[np.float64], length: int) -> list[int]:
    """Return up to `length` columns of `scaled` (tasks, configurations), the best portfolio first.

    Each is the one that lowers the average over the tasks of the best loss so far the most: the
    greedy choice. Ties, and all that cannot lower it any more, go by their own average loss, then
    by their place.
    """
    tasks, count = scaled.shape
    if not tasks:
        return []
    own = scaled.mean(axis=0)
    best = np.ones((tasks, 1))
    order: list[int] = []
    left = np.ones(count, dtype=np.bool_)
    while len(order) < min(length, count):
        reached = np.where(left, np.minimum(best, scaled).mean(axis=0), np.inf)
        # Sums of equal terms may differ in the last digit, which is no reason to prefer one.
        ties = np.flatnonzero(reached <= reached.min() + 1e-12)
        chosen = int(ties[np.argmin(own[ties])])
        order.append(chosen)
        left[chosen] = False
        best = np.minimum(best, scaled[:, [chosen]])
    return order


def scaled_losses(
    space: Space, sources: Sequence[Source], objective: Metric
) -> tuple[list[Configuration], NDArray[np.float64]]:
    """Return all configurations of the sources, and their scaled losses (tasks, configurations).

    See `ZeroShot`. Of a configuration that stands twice in a source its first row counts.
    """
    found = {config_id(config): config for source in sources for config in source.configs}
    configs = list(found.values())
    wanted = _points(space, configs)
    rows = []
    for source in sources:
        values = losses(source, (objective,))[:, 0]
        if np.isfinite(values).any():
            low, high = np.nanmin(values), np.nanmax(values)
            scaled = np.where(np.isnan(values), 1.0, (values - low) / ((high - low) or 1.0))
            known = _points(space, source.configs)
            near = [np.argmin(((known - point) ** 2).sum(axis=1)) for point in wanted]
            rows.append(scaled[near])
    return configs, np.array(rows).reshape(len(rows), len(configs))


def _points(space: Space, configs: Sequence[Configuration]) -> Points:
    return columns(space, np.array([encode(space, config) for config in configs]))
