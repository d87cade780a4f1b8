"""What an optimizer attained of two objectives, over its seeds.

Fonseca, Grunert da Fonseca and Paquete (2005), Exploring the performance of stochastic
multiobjective optimisers with the second-order attainment function. The median attainment surface
is the border of what at least half of the seeds attained: found a point as good on both axes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def median_attained(fronts: Sequence[FloatArray]) -> FloatArray:
    """Return the corners `(n, 2)` of the median attainment surface, by the first objective.

    Args:
        fronts: the losses `(n_points, 2)` of what each seed found; may be empty.

    Returns:
        Losses, the lowest of the first objective first; none if half of the seeds found nothing.
    """
    levels = np.unique(np.concatenate([points[:, 0] for points in fronts]))
    best = np.full((len(fronts), len(levels)), np.inf)
    for row, points in enumerate(fronts):
        for first, second in points:
            best[row, levels >= first] = np.minimum(best[row, levels >= first], second)
    half = np.sort(best, axis=0)[(len(fronts) + 1) // 2 - 1]  # at least half are as good as this
    corners = half < np.concatenate(([np.inf], half[:-1]))
    attained: FloatArray = np.column_stack([levels, half])[corners]
    return attained
