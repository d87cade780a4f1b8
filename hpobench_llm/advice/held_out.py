"""How far a portfolio carries: it is made without some tables, and tried on them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hpobench_llm.advice.judged_table import JudgedTable
from hpobench_llm.advice.portfolio import Candidates

FEWEST = 3  # tables: of fewer, none can be left out
Unit = Literal["table", "family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The regrets of settings on tables that had no part in choosing them.

    `median` and `worst` are in typical regrets, over the `tables` that measured something near the
    settings; `near` counts the tables on which they are near the best.
    """

    tables: int
    near: int
    median: float
    worst: float

    @staticmethod
    def of(regrets: Sequence[float], near: Sequence[bool]) -> "Tried":
        """Summarise regrets, which are NaN for a table that measured nothing near."""
        measured = [regret for regret in regrets if not math.isnan(regret)]
        return Tried(
            tables=len(measured),
            near=sum(near),
            median=float(np.median(measured)) if measured else math.nan,
            worst=max(measured, default=math.nan),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is not known is null."""
        return {
            k: None if isinstance(v, float) and math.isnan(v) else v
            for k, v in asdict(self).items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A portfolio made without each `unit` in turn: its first settings, and the best of them all.

    The best of all costs as many trials as the portfolio is long.
    """

    unit: Unit
    folds: int
    first: Tried
    best: Tried

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "unit": self.unit,
            "folds": self.folds,
            "first": self.first.to_json(),
            "best": self.best.to_json(),
        }


def held_out(
    tables: Sequence[JudgedTable], candidates: Candidates, length: int, unit: Unit
) -> HeldOut | None:
    """Leave out each table, or each family of related tables, in turn; None: there are too few.

    Settings that only the left-out tables have measured are no candidates.
    """
    names = [table.name if unit == "table" else table.family for table in tables]
    folds = list(dict.fromkeys(names))
    if len(tables) < FEWEST or len(folds) < 2:
        return None
    first: list[tuple[float, bool]] = []
    best: list[tuple[float, bool]] = []
    for fold in folds:
        out = [number for number, name in enumerate(names) if name == fold]
        rest = [number for number in range(len(tables)) if number not in out]
        columns = candidates.greedy(rest, candidates.without(out), length)
        for number in out if columns else ():
            regrets, near = candidates.regrets[number, columns], candidates.near[number, columns]
            first.append((float(regrets[0]), bool(near[0])))
            measured = regrets[~np.isnan(regrets)]
            lowest = float(measured.min()) if len(measured) else math.nan
            best.append((lowest, bool(near.any())))
    return HeldOut(unit=unit, folds=len(folds), first=_summary(first), best=_summary(best))


def _summary(outcomes: Sequence[tuple[float, bool]]) -> Tried:
    return Tried.of([regret for regret, _ in outcomes], [near for _, near in outcomes])
