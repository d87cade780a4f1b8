"""The spending of a trajectory after each of its trials: the horizontal axis of every curve.

It is counted in the unit of the study's budget. One exception: trials. Where some trials were run
in part, a count of trials says nothing about cost, so they are counted in full: a trial at a
quarter of the fidelity is a quarter of a trial, and one that resumes another adds what it adds.
Such curves end with the first trajectory that used up its trials, since up to there the methods
can be compared at equal cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.errors import IntegrityError
from hpobench_llm.replaying.budget import EVALUATIONS, SECONDS, TOKENS, Budget
from hpobench_llm.replaying.columns import FIDELITY, column

TRIALS, IN_FULL = "trials", "trials in full"
POINTS = 100  # of a curve over anything but trials

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spending:
    """How spending is counted: `unit`, and up to which `amount` (None: as far as trials go).

    Without `checkpoints` a trial that resumes another paid for all of it.
    """

    unit: str = TRIALS
    amount: float | None = None
    checkpoints: bool = True

    @staticmethod
    def of(
        frame: pd.DataFrame,
        benchmarks: Mapping[str, ComparedBenchmark],
        budget: Budget | None = None,
        *,
        checkpoints: bool = True,
    ) -> "Spending":
        """Return how spending is counted in a study with this budget a replay; None: in trials."""
        if budget is not None and budget.unit != EVALUATIONS:
            return Spending(budget.unit, budget.amount, checkpoints)
        part = any(
            (compared.shares(frame.loc[frame["benchmark"] == name]) < 1).any()
            for name, compared in benchmarks.items()
        )
        return Spending(IN_FULL if part else TRIALS, None, checkpoints)

    def after(self, rows: pd.DataFrame, compared: ComparedBenchmark) -> FloatArray:
        """Return `(n_trials,)`: the spending of one trajectory when each trial finished.

        Raises:
            IntegrityError: a column is missing, or lacks a value that is to be counted.
        """
        if self.unit == TRIALS:
            return np.arange(1.0, len(rows) + 1)
        if self.unit == SECONDS:
            return _column(rows, "finished_seconds")
        if self.unit == TOKENS:
            return np.cumsum(_column(rows, "tokens"))
        if self.unit == IN_FULL:
            levels = compared.shares(rows)
        else:
            levels = _column(rows, column(rows, FIDELITY, self.unit))
        if self.checkpoints and "resumes" in rows.columns:
            resumes = rows["resumes"]
            reached = pd.Series(levels, index=rows["trial"].to_numpy())
            absent = resumes[resumes.notna() & ~resumes.isin(reached.index)]
            if len(absent):
                row = rows.loc[absent.index[0]]
                raise IntegrityError(
                    f"{row['benchmark']}: {row['optimizer']}, seed {row['seed']} resumes "
                    f"trial {absent.iloc[0]:g}, which is not there"
                )
            levels = levels - resumes.map(reached).fillna(0.0).to_numpy(dtype=np.float64)
        return np.cumsum(levels)

    def grid(self, spent: Sequence[FloatArray]) -> FloatArray:
        """Return the amounts at which a benchmark's curves are drawn, from the spending on it."""
        longest = max(len(amounts) for amounts in spent)
        if self.unit == TRIALS:
            return np.arange(1.0, longest + 1)
        end = self.amount
        if end is None:
            end = min(float(amounts[-1]) for amounts in spent if len(amounts) == longest)
        return end * np.arange(1, POINTS + 1) / POINTS

    def ended_early(self, spent: FloatArray, dearest: float, longest: int) -> bool:
        """Return whether a trajectory ended though its budget had room for any other trial.

        Args:
            spent: the trajectory's spending after each trial.
            dearest: the most that any trial on the benchmark took.
            longest: the most trials that any trajectory has.
        """
        if self.amount is None:
            return len(spent) < longest
        return float(spent[-1]) + dearest < self.amount


def _column(rows: pd.DataFrame, name: str) -> FloatArray:
    if name not in rows.columns:
        raise IntegrityError(f"trajectories without the columns {name}")
    values: FloatArray = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = rows.iloc[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise IntegrityError(
            f"{row['benchmark']}: `{name}` is not known of all trials, so a budget in it cannot "
            f"be counted (first: {row['optimizer']}, seed {row['seed']})"
        )
    return values
