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
GROUPS = 12  # into which an axis of many values is cut
WINDOW, LEAST_WINDOW = 16, 3  # the neighbours on either side: a 16th of all, 3 at least

FloatArray = NDArray[np.float64]


def full_grid(
    space: Space, configs: Sequence[Configuration], losses: FloatArray
) -> tuple[list[str], FloatArray] | None:
    """Return the names of a space's axes, and losses as an array with a dimension for each.

    A simplex of levels is one axis, under its own name. None: the grid is not complete.
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
    levels = np.empty((len(configs), len(space.factors)))
    for column, factor in enumerate(space.factors):
        number_of = {point: number for number, point in enumerate(factor.points or ())}
        for row, config in enumerate(configs):
            levels[row, column] = number_of[tuple(config[name] for name in factor.names)]
    return levels


def shares_alone(grid: FloatArray) -> FloatArray:
    """Return each axis's share of the variance by itself: that of its values' means."""
    variance = grid.var()
    if not variance:
        return np.zeros(grid.ndim)
    shares = []
    for axis in range(grid.ndim):
        others = tuple(other for other in range(grid.ndim) if other != axis)
        shares.append(grid.mean(axis=others).var() / variance)
    return np.array(shares)


def total_shares(grid: FloatArray) -> FloatArray:
    """Return each axis's total share of the variance: alone and in every interaction.

    It is the mean variance along the axis with all others fixed, over the variance of all losses.

    Args:
        grid: one value for each configuration of a full grid, an array dimension for each axis.
    """
    variance = grid.var()
    if not variance:
        return np.zeros(grid.ndim)
    return np.array([grid.var(axis=axis).mean() / variance for axis in range(grid.ndim)])


def between_share(values: NDArray[Any], losses: FloatArray) -> float:
    """Return the share of the variance between groups of equal values, corrected for chance.

    Kelley's epsilon squared (1935): 0 on average for random groups. More than `GROUPS` distinct
    numbers are cut into so many groups of similar size.

    Args:
        values: `(n,)` numbers or names.
        losses: `(n,)`.
    """
    if values.dtype.kind != "U" and len(np.unique(values)) > GROUPS:
        edges = np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1])
        values = np.searchsorted(np.unique(edges), values)
    _, group = np.unique(values, return_inverse=True)
    counts = np.bincount(group)
    freedom = len(losses) - len(counts)
    if not losses.var() or freedom < 1 or len(counts) < 2:
        return 0.0
    means = np.bincount(group, losses) / counts
    within = float(((losses - means[group]) ** 2).mean() / losses.var())
    return max(0.0, 1.0 - within * (len(losses) - 1) / freedom)


def coordinates(space: Space, units: FloatArray) -> FloatArray:
    """Return `(n, k)` columns, whose weighted sums are indices.

    A number's column is its unit encoding, logarithmic if the axis is, so that its weight is an
    exponent. Of names, each but the first has a column, so that every name may shift the index.
    """
    columns = []
    for number, dimension in enumerate(space):
        unit = units[:, number]
        if isinstance(dimension, Categorical):
            last = len(dimension.values) - 1
            columns += [
                (np.rint(unit * last) == level).astype(float) for level in range(1, last + 1)
            ]
        else:
            columns.append(unit)
    return np.column_stack(columns)


def single_index(columns: FloatArray, losses: FloatArray) -> float:
    """Return the largest share of variance that a smooth function of one weighted sum explains.

    The mean of a loss's neighbours in the order of the sum predicts it, without the loss itself.
    The weights are searched from many starts; a better sum may exist, so the share is at least
    this.

    Args:
        columns: `(n, k)` of `coordinates`.
        losses: `(n,)`.
    """
    if len(losses) < 4 * LEAST_WINDOW or not losses.var():
        return float("nan")
    rng = np.random.default_rng(0)
    spread = columns.std(axis=0)
    scaled = (columns / np.where(spread > 0, spread, 1.0))[:, spread > 0]

    def unexplained(weights: FloatArray) -> float:
        return _unexplained(scaled @ weights, losses)

    starts = [*np.eye(scaled.shape[1]), *rng.normal(size=(STARTS, scaled.shape[1]))]
    # Powell's method needs no gradient: a mean over neighbours is a step function of the weights.
    shares = [
        minimize(unexplained, start, method="Powell", options={"maxiter": 10}).fun
        for start in sorted(starts, key=unexplained)[:POLISHED]
    ]
    return 1.0 - float(min(shares))


def _unexplained(index: FloatArray, losses: FloatArray) -> float:
    """Return the share of variance that the neighbours of losses in an index do not explain.

    With few neighbours an index could explain everything: by putting twins side by side, or one
    axis's whole course into every step of another's. So the function has about eight bends at
    most.
    """
    ordered = losses[np.argsort(index, kind="stable")]
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    count, rank = len(ordered), np.arange(len(ordered))
    window = max(LEAST_WINDOW, count // WINDOW)
    low, high = np.maximum(rank - window, 0), np.minimum(rank + window + 1, count)
    others = (sums[high] - sums[low] - ordered) / (high - low - 1)
    return float(((ordered - others) ** 2).mean() / losses.var())
