"""How hard a table is: the expected regret of random search after some trials."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def random_search_regret(
    answers: NDArray[np.float64], worth: NDArray[np.float64], trials: Sequence[int]
) -> list[float]:
    """Return the expected regret of the best of `n` draws, for each `n`.

    Exact for uniform draws with repetition, as `random` makes them: its answer is the first among
    the lowest losses that it was told, and is judged by that configuration's worth. The `i`-th
    best of `N` (from 0) is the best drawn with probability `((N - i)^n - (N - i - 1)^n) / N^n`.

    Args:
        answers: `(configurations,)` losses; infinite for a run that cannot be an answer.
        worth: `(configurations,)` losses that judge the answers, all finite.
        trials: each `n`.
    """
    total = len(answers)
    _, level, counts = np.unique(answers, return_inverse=True, return_counts=True)
    # Of equal losses the first drawn stays, and each is equally likely to be the first.
    worths = np.bincount(level, worth) / counts
    reached = np.concatenate(([0], np.cumsum(counts)))
    worse = (total - reached) / total  # the share of configurations beyond each level
    return [float(-np.diff(worse**n) @ worths - worth.min()) for n in trials]
