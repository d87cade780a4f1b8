"""Search the best configuration of a function that is cheap to ask: many starts, local search.

The starts are the best of uniform draws and of the corners, far from each other. From each a
pattern search (Hooke and Jeeves, 1961) goes along the axes and in a few random directions, and
halves its step if no move helps. A better configuration may still exist.
"""

from collections.abc import Callable, Sequence
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Space
from hpobench_llm.sticks import StickSpace

DRAWS, CORNERS, STARTS, ROUNDS = 20_000, 1024, 32, 60
FIRST_STEP, LAST_STEP, APART = 0.1, 1e-5, 0.15  # in unit encoding
DIRECTIONS, MOST_NAMES = 4, 24  # that one step from a point tries

FloatArray = NDArray[np.float64]
Losses = Callable[[Sequence[Configuration]], FloatArray]


def best_known(space: Space, losses: Losses) -> tuple[Configuration, float] | None:
    """Return the best configuration of a space and its loss; None if nothing is usable.

    Args:
        space: where to look.
        losses: returns those of configurations, `(n,)`; infinite for one that is not usable.
    """
    if (sticks := StickSpace.of(space)) is not None:
        # On sticks every point of the cube is a mixture, so moves along one axis stay valid.
        best = best_known(sticks, lambda configs: losses(list(map(sticks.decode, configs))))
        return None if best is None else (sticks.decode(best[0]), best[1])
    rng = np.random.default_rng(0)
    corners = np.array(list(islice(product((0.0, 1.0), repeat=len(space)), CORNERS)))
    units = np.concatenate((rng.random((DRAWS, len(space))), corners))
    drawn = losses(space.from_unit(units))
    points = _apart(units[np.argsort(drawn, kind="stable")], int(np.isfinite(drawn).sum()))
    if not len(points):
        return None
    configs = space.from_unit(points)
    values = losses(configs)
    steps = np.full(len(points), FIRST_STEP)
    for _ in range(ROUNDS):
        active = np.flatnonzero(steps >= LAST_STEP)
        if not len(active):
            break
        moves = [_moves(space, points[start], steps[start], rng) for start in active]
        # All starts ask at once: one call of a surrogate costs far more than one more row.
        tried = space.from_unit(np.concatenate(moves))
        worth = losses(tried)
        end = 0
        for start, move in zip(active, moves, strict=True):
            begin, end = end, end + len(move)
            lowest = begin + int(np.argmin(worth[begin:end]))
            if worth[lowest] < values[start]:
                points[start] = move[lowest - begin]
                values[start], configs[start] = worth[lowest], tried[lowest]
            else:
                steps[start] /= 2.0
    winner = int(np.argmin(values))
    return configs[winner], float(values[winner])


def _apart(ordered: FloatArray, usable: int) -> FloatArray:
    """Return `(starts, d)`: the first of the usable points that lie apart from each other."""
    starts: list[FloatArray] = []
    for point in ordered[: min(usable, 50 * STARTS)]:
        if all(np.abs(point - other).max() >= APART for other in starts):
            starts.append(point)
            if len(starts) == STARTS:
                break
    return np.array(starts)


def _moves(space: Space, point: FloatArray, step: float, rng: np.random.Generator) -> FloatArray:
    """Return `(n, d)` points around one: along each axis, and in a few random directions."""
    moves = []
    for axis, dimension in enumerate(space.dimensions):
        for unit in _neighbours(dimension, float(point[axis]), step, rng):
            moves.append(point.copy())
            moves[-1][axis] = unit
    spread = rng.normal(0.0, step, (DIRECTIONS, len(point)))
    around: FloatArray = np.clip(np.array([*moves, *(point + spread)]), 0.0, 1.0)
    return around


def _neighbours(
    dimension: Dimension, unit: float, step: float, rng: np.random.Generator
) -> list[float]:
    """Return units to move to along an axis: a whole value away at least."""
    if isinstance(dimension, Categorical):
        others = [n for n in dimension.values if n != dimension.from_unit(unit)]
        numbers = rng.permutation(len(others))[:MOST_NAMES]
        return [dimension.to_unit(others[number]) for number in numbers]
    steps = [min(max(unit - step, 0.0), 1.0), min(max(unit + step, 0.0), 1.0)]
    if isinstance(dimension, Integer):
        value = dimension.from_unit(unit)
        near = (max(value - 1, dimension.low), min(value + 1, dimension.high))
        steps += [dimension.to_unit(number) for number in near]
    elif isinstance(dimension, Ordinal):
        level = dimension.values.index(dimension.from_unit(unit))
        steps += [dimension.to_unit(v) for v in dimension.values[max(level - 1, 0) : level + 2]]
    return steps
