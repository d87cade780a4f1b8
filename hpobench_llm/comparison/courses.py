"""Regret against what else was spent: trials, seconds or tokens, beside the unit of the budget."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from hpobench_llm.comparison.problem import Problem
from hpobench_llm.comparison.regret import regrets
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
    problems: Mapping[str, Problem],
    comparison: Comparison,
    *,
    checkpoints: bool = True,
) -> dict[str, tuple[Course, ...]]:
    """Return for each benchmark its regrets over every unit but that of the comparison.

    A unit is left out where it is not known of all trials. Curves end where the first trajectory
    ends that used up its budget.

    Args:
        frame: the trajectories that were compared.
        problems: what they were judged by.
        comparison: what `compare_trajectories` returned.
        checkpoints: whether a resumed trial paid only for what it added.
    """
    return {
        result.benchmark: tuple(
            course
            for unit in _units(result, comparison)
            if (
                course := _course(
                    frame, result, problems[result.benchmark], comparison, unit, checkpoints
                )
            )
        )
        for result in comparison.benchmarks
    }


def _units(result: BenchmarkComparison, comparison: Comparison) -> list[str]:
    trials = IN_FULL if result.in_part else TRIALS
    units = [trials, *([SECONDS] if result.costs_known else []), TOKENS]
    return [unit for unit in units if unit != comparison.spending]


def _course(
    frame: pd.DataFrame,
    result: BenchmarkComparison,
    problem: Problem,
    comparison: Comparison,
    unit: str,
    checkpoints: bool,
) -> Course | None:
    names = [standing.optimizer for standing in result.standings]
    try:
        found = regrets(
            frame,
            benchmark=result.benchmark,
            optimizers=names,
            problem=problem,
            spending=Spending(unit, None, checkpoints),
        )
    except IntegrityError:  # the unit is not known of all trials
        return None
    draw = Draws(comparison.alpha, RESAMPLES, comparison.seed, comparison.paired)
    purpose = f"{result.benchmark} over {unit}"
    bands = [draw.median(curves, purpose) for curves in found.curves]
    return Course(unit, tuple(found.grid.tolist()), dict(zip(names, bands, strict=True)))
