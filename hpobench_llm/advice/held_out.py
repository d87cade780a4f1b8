"""How far a portfolio carries: made without some tables, tried on them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hpobench_llm.advice.portfolio import Candidates
from hpobench_llm.advice.problem import Problem

FEWEST = 3  # tables, below which nothing can be left out
Unit = Literal["table", "family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What settings lose on tables that had no part in choosing them.

    `median` and `worst` are regrets in typical ones, over the `tables` on which something near
    the settings was measured; `near` counts those of them on which they are near the best.
    """

    tables: int
    near: int
    median: float
    worst: float

    @staticmethod
    def of(regrets: Sequence[float], near: Sequence[bool]) -> "Tried":
        """Summarise the outcomes, NaN for a table that cannot say."""
        known = [regret for regret in regrets if not math.isnan(regret)]
        return Tried(
            tables=len(known),
            near=sum(near),
            median=float(np.median(known)) if known else math.nan,
            worst=max(known, default=math.nan),
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
    problems: Sequence[Problem], candidates: Candidates, length: int, unit: Unit
) -> HeldOut | None:
    """Leave out each table, or each family of related tables, in turn; None: there are too few.

    What only the left-out tables have measured is no candidate.
    """
    names = [problem.name if unit == "table" else problem.family for problem in problems]
    folds = list(dict.fromkeys(names))
    if len(problems) < FEWEST or len(folds) < 2:
        return None
    first: list[tuple[float, bool]] = []
    best: list[tuple[float, bool]] = []
    for fold in folds:
        out = [number for number, name in enumerate(names) if name == fold]
        rest = [number for number in range(len(problems)) if number not in out]
        chosen = candidates.greedy(rest, candidates.without(out), length)
        for number in out if chosen else ():
            losses, near = candidates.regrets[number, chosen], candidates.near[number, chosen]
            first.append((float(losses[0]), bool(near[0])))
            known = losses[~np.isnan(losses)]
            best.append((float(known.min()) if len(known) else math.nan, bool(near.any())))
    return HeldOut(unit=unit, folds=len(folds), first=_summary(first), best=_summary(best))


def _summary(outcomes: Sequence[tuple[float, bool]]) -> Tried:
    return Tried.of([regret for regret, _ in outcomes], [near for _, near in outcomes])
