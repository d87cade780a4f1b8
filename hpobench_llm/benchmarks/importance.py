"""Which axes matter on a benchmark: their shares of the variance of a metric's losses.

Hutter, Hoos and Leyton-Brown (2014), An efficient approach for assessing hyperparameter
importance. Of a full grid the shares are exact. Of a space that cannot be listed they are Sobol's
indices of what the benchmark answers, estimated as Saltelli et al. (2010) do; of some
configurations of a grid those of what a forest says that was fitted on them.
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

SAMPLES = 2**10  # each costs a query for every axis, and two
TREES = 100
LEAST = 8  # configurations that a forest is fitted on

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
        metric: what the values are of.
        configs: configurations that have an answer: of a grid all that were measured.
        values: `(n,)` in own units; NaN of a run that is not ok.
        ask: gives the same of any configurations of a space that cannot be listed.

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
    if space.finite and (whole := full_grid(space, configs, losses)) is not None:
        names, grid = whole
        return _frame(names, shares_alone(grid), total_shares(grid))
    if space.simplexes:
        raise ConfigurationError(
            f"{name}: axes that sum to one cannot vary alone, and not all of their combinations "
            "were measured, so they have no shares"
        )
    predict = _forest(space, configs, losses) if space.finite else None

    def asked(units: FloatArray) -> FloatArray:
        points = space.from_unit(units.T)
        if predict is not None:
            return predict(space.to_unit(points))
        return _bounded(metric, ask(points))

    bounds: Any = [uniform()] * len(space)
    indices = sobol_indices(func=asked, n=SAMPLES, dists=bounds, rng=np.random.default_rng(0))
    return _frame(list(space.names), indices.first_order, indices.total_order)


def _bounded(metric: Metric, values: FloatArray) -> FloatArray:
    worst = metric.to_loss(metric.worst)
    losses = metric.losses(values)
    return np.where(np.isfinite(losses), np.minimum(losses, worst), worst)


def _forest(
    space: Space, configs: list[Configuration], losses: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """Return what a forest fitted on configurations says of points of the unit cube."""
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
    shares = {"alone": np.clip(alone, 0, 1), "total": np.clip(total, 0, 1)}
    return pd.DataFrame(shares, index=pd.Index(names, name="axis"))
