"""How good a surrogate is on configurations that it has not seen, as figures in plain JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.record import Deviations, QualityFigures

Record = TypeVar("Record", QualityFigures, Deviations)

COVERAGES = (0.5, 0.8, 0.9)

_FREEDOM = 20  # degrees of freedom that a region's variance is estimated with


def figures(
    truth: FloatArray,
    predicted: FloatArray,
    cell: NDArray[np.intp],
    covered: Mapping[float, NDArray[np.bool_]] | None = None,
) -> QualityFigures:
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
    _, index = np.unique(cell, return_inverse=True)
    count = np.bincount(index)
    means = np.bincount(index, truth) / np.maximum(count, 1)
    guesses = np.bincount(index, predicted) / np.maximum(count, 1)
    squares = np.bincount(index, (truth - means[index]) ** 2).astype(np.float64)
    freedom = int((count - 1).sum())
    seeds = float(squares.sum() / freedom) if freedom else float("nan")
    spread = float(means.var()) if len(means) else 0.0
    error = float(((means - guesses) ** 2).mean()) if len(means) else float("nan")
    firsts, seconds = _first_two(truth, index, count > 1)
    r2, ceiling = None, None
    if spread > 0:
        r2 = 1.0 - error / spread
        if freedom:
            noise = float((_variances(squares, count, guesses) / count).mean())
            ceiling = max(1.0 - noise / spread, r2)  # the noise is an estimate, `r2` was reached
    compared: QualityFigures = {
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
            f"{level:g}": float(within.mean()) if len(within) else None
            for level, within in covered.items()
        }
    return plain(compared)


def best_quarter(
    truth: FloatArray, predicted: FloatArray, cell: NDArray[np.intp], *, sign: float
) -> QualityFigures:
    """Return the figures of the quarter of cells that is truly best, where optimizers work.

    `bias` is predicted minus true, on average. `sign` is 1 where lower is better, else -1.
    """
    _, index = np.unique(cell, return_inverse=True)
    means = np.bincount(index, truth) / np.maximum(np.bincount(index), 1)
    if not len(means):
        return {"cells": 0}
    inside = (sign * means <= np.quantile(sign * means, 0.25))[index]
    compared = figures(truth[inside], predicted[inside], cell[inside])
    return compared | {"bias": float((predicted[inside] - truth[inside]).mean())}


def _variances(squares: FloatArray, count: NDArray[np.intp], guesses: FloatArray) -> FloatArray:
    """Return the seeds' variance at each cell `(cells,)`, pooled over cells of like predictions.

    `squares` are sums of squares around the cells' means. A region has `_FREEDOM` degrees of
    freedom or more. Good runs repeat far better than chaotic ones, so one figure for all would
    be too high for the good and too low for the chaotic.
    """
    order = np.argsort(guesses, kind="stable")
    freedom = np.cumsum((count - 1)[order])
    # Regions are cut where the degrees of freedom so far pass equal shares.
    region = np.empty(len(count), dtype=np.intp)
    most = max(int(freedom[-1]) // _FREEDOM, 1)
    region[order] = np.minimum((freedom - 1).clip(0) * most // freedom[-1], most - 1)
    total, region_freedom = np.bincount(region, squares), np.bincount(region, count - 1)
    pooled = squares.sum() / freedom[-1]  # for a region without a repeated cell
    variances: FloatArray = np.where(
        region_freedom > 0, total / np.maximum(region_freedom, 1), pooled
    )[region]
    return variances


def probability_figures(happened: FloatArray, predicted: FloatArray) -> QualityFigures:
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
        # Of all pairs, a tie counting as half.
        above = np.sign(yes[:, None] - no[None, :])
        auc = float((above.mean() + 1.0) / 2.0)
    judged: QualityFigures = {
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
    truth: FloatArray, index: NDArray[np.intp], repeated: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return the first and the second run of each repeated cell."""
    order = np.argsort(index, kind="stable")
    start = np.searchsorted(index[order], np.flatnonzero(repeated))
    return truth[order][start], truth[order][start + 1] if len(start) else truth[:0]


def _correlation(measure: Any, first: FloatArray, second: FloatArray) -> float | None:
    """Return a rank correlation; None where an order does not exist."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(measure(first, second).statistic)
