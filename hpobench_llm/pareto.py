"""Several objectives at once: which points no other beats, and how much they dominate.

Points are arrays `(n_points, n_objectives)` of losses: lower is better on every axis.
"""

import numpy as np
from numpy.typing import NDArray


def nondominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return `(n_points,)`: True where no point is at least as good everywhere and better once.

    Equal points stand or fall together. Takes `n_points` times the front's size steps.
    """
    order = np.lexsort(losses.T[::-1])  # whatever beats a point comes before it
    found = np.zeros(len(losses), dtype=np.bool_)
    front = np.empty((0, losses.shape[1]))
    for index in order:
        point = losses[index]
        rivals = front[np.all(front <= point, axis=1)]
        if not np.any(rivals < point):
            found[index] = True
            front = np.vstack([front, point])
    return found


def hypervolume(losses: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return the exact volume between the points and the reference point `(n_objectives,)`.

    A point that is not better than the reference on every axis adds nothing. The volume is cut
    into slabs along the last objective, and each slab's base is a volume of one dimension less:
    a front of n points and m objectives takes n to the power m - 1 steps.
    """
    inside = losses[np.all(losses < reference, axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[nondominated(inside)]
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    heights = np.diff(np.append(inside[:, -1], reference[-1]))
    return sum(
        float(height) * hypervolume(inside[: count + 1, :-1], reference[:-1])
        for count, height in enumerate(heights)
        if height > 0
    )
