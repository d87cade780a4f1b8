"""Several objectives at once: the points that no other beats, and the volume they dominate.

Points are arrays `(n_points, n_objectives)` of losses: lower is better on every axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BEYOND = 0.1  # of the front's range, from its nadir to the reference point


def nondominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return `(n_points,)`: whether no point is as good in all objectives and better in one.

    Equal points have equal answers. It takes `n_points` times the front's size steps.
    """
    order = np.lexsort(losses.T[::-1])  # a point that beats another comes before it
    unbeaten = np.zeros(len(losses), dtype=np.bool_)
    front = np.empty((0, losses.shape[1]))
    for index in order:
        point = losses[index]
        rivals = front[np.all(front <= point, axis=1)]
        if not np.any(rivals < point):
            unbeaten[index] = True
            front = np.vstack([front, point])
    return unbeaten


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


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The scale of a known front, by which hypervolumes are comparable: ranges up to near its end.

    Every objective counts in ranges of the front, and the reference point lies a tenth of a range
    beyond the front's worst value of each, its nadir (Ishibuchi et al., 2011). Were it far away,
    as a metric's worst value is, one good point would have nearly all of the volume, and a front
    would add nothing. Where a front has no range in an objective, the distance to the metric's
    worst value stands for it.

    Attributes:
        ideal: `(n_objectives,)` the front's best loss in each objective.
        span: `(n_objectives,)` its range.
        reference: `(n_objectives,)` the reference point's losses.
    """

    ideal: NDArray[np.float64]
    span: NDArray[np.float64]
    reference: NDArray[np.float64]

    @staticmethod
    def of(front: NDArray[np.float64], worst: Sequence[float]) -> "Scale":
        """Return the scale of a front `(n_points, n_objectives)` of losses, not empty."""
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        span = nadir - ideal
        beyond = np.asarray(worst, dtype=np.float64) - ideal
        span = np.where(span > 0, span, np.where(beyond > 0, beyond, 1.0))
        return Scale(ideal, span, nadir + BEYOND * span)

    def up_to(self, reference: Sequence[float]) -> "Scale":
        """Return the same scale with another reference point."""
        return replace(self, reference=np.asarray(reference, dtype=np.float64))

    def hypervolume(self, losses: NDArray[np.float64]) -> float:
        """Return the volume between points and the reference point, in ranges of the front."""
        return hypervolume(
            (losses - self.ideal) / self.span, (self.reference - self.ideal) / self.span
        )
