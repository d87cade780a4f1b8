"""How hard a table is: what random search is still expected to miss after some trials."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def random_search_regret(
    answers: NDArray[np.float64], worth: NDArray[np.float64], trials: Sequence[int]
) -> list[float]:
    """Return what the best of `n` draws is expected to lose against the best of all, for each `n`.

    Exact for uniform draws with repetition, as `random` makes them: its answer is the first among
    the lowest losses that it was told, and it is judged by what that one is worth. The `i`-th best
    of `N` (from 0) is the best drawn with probability `((N - i)^n - (N - i - 1)^n) / N^n`.

    Args:
        answers: `(configurations,)` losses; infinite where a run cannot be an answer.
        worth: `(configurations,)` losses that the answers are judged by, all finite.
        trials: each `n`.
    """
    total = len(answers)
    _, level, counts = np.unique(answers, return_inverse=True, return_counts=True)
    # Of equal losses the first that is drawn stays, and it may be any of them.
    worths = np.bincount(level, worth) / counts
    reached = np.concatenate(([0], np.cumsum(counts)))
    left = (total - reached) / total  # the share of configurations that are not among the best
    return [float(-np.diff(left**n) @ worths - worth.min()) for n in trials]
