"""How good a surrogate is on configurations that it has not seen, as figures in plain JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from hpobench_llm.surrogates.encoding import FloatArray

COVERAGES = (0.5, 0.8, 0.9)


def figures(
    truth: FloatArray,
    predicted: FloatArray,
    cell: NDArray[np.intp],
    covered: Mapping[float, NDArray[np.bool_]] | None = None,
) -> dict[str, Any]:
    """Compare held-out predictions with the truth, in the target's own units.

    A cell is a configuration at a fidelity; its truth is the mean over its seeds. `r2`,
    `kendall_tau`, `spearman` and `mean_absolute_error` compare cells, `coverage` single runs.
    What the seeds allow: `seed_standard_deviation`, a run's around its cell's mean; `r2_ceiling`,
    which the exact expectation would reach; `kendall_tau_between_seeds`, of a cell's first run
    with its second. A figure that does not exist is None.

    Args:
        truth: `(n,)` measured values.
        predicted: `(n,)` predictions by models that never saw the row's configuration.
        cell: `(n,)` number of the row's cell.
        covered: for each nominal coverage, `(n,)` whether the interval holds the run.
    """
    _, place = np.unique(cell, return_inverse=True)
    count = np.bincount(place)
    means, guesses = (np.bincount(place, v) / np.maximum(count, 1) for v in (truth, predicted))
    squares = np.bincount(place, (truth - means[place]) ** 2) if len(truth) else np.zeros(0)
    freedom = int((count - 1).sum())
    seeds = float(squares.sum() / freedom) if freedom else float("nan")
    spread = float(means.var()) if len(means) else 0.0
    error = float(((means - guesses) ** 2).mean()) if len(means) else float("nan")
    repeated = count > 1
    firsts, seconds = _first_two(truth, place, repeated)
    made: dict[str, Any] = {
        "runs": len(truth),
        "cells": len(means),
        "r2": 1.0 - error / spread if spread > 0 else None,
        "kendall_tau": _correlation(kendalltau, means, guesses),
        "spearman": _correlation(spearmanr, means, guesses),
        "mean_absolute_error": float(np.abs(means - guesses).mean()) if len(means) else None,
        "seed_standard_deviation": float(np.sqrt(seeds)),
        "r2_ceiling": 1.0 - seeds * float((1.0 / count).mean()) / spread if spread > 0 else None,
        "kendall_tau_between_seeds": _correlation(kendalltau, firsts, seconds),
    }
    if covered is not None:
        made["coverage"] = {
            f"{level:g}": float(held.mean()) if len(held) else None
            for level, held in covered.items()
        }
    return plain(made)


def probability_figures(happened: FloatArray, predicted: FloatArray) -> dict[str, Any]:
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
    return plain(
        {
            "runs": len(happened),
            "share": share,
            "mean_probability": float(predicted.mean()),
            "brier": float(((predicted - happened) ** 2).mean()),
            "brier_of_the_share": share * (1.0 - share),
            "auc": auc,
            "right_status": float(((predicted > 0.5) == (happened > 0.5)).mean()),
        }
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with every number that is not finite as None."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in values.items()
    }


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
