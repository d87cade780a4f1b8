"""The best learning rate for each rank and batch, and how far tables agree on it."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpobench_llm.advice.judged_table import JudgedTable
from hpobench_llm.advice.settings import BATCH, RANK, RATE

FEWEST = 3  # learning rates of one rank and batch in a table: of fewer, none counts as best

RankAndBatch = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRate:
    """The best learning rates at one rank and batch, over the tables that have these.

    `rank` and `batch` are None if the tables do not state them. `middle` is the geometric median
    over tables, `low` and `high` are the extremes. `at_edge` counts the tables whose best is the
    lowest or the highest that was tried.
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


def best_rates(tables: Sequence[JudgedTable]) -> list[BestRate]:
    """Return the best learning rates by rank and batch, with all other axes free."""
    by_cell: dict[RankAndBatch, list[tuple[float, bool]]] = defaultdict(list)
    for table in tables:
        for cell, best in _of_one(table).items():
            by_cell[cell].append(best)
    rates = []
    for rank, batch in sorted(by_cell, key=lambda cell: (cell[0] or 0.0, cell[1] or 0.0)):
        bests = by_cell[rank, batch]
        values = np.array([rate for rate, _ in bests])
        rates.append(
            BestRate(
                rank=rank,
                batch=batch,
                tables=len(bests),
                middle=math.exp(float(np.median(np.log(values)))),
                low=float(values.min()),
                high=float(values.max()),
                at_edge=sum(edge for _, edge in bests),
            )
        )
    return rates


def _of_one(table: JudgedTable) -> dict[RankAndBatch, tuple[float, bool]]:
    """Return the best learning rate of each cell of a table, and whether it lies at an edge."""
    cells: dict[RankAndBatch, dict[float, float]] = defaultdict(dict)
    for config, regret in zip(table.configs, table.regrets.tolist(), strict=True):
        settings = table.settings(config)
        cell = _number(settings.get(RANK)), _number(settings.get(BATCH))
        rate = float(settings[RATE])
        cells[cell][rate] = min(regret, cells[cell].get(rate, math.inf))
    best = {}
    for cell, regrets in cells.items():
        if len(regrets) >= FEWEST:
            rate = min(regrets, key=lambda rate: (regrets[rate], rate))
            best[cell] = rate, rate in (min(regrets), max(regrets))
    return best


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
