"""From trials to simple regret: the loss of an optimizer's answer beyond the best there is.

A sound trial is ok and within the constraints. At any moment an optimizer's answer, its incumbent,
is the trial with the lowest loss among its sound trials at the highest fidelity that one of them
has reached. With several objectives the answer is all such trials that no other beats. It is
judged in full, whatever the fidelity of the trial: that is the run that its user would start. On a
table it is judged by every seed of its configuration, without the effect that a seed has on all
alike (see `hpobench_llm.seeds`), while an optimizer is told the mean over the seeds that all
configurations have. So a regret can rise, when a configuration that looked better turns out worse,
or a higher rung corrects a lower one.

Inside, lower is better; regret is in the metric's own units (of several objectives: the
hypervolume that is missing), against the best by all that is known, and never below zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import CONSTRAINT
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.spending import Spending
from hpobench_llm.errors import IntegrityError
from hpobench_llm.replaying.columns import METRIC, column

TOLERANCE = 1e-12

FloatArray = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrets:
    """Simple regret of several optimizers on one benchmark, over the seeds they share.

    `curves` is `(n_optimizers, n_seeds, n_points)` in the metric's units, at the amounts `grid`.
    `trials`, `unfinished` (of these, the ones that diverged or failed) and `infeasible` (the ones
    that broke a constraint) are `(n_optimizers, n_seeds)`, as are `empty`, whether a seed ended
    without any sound trial, and `early`, whether it ended before its budget. `fronts` holds for
    each optimizer and seed the losses `(n, n_objectives)` of the final answer. `dropped` are the
    seeds that some optimizer lacks. `others` is `(n_optimizers, n_seeds, n_others)`: losses of the
    final answer by the benchmark's other metrics.
    """

    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    dropped: tuple[int, ...]
    grid: FloatArray
    curves: FloatArray
    trials: Counts
    unfinished: Counts
    infeasible: Counts
    empty: NDArray[np.bool_]
    early: NDArray[np.bool_]
    fronts: tuple[tuple[FloatArray, ...], ...]
    others: FloatArray

    def only(self, optimizers: Sequence[str]) -> "Regrets":
        """Return the regrets of some optimizers, in this order."""
        if self.optimizers == tuple(optimizers):
            return self
        rows = [self.optimizers.index(name) for name in optimizers]
        return replace(
            self,
            optimizers=tuple(optimizers),
            curves=self.curves[rows],
            trials=self.trials[rows],
            unfinished=self.unfinished[rows],
            infeasible=self.infeasible[rows],
            empty=self.empty[rows],
            early=self.early[rows],
            fronts=tuple(self.fronts[row] for row in rows),
            others=self.others[rows],
        )


def regrets(
    frame: pd.DataFrame,
    *,
    benchmark: str,
    optimizers: Sequence[str],
    compared: ComparedBenchmark,
    spending: Spending | None = None,
) -> Regrets:
    """Return the regret at every amount spent, of every optimizer and common seed.

    Trials count in the order of the frame, in which they finished. Before the first sound
    trial the regret is that of the metric's `worst`. A trajectory that ended early keeps its
    incumbent: it asked for no more, so that is what its user would hold. Values within 1e-12 of
    each other are made equal, so that a tie is an equality from here on.

    Args:
        frame: trajectories, with the columns `benchmark, optimizer, seed, status`, the objectives,
            and what `Spending`, fidelities and constraints need.
        benchmark: which benchmark's rows to take.
        optimizers: the order of the first axis of the answer.
        compared: the benchmark, with its objectives.
        spending: how the budget is counted; None: in trials.

    Raises:
        IntegrityError: a column is missing, a trial is there twice, or optimizers share no seed.
    """
    spending = spending or Spending()
    rows = rows_of(frame, benchmark, compared)
    parts, seeds, dropped = shared_parts(rows, benchmark, optimizers)
    answered = answers_of(rows, parts, compared)
    failed, broken = (rows["status"] != "ok").to_numpy(), ~compared.feasible(rows)
    spent = {key: spending.after(part, compared) for key, part in parts.items()}
    longest = max(len(amounts) for amounts in spent.values())
    dearest = max(float(np.diff(amounts, prepend=0.0).max()) for amounts in spent.values())
    grid = spending.grid(list(spent.values()))
    shape = (len(optimizers), len(seeds))
    curves = np.empty((*shape, len(grid)))
    trials, unfinished, infeasible = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    empty, early = (np.zeros(shape, dtype=np.bool_) for _ in range(2))
    fronts: list[tuple[FloatArray, ...]] = []
    others = np.empty((*shape, len(compared.others)))
    for i, optimizer in enumerate(optimizers):
        final = []
        for j, seed in enumerate(seeds):
            part, amounts = parts[optimizer, seed], spent[optimizer, seed]
            answers, judged = answered[optimizer, seed]
            paid = paid_for(amounts, grid)
            curves[i, j] = worth_over(answers, judged, compared)[paid]
            last = answers[paid[-1] - 1] if paid[-1] else ()
            final.append(judged[list(last)])
            others[i, j] = compared.elsewhere(part.iloc[list(last)])
            trials[i, j] = len(part)
            index = part.index.to_numpy()
            unfinished[i, j], infeasible[i, j] = int(failed[index].sum()), int(broken[index].sum())
            empty[i, j] = not last
            early[i, j] = spending.ended_early(amounts, dearest, longest)
        fronts.append(tuple(final))
    return Regrets(
        optimizers=tuple(optimizers),
        seeds=seeds,
        dropped=dropped,
        grid=grid,
        curves=snap(curves - compared.loss_of_optimum),
        trials=trials,
        unfinished=unfinished,
        infeasible=infeasible,
        empty=empty,
        early=early,
        fronts=tuple(fronts),
        others=others,
    )


def shared_parts(
    rows: pd.DataFrame, benchmark: str, optimizers: Sequence[str]
) -> tuple[dict[tuple[str, int], pd.DataFrame], tuple[int, ...], tuple[int, ...]]:
    """Return the trials of each optimizer and seed, the seeds that all have, and the others.

    Raises:
        IntegrityError: the optimizers share no seed.
    """
    parts = {
        (name, int(part["seed"].iloc[0])): part
        for name in optimizers
        for _, part in rows.loc[rows["optimizer"] == name].groupby("seed")
    }
    seeds_of: dict[str, set[int]] = {name: set() for name in optimizers}
    for name, seed in parts:
        seeds_of[name].add(seed)
    seeds = tuple(sorted(set.intersection(*seeds_of.values())))
    if not seeds:
        counts = ", ".join(f"{name} has {len(own)}" for name, own in seeds_of.items())
        raise IntegrityError(f"{benchmark}: the optimizers share no seed: {counts}")
    return parts, seeds, tuple(sorted(set.union(*seeds_of.values()) - set(seeds)))


def answers_of(
    rows: pd.DataFrame, parts: Mapping[tuple[str, int], pd.DataFrame], compared: ComparedBenchmark
) -> dict[tuple[str, int], tuple[list[tuple[int, ...]], FloatArray]]:
    """Return for each part its `incumbents`, and the losses in full of its trials."""
    # For all rows at once: parts are short and many, and selecting from a frame is slow.
    losses, shares, usable = compared.losses(rows), compared.shares(rows), compared.usable(rows)
    judged, _ = compared.judge(rows)
    by_part = {}
    for key, part in parts.items():
        index = part.index.to_numpy()
        answers = incumbents(losses[index], shares[index], usable[index])
        by_part[key] = answers, judged[index]
    return by_part


def paid_for(amounts: FloatArray, grid: FloatArray) -> Counts:
    """Return how many trials are paid for at each amount of a grid.

    A trial counts from the moment at which it is paid for; sums may differ in the last bits.
    """
    return np.searchsorted(amounts, grid * (1 + TOLERANCE), side="right")


def incumbents(
    losses: FloatArray, shares: FloatArray, usable: NDArray[np.bool_]
) -> list[tuple[int, ...]]:
    """Return after each trial the trials that are the answer: see the module.

    With one objective that is one trial at most, the earliest of equal ones.

    Args:
        losses: `(n_trials, n_objectives)`.
        shares: `(n_trials,)` of the whole run.
        usable: `(n_trials,)` whether a trial can be an answer.
    """
    answer: tuple[int, ...] = ()
    highest, answers = -np.inf, []
    for number in range(len(losses)):
        if usable[number] and shares[number] > highest:
            answer, highest = (number,), shares[number]
        elif usable[number] and shares[number] == highest:
            own, rivals = losses[number], losses[list(answer)]
            if not (rivals <= own).all(axis=1).any():
                beaten = (own <= rivals).all(axis=1)
                unbeaten = [i for i, out in zip(answer, beaten, strict=True) if not out]
                answer = (*unbeaten, number)
        answers.append(answer)
    return answers


def worth_over(
    answers: list[tuple[int, ...]], judged: FloatArray, compared: ComparedBenchmark
) -> FloatArray:
    """Return `(n_trials + 1,)`: `loss_of` before the first trial and after each."""
    worth = [compared.loss_of(judged[:0])]
    previous: tuple[int, ...] = ()
    for answer in answers:
        # A hypervolume is slow, and most trials do not change the answer.
        worth.append(worth[-1] if answer == previous else compared.loss_of(judged[list(answer)]))
        previous = answer
    return np.array(worth)


def snap(values: FloatArray) -> FloatArray:
    """Make values equal that lie within 1e-12 of their neighbour, and zero those that near it.

    The order of the values is kept.
    """
    near_zero = np.abs(values) <= TOLERANCE
    distinct, inverse = np.unique(np.where(near_zero, 0.0, values), return_inverse=True)
    starts = np.concatenate(([True], np.diff(distinct) > TOLERANCE))
    snapped: FloatArray = distinct[starts][np.cumsum(starts) - 1]
    return snapped[inverse].reshape(values.shape)


def rows_of(frame: pd.DataFrame, benchmark: str, compared: ComparedBenchmark) -> pd.DataFrame:
    """Return the trials on one benchmark, numbered from 0.

    Raises:
        IntegrityError: a column is missing, or a trial is there twice.
    """
    bounds = [f"{CONSTRAINT}{constraint.name}" for constraint in compared.constraints]
    metrics = [column(frame, METRIC, name) for name in compared.names]
    needed = ("benchmark", "optimizer", "seed", "status", *metrics, *bounds)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise IntegrityError(f"trajectories without the columns {', '.join(missing)}")
    rows = frame.loc[frame["benchmark"] == benchmark].reset_index(drop=True)
    keys = ["optimizer", "seed", "trial"]
    if "trial" in rows.columns and rows.duplicated(keys).any():
        first = rows.loc[rows.duplicated(keys), keys].iloc[0].to_dict()
        raise IntegrityError(f"{benchmark}: two rows are the same trial: {first}")
    return rows
