"""From trials to simple regret: what the best trial so far loses against the known optimum.

Inside, lower is better; regret is in the metric's own units and at least zero where the optimum
is one. A trial counts with the value that it recorded, at whichever fidelity it was run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import Metric

TOLERANCE = 1e-12

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrets:
    """Simple regret of several optimizers on one benchmark, over the seeds they share.

    `curves` is `(n_optimizers, n_seeds, n_trials)` in the metric's units; `trials` is
    `(n_optimizers, n_seeds)`, the trials really run, and `unfinished` of the same shape those
    among them that diverged or failed. `dropped` holds the seeds that some optimizer lacks.
    """

    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    dropped: tuple[int, ...]
    curves: FloatArray
    trials: NDArray[np.int64]
    unfinished: NDArray[np.int64]


def regrets(
    frame: pd.DataFrame,
    *,
    benchmark: str,
    optimizers: Sequence[str],
    metric: Metric,
    optimum: float,
) -> Regrets:
    """Return the regret after each trial, of every optimizer and common seed, on one benchmark.

    Trials count in the order of the frame. A trial whose status is not `ok`, or whose value is
    not finite, counts as `metric.worst`. A trajectory that ended before the longest one keeps its
    incumbent: it asked for no more, so that is what its user would hold. Values within 1e-12 of
    each other are made equal, so that a tie is an equality from here on.

    Args:
        frame: trajectories, with the columns `benchmark, optimizer, seed, status` and the metric.
        benchmark: which benchmark's rows to take.
        optimizers: the order of the first axis of the answer.
        metric: the objective; its direction is applied here.
        optimum: the best value of the metric, in its own units and direction.

    Raises:
        IntegrityError: a column is missing, a trial stands twice, or the optimizers share no seed.
    """
    rows = _rows_of(frame, benchmark, metric)
    by_optimizer = {o: rows.loc[rows["optimizer"] == o] for o in optimizers}
    held = {o: {int(seed) for seed in part["seed"].unique()} for o, part in by_optimizer.items()}
    seeds = tuple(sorted(set.intersection(*held.values())))
    if not seeds:
        counts = ", ".join(f"{name} has {len(own)}" for name, own in held.items())
        raise IntegrityError(f"{benchmark}: the optimizers share no seed: {counts}")

    number = rows.groupby(["optimizer", "seed"], sort=False).cumcount()
    shape = (len(optimizers), len(seeds), int(number.max()) + 1)
    losses = np.full(shape, np.inf)
    trials = np.zeros(shape[:2], dtype=np.int64)
    unfinished = np.zeros(shape[:2], dtype=np.int64)
    for index, part in enumerate(by_optimizer.values()):
        part = part.loc[part["seed"].isin(seeds)]
        row = np.searchsorted(seeds, part["seed"].to_numpy())
        values = part[metric.name].where(part["status"] == "ok")
        losses[index, row, number.loc[part.index]] = [metric.to_loss(float(v)) for v in values]
        trials[index] = np.bincount(row, minlength=len(seeds))
        unfinished[index] = np.bincount(row, part["status"] != "ok", minlength=len(seeds))
    return Regrets(
        optimizers=tuple(optimizers),
        seeds=seeds,
        dropped=tuple(sorted(set.union(*held.values()) - set(seeds))),
        curves=snap(incumbents(losses) - metric.to_loss(optimum)),
        trials=trials,
        unfinished=unfinished,
    )


def incumbents(losses: FloatArray) -> FloatArray:
    """Return the lowest loss so far along the last axis; infinity stands for "no trial"."""
    return np.minimum.accumulate(losses, axis=-1)


def snap(values: FloatArray) -> FloatArray:
    """Make values equal that lie within 1e-12 of their neighbour, and those that near zero, zero.

    The order of the values is kept.
    """
    distinct, place = np.unique(
        np.where(np.abs(values) <= TOLERANCE, 0.0, values), return_inverse=True
    )
    starts = np.concatenate(([True], np.diff(distinct) > TOLERANCE))
    snapped: FloatArray = distinct[starts][np.cumsum(starts) - 1][place].reshape(values.shape)
    return snapped


def _rows_of(frame: pd.DataFrame, benchmark: str, metric: Metric) -> pd.DataFrame:
    needed = ("benchmark", "optimizer", "seed", "status", metric.name)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise IntegrityError(f"trajectories without the columns {', '.join(missing)}")
    rows = frame.loc[frame["benchmark"] == benchmark].reset_index(drop=True)
    keys = ["optimizer", "seed", "trial"]
    if "trial" in rows.columns and rows.duplicated(keys).any():
        first = rows.loc[rows.duplicated(keys), keys].iloc[0].to_dict()
        raise IntegrityError(f"{benchmark}: a trial stands twice: {first}")
    return rows
