"""The front that an optimizer attains with two objectives, over its seeds.

Fonseca, Grunert da Fonseca and Paquete (2005), Exploring the performance of stochastic
multiobjective optimisers with the second-order attainment function. The median attainment surface
is the border of the points that at least half of the seeds attained: they have one that is as good
on both axes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def median_attained(fronts: Sequence[FloatArray]) -> FloatArray:
    """Return the corners `(n, 2)` of the median attainment surface, by the first objective.

    Args:
        fronts: the losses `(n_points, 2)` of each seed's front; may be empty.

    Returns:
        Losses, the lowest of the first objective first; none if half of the seeds found nothing.
    """
    levels = np.unique(np.concatenate([points[:, 0] for points in fronts]))
    best = np.full((len(fronts), len(levels)), np.inf)
    for row, points in enumerate(fronts):
        for first, second in points:
            best[row, levels >= first] = np.minimum(best[row, levels >= first], second)
    # The order statistic that at least half of the seeds reach.
    half = np.sort(best, axis=0)[(len(fronts) + 1) // 2 - 1]
    corners = half < np.concatenate(([np.inf], half[:-1]))
    attained: FloatArray = np.column_stack([levels, half])[corners]
    return attained
