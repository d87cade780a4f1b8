"""Where the best lies: are the surrogate's best configurations also the best on its table?

Ranks of optimizers show how hard a landscape is, not where its optimum lies: with one axis
reversed they stay the same. So two more questions are asked of the table's own configurations. How
much worse on the table are the surrogate's best ten than the table's own best ten, as a share of
the way to the table's median? And how well does it order the best quarter, where optimizers end,
compared with a second seed? Random choice gives 1 and 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hpobench_llm.surrogates.record import Location

BEST, SHARE_BAR = 10, 0.1
TAU_BAR, UNKNOWN_TAU_BAR = 0.5, 0.3  # of the tau between seeds; where too few are repeated
LEAST = 10  # configurations for a tau

FloatArray = NDArray[np.float64]


def location(truth: FloatArray, predicted: FloatArray, seeds: FloatArray) -> Location:
    """Compare losses on a table with a surrogate's losses of the same configurations.

    Args:
        truth: `(n,)` losses on the table; lower is better.
        predicted: `(n,)` losses by the surrogate.
        seeds: `(n, 2)` losses of two single seeds; NaN where there are fewer.

    Returns:
        Plain JSON: `passed` and `verdict`; `best`, how many are compared (ten, or a tenth of a
        small table, but two at least), their `regret` beyond the table's own best in its units,
        `share` and `share_bar`; `tau` within the best quarter and `tau_bar`, None where it has
        fewer than ten configurations.
    """
    count = min(BEST, max(2, len(truth) // 10), len(truth))
    own = float(np.sort(truth)[:count].mean())
    of_predicted = float(truth[np.argsort(predicted, kind="stable")[:count]].mean())
    way = float(np.median(truth)) - own
    share = (of_predicted - own) / way if way > 0 else 0.0
    quarter = np.argsort(truth, kind="stable")[: len(truth) // 4]
    tau = _tau(truth[quarter], predicted[quarter])
    repeated = seeds[quarter][np.isfinite(seeds[quarter]).all(axis=1)]
    between = _tau(repeated[:, 0], repeated[:, 1])
    # No surrogate can order the quarter better than the table's own noise allows.
    bar = UNKNOWN_TAU_BAR if between is None else max(TAU_BAR * between, 0.0)
    passed = share <= SHARE_BAR and (tau is None or (tau > 0 and tau >= bar))
    shown = (
        "" if tau is None else f", and its tau in the best quarter is {tau:.2f} (bar {bar:.2f})"
    )
    return {
        "best": count,
        "regret": of_predicted - own,
        "share": share,
        "share_bar": SHARE_BAR,
        "tau": tau,
        "tau_between_seeds": between,
        "tau_bar": bar,
        "passed": bool(passed),
        "verdict": (
            f"its best {count} configurations lie {share:.0%} of the way from the table's best to "
            f"the median (bar {SHARE_BAR:.0%}){shown}"
        ),
    }


def _tau(one: FloatArray, other: FloatArray) -> float | None:
    """Return Kendall's tau; None for too few or all equal `one`, 0 for all equal `other`."""
    if len(one) < LEAST or np.ptp(one) == 0:
        return None
    return 0.0 if np.ptp(other) == 0 else float(kendalltau(one, other).statistic)
