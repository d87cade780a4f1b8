"""Which axes matter on a full grid: exact shares of variance, and the best single index.

Hutter, Hoos and Leyton-Brown (2014), An efficient approach for assessing hyperparameter
importance, take such shares from a forest; on a full grid they are exact (Sobol 1993).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hpobench_llm.factors import Lattice
from hpobench_llm.space import Categorical, Configuration, Space

STARTS, POLISHED = 400, 4
GROUPS = 12  # of an axis of many values
WINDOW, LEAST_WINDOW = 16, 3  # neighbours on either side that predict a value: one in so many

FloatArray = NDArray[np.float64]


def full_grid(
    space: Space, configs: Sequence[Configuration], losses: FloatArray
) -> tuple[list[str], FloatArray] | None:
    """Return the names of a space's axes, and losses as an array with a dimension for each.

    A simplex of levels is one axis, under its own name. None: not all of the grid is there.
    """
    factors = space.factors
    sizes = [len(factor.points or ()) for factor in factors]
    if len(configs) != math.prod(sizes):
        return None
    order = np.lexsort(_levels(space, configs)[:, ::-1].T)
    names = [f.name if isinstance(f, Lattice) else f.names[0] for f in factors]
    return names, losses[order].reshape(sizes)


def _levels(space: Space, configs: Sequence[Configuration]) -> FloatArray:
    """Return `(n, factors)`: the number of each value on its axis or simplex."""
    places = [
        (factor.names, {point: number for number, point in enumerate(factor.points or ())})
        for factor in space.factors
    ]
    rows = [[place[tuple(c[n] for n in names)] for names, place in places] for c in configs]
    return np.array(rows, dtype=np.float64)


def shares_alone(grid: FloatArray) -> FloatArray:
    """Return each axis's share of the variance by itself: that of its values' means."""
    whole = grid.var()
    if not whole:
        return np.zeros(grid.ndim)
    others = [tuple(other for other in range(grid.ndim) if other != a) for a in range(grid.ndim)]
    return np.array([grid.mean(axis=rest).var() / whole for rest in others])


def total_shares(grid: FloatArray) -> FloatArray:
    """Return each axis's total share of the variance: alone and in every interaction.

    It is the mean variance along the axis, all others fixed, over the variance of all.

    Args:
        grid: one value for each configuration of a full grid, an array dimension for each axis.
    """
    whole = grid.var()
    if not whole:
        return np.zeros(grid.ndim)
    return np.array([grid.var(axis=axis).mean() / whole for axis in range(grid.ndim)])


def between_share(values: NDArray[Any], losses: FloatArray) -> float:
    """Return the share of the variance between groups of equal values, less that of chance.

    Kelley's epsilon squared (1935): 0 on average for groups that say nothing. More than `GROUPS`
    distinct numbers are cut into so many groups of like size.

    Args:
        values: `(n,)` numbers or names.
        losses: `(n,)`.
    """
    if values.dtype.kind != "U" and len(np.unique(values)) > GROUPS:
        edges = np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1])
        values = np.searchsorted(np.unique(edges), values)
    _, group = np.unique(values, return_inverse=True)
    counts = np.bincount(group)
    free = len(losses) - len(counts)
    if not losses.var() or free < 1 or len(counts) < 2:
        return 0.0
    means = np.bincount(group, losses) / counts
    within = float(((losses - means[group]) ** 2).mean() / losses.var())
    return max(0.0, 1.0 - within * (len(losses) - 1) / free)


def coordinates(space: Space, units: FloatArray) -> FloatArray:
    """Return `(n, k)` columns of which an index is a weighted sum.

    A number's is its unit encoding, logarithmic where the axis is: its weight is an exponent. Of
    names each but the first has a column of its own, so that every name may shift the index.
    """
    columns = []
    for number, dimension in enumerate(space):
        place = units[:, number]
        if isinstance(dimension, Categorical):
            last = len(dimension.values) - 1
            columns += [
                (np.rint(place * last) == level).astype(float) for level in range(1, last + 1)
            ]
        else:
            columns.append(place)
    return np.column_stack(columns)


def single_index(columns: FloatArray, losses: FloatArray) -> float:
    """Return the share of variance that a smooth function of one weighted sum explains at best.

    A loss is predicted by the mean of its neighbours in the order of the sum, itself left out. The
    weights are looked for from many starts; a better sum may exist, so the share is at least this.

    Args:
        columns: `(n, k)` of `coordinates`.
        losses: `(n,)`.
    """
    if len(losses) < 4 * LEAST_WINDOW or not losses.var():
        return float("nan")
    rng = np.random.default_rng(0)
    spread = columns.std(axis=0)
    scaled = (columns / np.where(spread > 0, spread, 1.0))[:, spread > 0]

    def left(weights: FloatArray) -> float:
        return _left(scaled @ weights, losses)

    starts = [*np.eye(scaled.shape[1]), *rng.normal(size=(STARTS, scaled.shape[1]))]
    best = sorted(starts, key=left)[:POLISHED]
    found = [minimize(left, start, method="Powell", options={"maxiter": 10}).fun for start in best]
    return 1.0 - float(min(found))


def _left(index: FloatArray, losses: FloatArray) -> float:
    """Return the share of variance that a loss's neighbours in the index leave.

    Of few neighbours an index could explain all by putting twins side by side, or one axis's
    whole course into every step of another's: so the function has about eight bends at most.
    """
    ordered = losses[np.argsort(index, kind="stable")]
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    count, place = len(ordered), np.arange(len(ordered))
    window = max(LEAST_WINDOW, count // WINDOW)
    low, high = np.maximum(place - window, 0), np.minimum(place + window + 1, count)
    others = (sums[high] - sums[low] - ordered) / (high - low - 1)
    return float(((ordered - others) ** 2).mean() / losses.var())
