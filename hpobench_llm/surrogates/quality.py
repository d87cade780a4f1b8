"""How good a surrogate is on configurations that it has not seen, as figures in plain JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.record import Deviations, Figures

Record = TypeVar("Record", Figures, Deviations)

COVERAGES = (0.5, 0.8, 0.9)

_FREEDOM = 20  # degrees of freedom that a region's variance is estimated with


def figures(
    truth: FloatArray,
    predicted: FloatArray,
    cell: NDArray[np.intp],
    covered: Mapping[float, NDArray[np.bool_]] | None = None,
) -> Figures:
    """Compare held-out predictions with the truth, in the target's own units.

    A cell is a configuration at a fidelity; its truth is the mean over its seeds. `r2`,
    `kendall_tau`, `spearman` and `mean_absolute_error` compare cells, `coverage` single runs.
    What the seeds allow: `seed_standard_deviation`, a run's around its cell's mean; `r2_ceiling`,
    which the exact expectation would reach, from the seeds' variance among cells of like
    predictions, and at least `r2`, since what was reached can be; `kendall_tau_between_seeds`, of
    a cell's first run with its second. A figure that does not exist is None.

    Args:
        truth: `(n,)` measured values.
        predicted: `(n,)` predictions by models that never saw the row's configuration.
        cell: `(n,)` number of the row's cell.
        covered: for each nominal coverage, `(n,)` whether the interval holds the run.
    """
    _, place = np.unique(cell, return_inverse=True)
    count = np.bincount(place)
    means, guesses = (np.bincount(place, v) / np.maximum(count, 1) for v in (truth, predicted))
    squares = np.bincount(place, (truth - means[place]) ** 2).astype(np.float64)
    freedom = int((count - 1).sum())
    seeds = float(squares.sum() / freedom) if freedom else float("nan")
    spread = float(means.var()) if len(means) else 0.0
    error = float(((means - guesses) ** 2).mean()) if len(means) else float("nan")
    firsts, seconds = _first_two(truth, place, count > 1)
    r2, ceiling = None, None
    if spread > 0:
        r2 = 1.0 - error / spread
        if freedom:
            noise = float((_variances(squares, count, guesses) / count).mean())
            ceiling = max(1.0 - noise / spread, r2)
    compared: Figures = {
        "runs": len(truth),
        "cells": len(means),
        "r2": r2,
        "kendall_tau": _correlation(kendalltau, means, guesses),
        "spearman": _correlation(spearmanr, means, guesses),
        "mean_absolute_error": float(np.abs(means - guesses).mean()) if len(means) else None,
        "seed_standard_deviation": float(np.sqrt(seeds)),
        "r2_ceiling": ceiling,
        "kendall_tau_between_seeds": _correlation(kendalltau, firsts, seconds),
    }
    if covered is not None:
        compared["coverage"] = {
            f"{level:g}": float(held.mean()) if len(held) else None
            for level, held in covered.items()
        }
    return plain(compared)


def best_quarter(
    truth: FloatArray, predicted: FloatArray, cell: NDArray[np.intp], *, sign: float
) -> Figures:
    """Return the figures of the quarter of cells that is truly best, where optimizers work.

    `bias` is predicted minus true, on average. `sign` is 1 where lower is better, else -1.
    """
    _, place = np.unique(cell, return_inverse=True)
    means = np.bincount(place, truth) / np.maximum(np.bincount(place), 1)
    if not len(means):
        return {"cells": 0}
    inside = (sign * means <= np.quantile(sign * means, 0.25))[place]
    compared = figures(truth[inside], predicted[inside], cell[inside])
    return compared | {"bias": float((predicted[inside] - truth[inside]).mean())}


def _variances(squares: FloatArray, count: NDArray[np.intp], guesses: FloatArray) -> FloatArray:
    """Return `(cells,)` the seeds' variance, that of repeated cells of like predictions.

    `squares` are sums of squares around the cells' means. A region has `_FREEDOM` degrees of
    freedom or more: good runs repeat far better than chaotic ones, so one figure for all would
    be too much here and too little there.
    """
    order = np.argsort(guesses, kind="stable")
    freedom = np.cumsum((count - 1)[order])
    region = np.empty(len(count), dtype=np.intp)
    most = max(int(freedom[-1]) // _FREEDOM, 1)
    region[order] = np.minimum((freedom - 1).clip(0) * most // freedom[-1], most - 1)
    total, free = np.bincount(region, squares), np.bincount(region, count - 1)
    pooled = squares.sum() / freedom[-1]
    variances: FloatArray = np.where(free > 0, total / np.maximum(free, 1), pooled)[region]
    return variances


def probability_figures(happened: FloatArray, predicted: FloatArray) -> Figures:
    """Judge held-out probabilities of a status.

    `brier` is their mean squared error; `brier_of_the_share` that of answering the status's
    share everywhere; `auc` the probability that a run with the status has the higher prediction.

    Args:
        happened: `(n,)` 0 or 1.
        predicted: `(n,)` in [0, 1].
    """
    if not len(happened):
        return {"runs": 0}
    share = float(happened.mean())
    yes, no = predicted[happened > 0.5], predicted[happened < 0.5]
    auc = None
    if len(yes) and len(no):
        above = np.sign(yes[:, None] - no[None, :])
        auc = float((above.mean() + 1.0) / 2.0)
    judged: Figures = {
        "runs": len(happened),
        "share": share,
        "mean_probability": float(predicted.mean()),
        "brier": float(((predicted - happened) ** 2).mean()),
        "brier_of_the_share": share * (1.0 - share),
        "auc": auc,
        "right_status": float(((predicted > 0.5) == (happened > 0.5)).mean()),
    }
    return plain(judged)


def plain(record: Record) -> Record:
    """Return a record with every number that is not finite as None."""
    finite = {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in record.items()
    }
    return cast("Record", finite)


def _first_two(
    truth: FloatArray, place: NDArray[np.intp], repeated: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], np.flatnonzero(repeated))
    return truth[order][start], truth[order][start + 1] if len(start) else truth[:0]


def _correlation(measure: Any, one: FloatArray, other: FloatArray) -> float | None:
    """Return a rank correlation; None where an order does not exist."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(measure(one, other).statistic)
