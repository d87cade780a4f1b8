"""Regret over trials, seconds and tokens: over the units that the budget does not count."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.regret import (
    answers_of,
    paid_for,
    rows_of,
    shared_parts,
    snap,
    worth_over,
)
from hpobench_llm.comparison.result import Band, BenchmarkComparison, Comparison
from hpobench_llm.comparison.spending import IN_FULL, TRIALS, Spending
from hpobench_llm.comparison.verdicts import Draws
from hpobench_llm.errors import IntegrityError
from hpobench_llm.replaying.budget import SECONDS, TOKENS

RESAMPLES = 1000  # of seeds; no verdict follows from these curves


@dataclass(frozen=True, slots=True)
class Course:
    """Median regret of each optimizer at the amounts `grid` of one unit, with its intervals."""

    unit: str
    grid: tuple[float, ...]
    bands: dict[str, Band]


def courses(
    frame: pd.DataFrame,
    benchmarks: Mapping[str, ComparedBenchmark],
    comparison: Comparison,
    *,
    checkpoints: bool = True,
) -> dict[str, tuple[Course, ...]]:
    """Return for each benchmark its regrets over every unit but that of the comparison.

    A unit is left out if some trial lacks it. Curves end with the first trajectory that used up
    its budget.

    Args:
        frame: the trajectories that were compared.
        benchmarks: their benchmarks, by name.
        comparison: the result of `compare_trajectories`.
        checkpoints: whether a resumed trial paid only for what it added.
    """
    return {
        result.benchmark: _courses(
            frame, result, benchmarks[result.benchmark], comparison, checkpoints
        )
        for result in comparison.benchmarks
    }


def _units(result: BenchmarkComparison, comparison: Comparison) -> list[str]:
    trials = IN_FULL if result.in_part else TRIALS
    units = [trials, *([SECONDS] if result.costs_known else []), TOKENS]
    return [unit for unit in units if unit != comparison.spending]


def _courses(
    frame: pd.DataFrame,
    result: BenchmarkComparison,
    compared: ComparedBenchmark,
    comparison: Comparison,
    checkpoints: bool,
) -> tuple[Course, ...]:
    names = [standing.optimizer for standing in result.standings]
    rows = rows_of(frame, result.benchmark, compared)
    parts, seeds, _ = shared_parts(rows, result.benchmark, names)
    worth = {
        key: worth_over(answers, judged, compared)
        for key, (answers, judged) in answers_of(rows, parts, compared).items()
    }
    draw = Draws(comparison.alpha, RESAMPLES, comparison.seed, comparison.paired)
    per_unit = []
    for unit in _units(result, comparison):
        spending = Spending(unit, None, checkpoints)
        try:
            spent = {key: spending.after(part, compared) for key, part in parts.items()}
        except IntegrityError:  # the unit is not known of all trials
            continue
        grid = spending.grid(list(spent.values()))
        bands = {}
        for name in names:
            curves = [worth[name, s][paid_for(spent[name, s], grid)] for s in seeds]
            regret = snap(np.array(curves) - compared.loss_of_optimum)
            bands[name] = draw.median(regret, f"{result.benchmark} over {unit}")
        per_unit.append(Course(unit, tuple(grid.tolist()), bands))
    return tuple(per_unit)
