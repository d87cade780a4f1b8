"""Which axes matter on a benchmark: their shares of the variance of a metric's losses.

Hutter, Hoos and Leyton-Brown (2014), An efficient approach for assessing hyperparameter
importance. For a full grid the shares are exact. For a space that cannot be listed they are
Sobol's indices of the benchmark's answers, estimated as Saltelli et al. (2010) do; for a part of a
grid they are Sobol's indices of a forest that was fitted on it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import sobol_indices, uniform

from hpobench_llm.errors import ConfigurationError, MissingDependencyError, NotMeasuredError
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Configuration, Space
from hpobench_llm.tables.anova import full_grid, shares_alone, total_shares

SAMPLES = 2**10  # of as many queries as there are axes, plus two
TREES = 100
LEAST = 8  # configurations: of fewer, no share is estimated

FloatArray = NDArray[np.float64]


def importance(
    name: str,
    space: Space,
    metric: Metric,
    configs: list[Configuration],
    values: FloatArray,
    ask: Callable[[list[Configuration]], FloatArray],
) -> pd.DataFrame:
    """Return for each axis its share of the variance `alone` and with interactions, `total`.

    A run without a value, or with one that is worse than the metric's worst, counts as the worst.

    Args:
        name: of the benchmark.
        space: of its configurations.
        metric: the metric of the values.
        configs: configurations with an answer; for a grid all that were measured.
        values: `(n,)` in own units; NaN for a run that is not ok.
        ask: returns the same for any configurations of a space that cannot be listed.

    Raises:
        ConfigurationError: axes that sum to one have no shares of their own.
        NotMeasuredError: too few configurations, or all have one loss.
        MissingDependencyError: there is no grid, and no library that fits a forest.
    """
    losses = _bounded(metric, values)
    if len(losses) < LEAST or not losses.var():
        raise NotMeasuredError(
            f"{name}: {metric.name} does not differ between {len(losses)} configurations, so no "
            "axis has a share"
        )
    if space.finite and (complete := full_grid(space, configs, losses)) is not None:
        names, grid = complete
        return _frame(names, shares_alone(grid), total_shares(grid))
    if space.simplexes:
        raise ConfigurationError(
            f"{name}: axes that sum to one cannot vary alone, and not all of their combinations "
            "were measured, so they have no shares"
        )
    predict = _forest(space, configs, losses) if space.finite else None

    def losses_at(units: FloatArray) -> FloatArray:
        points = space.from_unit(units.T)
        if predict is not None:
            return predict(space.to_unit(points))
        return _bounded(metric, ask(points))

    bounds: Any = [uniform()] * len(space)
    indices = sobol_indices(func=losses_at, n=SAMPLES, dists=bounds, rng=np.random.default_rng(0))
    return _frame(list(space.names), indices.first_order, indices.total_order)


def _bounded(metric: Metric, values: FloatArray) -> FloatArray:
    worst = metric.to_loss(metric.worst)
    losses = metric.losses(values)
    return np.where(np.isfinite(losses), np.minimum(losses, worst), worst)


def _forest(
    space: Space, configs: list[Configuration], losses: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """Fit a forest on configurations; returns its predictions for points of the unit cube."""
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise MissingDependencyError(
            "scikit-learn", "surrogate", "importance where a grid is not whole"
        ) from None
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
    forest.fit(space.to_unit(configs), losses)
    predict: Callable[[FloatArray], FloatArray] = forest.predict
    return predict


def _frame(names: list[str], alone: FloatArray, total: FloatArray) -> pd.DataFrame:
    # Estimates of Sobol's indices may lie outside their range by chance.
    shares = {"alone": np.clip(alone, 0, 1), "total": np.clip(total, 0, 1)}
    return pd.DataFrame(shares, index=pd.Index(names, name="axis"))
