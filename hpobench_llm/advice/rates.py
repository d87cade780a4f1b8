"""The best learning rate for each rank and batch, and how far tables agree on it."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpobench_llm.advice.problem import Problem
from hpobench_llm.advice.settings import BATCH, RANK, RATE

FEWEST = 3  # learning rates of one rank and batch in a table, below which none is best

Cell = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRate:
    """The learning rates that are best at one rank and batch, over the tables that have them.

    `rank` and `batch` are None where these tables do not say them. `middle` is the geometric
    median over tables, `low` and `high` their extremes, `at_edge` in how many of the tables the
    best is the lowest or the highest that was tried.
    """

    rank: float | None
    batch: float | None
    tables: int
    middle: float
    low: float
    high: float
    at_edge: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def best_rates(problems: Sequence[Problem]) -> list[BestRate]:
    """Return the best learning rates by rank and batch, whatever the other axes are at it."""
    found: dict[Cell, list[tuple[float, bool]]] = defaultdict(list)
    for problem in problems:
        for cell, one in _of_one(problem).items():
            found[cell].append(one)
    rates = []
    for rank, batch in sorted(found, key=lambda cell: (cell[0] or 0.0, cell[1] or 0.0)):
        best = found[rank, batch]
        values = np.array([rate for rate, _ in best])
        rates.append(
            BestRate(
                rank=rank,
                batch=batch,
                tables=len(best),
                middle=math.exp(float(np.median(np.log(values)))),
                low=float(values.min()),
                high=float(values.max()),
                at_edge=sum(edge for _, edge in best),
            )
        )
    return rates


def _of_one(problem: Problem) -> dict[Cell, tuple[float, bool]]:
    """Return the best learning rate of each cell of a table, and whether it lies at an edge."""
    cells: dict[Cell, dict[float, float]] = defaultdict(dict)
    for config, regret in zip(problem.configs, problem.regrets.tolist(), strict=True):
        settings = problem.settings(config)
        cell = _number(settings.get(RANK)), _number(settings.get(BATCH))
        rate = float(settings[RATE])
        cells[cell][rate] = min(regret, cells[cell].get(rate, math.inf))
    best = {}
    for cell, regrets in cells.items():
        if len(regrets) >= FEWEST:
            rate = min(regrets, key=lambda each: (regrets[each], each))
            best[cell] = rate, rate in (min(regrets), max(regrets))
    return best


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
