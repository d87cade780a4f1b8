"""Local search for the highest score, from several points at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.optimizers.encoding import Points, snap
from hpobench_llm.space import Categorical, Ordinal, Space

Scores = NDArray[np.float64]

NEIGHBOURS = 4  # on each axis
STEP = 0.05
PATIENCE = 10  # rounds without a better neighbour
MOST_ROUNDS = 100


def climb(
    space: Space, points: Points, score: Callable[[Points], Scores], rng: np.random.Generator
) -> tuple[Points, Scores]:
    """Move each of the points `(k, d)` to its best neighbour while that is better.

    Returns:
        Where the searches ended, `(k, d)`, and their scores `(k,)`.
    """
    points = points.copy()
    scores = score(points)
    waited = np.zeros(len(points), dtype=np.int64)
    for _ in range(MOST_ROUNDS):
        # Neighbours are random: a search ends only after `PATIENCE` rounds without a better one.
        (active,) = np.nonzero(waited < PATIENCE)
        if not len(active):
            break
        around = neighbours(space, points[active], rng)  # (active, neighbours, d)
        neighbour_scores = score(around.reshape(-1, len(space))).reshape(len(active), -1)
        best = neighbour_scores.argmax(axis=1)
        top = neighbour_scores[np.arange(len(active)), best]
        better = top > scores[active]
        waited[active] = np.where(better, 0, waited[active] + 1)
        moved = active[better]
        points[moved] = around[np.arange(len(active)), best][better]
        scores[moved] = top[better]
    return points, scores


def neighbours(space: Space, points: Points, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return `NEIGHBOURS` points for each axis of `points (k, d)`, `(k, NEIGHBOURS * d, d)`.

    They differ on that axis alone: by a normal step on a range, by one level on an ordinal axis,
    and by any name on a categorical one.
    """
    count, axes = points.shape
    around = np.repeat(points[:, None, :], NEIGHBOURS * axes, axis=1)
    for axis, dimension in enumerate(space):
        rows = slice(axis * NEIGHBOURS, (axis + 1) * NEIGHBOURS)
        size = (count, NEIGHBOURS)
        match dimension:
            case Categorical():
                around[:, rows, axis] = rng.random(size)
            case Ordinal():
                around[:, rows, axis] += rng.choice([-1.0, 1.0], size) / len(dimension.values)
            case _:
                around[:, rows, axis] += STEP * rng.standard_normal(size)
    return snap(space, around.reshape(-1, axes)).reshape(around.shape)
