"""Order among several losses: who dominates whom, fronts, and a well spread order in a front."""

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]


def fronts(losses: Losses) -> list[NDArray[np.intp]]:
    """Return the rows of `losses` (n, k) in non-dominated fronts, the best first.

    One row dominates another if it is nowhere higher and somewhere lower, so equal rows share a
    front. Within a front the indices increase.
    """
    nowhere_higher = np.ones((len(losses), len(losses)), dtype=bool)
    somewhere_lower = np.zeros_like(nowhere_higher)
    for column in losses.T:  # one at a time, so that memory does not grow with the objectives
        nowhere_higher &= column[:, None] <= column[None, :]
        somewhere_lower |= column[:, None] < column[None, :]
    dominates = nowhere_higher & somewhere_lower
    ordered, remaining = [], np.arange(len(losses))
    while len(remaining):
        dominated = dominates[np.ix_(remaining, remaining)].any(axis=0)
        ordered.append(remaining[~dominated])
        remaining = remaining[dominated]
    return ordered


def epsilon_net(losses: Losses) -> list[int]:
    """Return the rows of `losses` (n, k) ordered so that any number of the first is well spread.

    The first is the lowest in the first column, each further one the farthest from all before it
    (Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006), ties by index. The
    columns are scaled to [0, 1] before, so that their units do not matter.
    """
    scaled = unit_scaled(losses)
    order = [int(np.argmin(losses[:, 0]))]
    distance = np.full(len(losses), np.inf)
    for _ in range(len(losses) - 1):
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
        distance[order] = -1.0  # so that duplicates of a row come after all others, but come
        order.append(int(np.argmax(distance)))
    return order


def unit_scaled(losses: Losses) -> Losses:
    """Return `losses` (n, k) with every column scaled to [0, 1]; a constant one is 0."""
    low = losses.min(axis=0)
    width = losses.max(axis=0) - low
    scaled: Losses = (losses - low) / np.where(width > 0, width, 1.0)
    return scaled
