"""Which sub-networks of a large space are measured: as many small as large ones.

After Sukthanker et al. (2024), whose code (whittle, `param_bins.py`) draws at random, rejects what
falls into a full bin, and lets all bins grow by one once all but four are full: some may never be.
Here the space is finite and its sizes are known, so the bins grow when all are full that can be.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np


def bins_of(sizes: Sequence[int], bins: int) -> list[int]:
    """Return the bin of each size; all bins are equally wide, from the smallest to the largest."""
    values = np.asarray(sizes, dtype=np.float64)
    edges = np.linspace(values.min(), values.max(), bins + 1)
    numbers: list[int] = (
        (np.searchsorted(edges, values, side="right") - 1).clip(0, bins - 1).tolist()
    )
    return numbers


def calibrated(sizes: Sequence[int], count: int, bins: int, seed: int = 0) -> list[int]:
    """Return the indices of `count` of the sizes, drawn so that no bin overfills.

    The smallest and the largest come first; each beginning of the list is such a draw too.
    """
    order = np.random.default_rng(seed).permutation(len(sizes))
    # Once, where all sizes are equal.
    ends = list(dict.fromkeys([int(np.argmin(sizes)), int(np.argmax(sizes))]))
    order = np.concatenate([ends, order[~np.isin(order, ends)]])
    bin_of = bins_of(sizes, bins)
    waiting: list[deque[tuple[int, int]]] = [deque() for _ in range(bins)]
    for turn, index in enumerate(order.tolist()):
        waiting[bin_of[index]].append((turn, index))
    filled, limit = [0] * bins, 1
    indices: list[int] = []
    while len(indices) < min(count, len(sizes)):
        free = [b for b in range(bins) if waiting[b] and filled[b] < limit]
        if not free:
            limit += 1
            continue
        # The next of the random order whose bin is not full.
        drawn = min(free, key=lambda b: waiting[b][0])
        indices.append(waiting[drawn].popleft()[1])
        filled[drawn] += 1
    return indices
