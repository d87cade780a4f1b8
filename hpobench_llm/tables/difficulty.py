"""How hard a table is: what random search is still expected to miss after some trials."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln


def random_search_regret(losses: NDArray[np.float64], trials: Sequence[int]) -> list[float]:
    """Return the expected gap between the best of `n` draws and the best of all, for each `n`.

    Exact for draws without repetition from `losses` `(configurations,)`, lower is better: the
    `i`-th best of `N` is the best drawn with probability `C(N - i, n - 1) / C(N, n)`.
    """
    ordered = np.sort(losses)
    total = len(ordered)
    found = []
    for n in trials:
        n = min(n, total)
        after = np.arange(total - 1, -1, -1)  # how many are worse than each
        possible = after >= n - 1
        weights = np.zeros(total)
        weights[possible] = np.exp(_log_choose(after[possible], n - 1) - _log_choose(total, n))
        found.append(float(weights @ ordered - ordered[0]))
    return found


def _log_choose(n: "NDArray[np.int64] | int", k: int) -> NDArray[np.float64]:
    logarithm: NDArray[np.float64] = (
        gammaln(np.asarray(n) + 1.0) - gammaln(k + 1.0) - gammaln(np.asarray(n) - k + 1.0)
    )
    return logarithm
