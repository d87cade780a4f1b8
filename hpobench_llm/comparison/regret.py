"""From trials to simple regret: what an optimizer's answer loses against the best there is.

At any moment an optimizer's answer, its incumbent, is the trial with the lowest loss among those
at the highest fidelity that any of its sound trials has reached so far: ok, and within the
constraints. Of several objectives it is all such trials that no other beats. The answer is judged
in full, whatever the fidelity at which it was seen: that is the run that its user would start. On
a table it is judged by all that is known of its configuration: by every seed that it was run with,
less what the seed does to all alike (see `hpobench_llm.seeds`), while an optimizer is told of the
seeds alone that all configurations have. So a regret can rise, when a configuration that looked
better is known to be worse, or a higher rung corrects a lower one.

Inside, lower is better; regret is in the metric's own units (of several objectives: the
hypervolume that is missing), against the best by all that is known, and never below zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import CONSTRAINT
from hpobench_llm.comparison.problem import Problem
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
    `trials`, `unfinished` (those of them that diverged or failed) and `infeasible` (those that
    broke a constraint) are `(n_optimizers, n_seeds)`, as are `empty`, whether a seed ended without
    any sound trial, and `early`, whether it ended before its budget. `fronts` holds for each
    optimizer and seed the losses `(n, n_objectives)` of the final answer. `dropped` are the seeds
    that some optimizer lacks. `others` is `(n_optimizers, n_seeds, n_others)`: losses of the
    final answer by the problem's other metrics.
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
        """Return the part of some optimizers, in this order."""
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
    problem: Problem,
    spending: Spending | None = None,
) -> Regrets:
    """Return the regret at every amount spent, of every optimizer and common seed.

    Trials count in the order of the frame, that in which they finished. Before the first sound
    trial the regret is that of the metric's `worst`. A trajectory that ended early keeps its
    incumbent: it asked for no more, so that is what its user would hold. Values within 1e-12 of
    each other are made equal, so that a tie is an equality from here on.

    Args:
        frame: trajectories, with the columns `benchmark, optimizer, seed, status`, the objectives,
            and what `Spending`, fidelities and constraints need.
        benchmark: which benchmark's rows to take.
        optimizers: the order of the first axis of the answer.
        problem: the objectives and what is known of them.
        spending: how the budget is counted; None: in trials.

    Raises:
        IntegrityError: a column is missing, a trial stands twice, or the optimizers share no seed.
    """
    spending = spending or Spending()
    rows = rows_of(frame, benchmark, problem)
    parts, seeds, dropped = shared_parts(rows, benchmark, optimizers)
    answered = answers_of(rows, parts, problem)
    failed, broken = (rows["status"] != "ok").to_numpy(), ~problem.feasible(rows)
    spent = {key: spending.after(part, problem) for key, part in parts.items()}
    longest = max(len(one) for one in spent.values())
    dearest = max(float(np.diff(one, prepend=0.0).max()) for one in spent.values())
    grid = spending.grid(list(spent.values()))
    shape = (len(optimizers), len(seeds))
    curves = np.empty((*shape, len(grid)))
    trials, unfinished, infeasible = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    empty, early = (np.zeros(shape, dtype=np.bool_) for _ in range(2))
    fronts: list[tuple[FloatArray, ...]] = []
    others = np.empty((*shape, len(problem.others)))
    for i, optimizer in enumerate(optimizers):
        final = []
        for j, seed in enumerate(seeds):
            part, amounts = parts[optimizer, seed], spent[optimizer, seed]
            answers, judged = answered[optimizer, seed]
            at = paid_for(amounts, grid)
            curves[i, j] = worth_over(answers, judged, problem)[at]
            last = answers[at[-1] - 1] if at[-1] else ()
            final.append(judged[list(last)])
            others[i, j] = problem.elsewhere(part.iloc[list(last)])
            trials[i, j] = len(part)
            place = part.index.to_numpy()
            unfinished[i, j], infeasible[i, j] = int(failed[place].sum()), int(broken[place].sum())
            empty[i, j] = not last
            early[i, j] = spending.ended_early(amounts, dearest, longest)
        fronts.append(tuple(final))
    return Regrets(
        optimizers=tuple(optimizers),
        seeds=seeds,
        dropped=dropped,
        grid=grid,
        curves=snap(curves - problem.loss_of_optimum),
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
    held = {o: {seed for name, seed in parts if name == o} for o in optimizers}
    seeds = tuple(sorted(set.intersection(*held.values())))
    if not seeds:
        counts = ", ".join(f"{name} has {len(own)}" for name, own in held.items())
        raise IntegrityError(f"{benchmark}: the optimizers share no seed: {counts}")
    return parts, seeds, tuple(sorted(set.union(*held.values()) - set(seeds)))


def answers_of(
    rows: pd.DataFrame, parts: Mapping[tuple[str, int], pd.DataFrame], problem: Problem
) -> dict[tuple[str, int], tuple[list[tuple[int, ...]], FloatArray]]:
    """Return for each part its `incumbents`, and what its trials are judged to be in full."""
    # All rows at once: a trajectory is short, and a table of rows dear to take apart.
    losses, shares, usable = problem.losses(rows), problem.shares(rows), problem.usable(rows)
    judged, _ = problem.judge(rows)
    found = {}
    for key, part in parts.items():
        place = part.index.to_numpy()
        answers = incumbents(losses[place], shares[place], usable[place])
        found[key] = answers, judged[place]
    return found


def paid_for(amounts: FloatArray, grid: FloatArray) -> Counts:
    """Return how many trials are paid for at each amount of a grid.

    A trial counts from the moment it is paid for; sums may differ in the last bits.
    """
    return np.searchsorted(amounts, grid * (1 + TOLERANCE), side="right")


def incumbents(
    losses: FloatArray, shares: FloatArray, usable: NDArray[np.bool_]
) -> list[tuple[int, ...]]:
    """Return after each trial the trials that are the answer: see the module.

    Of one objective that is one trial at most, the earliest among equals.

    Args:
        losses: `(n_trials, n_objectives)`.
        shares: `(n_trials,)` of the whole run.
        usable: `(n_trials,)` whether a trial can be an answer.
    """
    held: tuple[int, ...] = ()
    highest, found = -np.inf, []
    for number in range(len(losses)):
        if usable[number] and shares[number] > highest:
            held, highest = (number,), shares[number]
        elif usable[number] and shares[number] == highest:
            mine, rivals = losses[number], losses[list(held)]
            if not (rivals <= mine).all(axis=1).any():
                beaten = (mine <= rivals).all(axis=1)
                held = (*(i for i, out in zip(held, beaten, strict=True) if not out), number)
        found.append(held)
    return found


def worth_over(answers: list[tuple[int, ...]], judged: FloatArray, problem: Problem) -> FloatArray:
    """Return `(n_trials + 1,)`: `loss_of` before the first trial and after each."""
    worth = [problem.loss_of(judged[:0])]
    previous: tuple[int, ...] = ()
    for answer in answers:
        worth.append(worth[-1] if answer == previous else problem.loss_of(judged[list(answer)]))
        previous = answer
    return np.array(worth)


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


def rows_of(frame: pd.DataFrame, benchmark: str, problem: Problem) -> pd.DataFrame:
    """Return the trials on one benchmark, numbered from 0.

    Raises:
        IntegrityError: a column is missing, or a trial stands twice.
    """
    bounds = [f"{CONSTRAINT}{constraint.name}" for constraint in problem.constraints]
    metrics = [column(frame, METRIC, name) for name in problem.names]
    needed = ("benchmark", "optimizer", "seed", "status", *metrics, *bounds)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise IntegrityError(f"trajectories without the columns {', '.join(missing)}")
    rows = frame.loc[frame["benchmark"] == benchmark].reset_index(drop=True)
    keys = ["optimizer", "seed", "trial"]
    if "trial" in rows.columns and rows.duplicated(keys).any():
        first = rows.loc[rows.duplicated(keys), keys].iloc[0].to_dict()
        raise IntegrityError(f"{benchmark}: a trial stands twice: {first}")
    return rows
