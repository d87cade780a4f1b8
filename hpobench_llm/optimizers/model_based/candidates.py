"""The configurations among which a model-based method looks for the next one.

They are points of the unit cube with equal cells, see `encoding`, drawn and scored all at once.
"""

from collections.abc import Container
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.optimizers.encoding import Point, Points, decode, snap
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Integer,
    Ordinal,
    Space,
    config_id,
)

Scores = NDArray[np.float64]


def uniform(space: Space, draws: int, rng: np.random.Generator) -> Points:
    """Return `draws` uniform points without repetitions, all configurations if there are fewer.

    They are in a random order, so that the first of several equal scores is any of them.
    """
    levels = [_levels(dimension) for dimension in space]
    finite = [count for count in levels if count]
    if len(finite) < len(levels) or prod(finite) > draws:
        return _distinct(space, rng.random((draws, len(space))))
    axes = [(np.arange(count) + 0.5) / count for count in finite]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return _distinct(space, rng.permutation(grid.reshape(-1, len(space))))


def around(space: Space, best: Point, near: int, close: int, rng: np.random.Generator) -> Points:
    """Return points around the `best` one.

    `near` of them have another value on one axis. `close` of them are a normal step away on every
    axis, whose size is drawn between a tenth and a thousandth of the range.
    """
    others = np.tile(best, (near, 1))
    others[np.arange(near), rng.integers(len(best), size=near)] = rng.random(near)
    sizes = 10.0 ** rng.uniform(-3.0, -1.0, size=(close, 1))
    steps = best + sizes * rng.standard_normal((close, len(best)))
    return _distinct(space, np.vstack((others, steps)))


def best_unseen(
    space: Space,
    points: Points,
    scores: Scores,
    seen: Container[str],
    rng: np.random.Generator,
) -> Configuration:
    """Return the configuration of the highest score whose id was not `seen`.

    If all were, a random one comes again.
    """
    for index in np.argsort(-scores, kind="stable"):
        config = decode(space, points[index])
        if config_id(config) not in seen:
            return config
    return space.sample(rng)


def _distinct(space: Space, points: Points) -> Points:
    snapped = snap(space, points)
    # `unique` sorts: the order of the draws is put back.
    _, first = np.unique(snapped, axis=0, return_index=True)
    return snapped[np.sort(first)]


def _levels(dimension: Dimension) -> int:
    """Return how many cells of equal length an axis has; 0 for an axis without."""
    match dimension:
        case Ordinal() | Categorical():
            return len(dimension.values)
        case Integer() if not dimension.log:
            return dimension.high - dimension.low + 1
        case _:
            return 0
