"""The roles of an imported file's columns: axis, fidelity, metric, cost, status, filter.

In every table of columns (`[hyperparameters.<column>]`, `[metrics.<column>]`, ...) the key is the
column's name in the file and `name` that in the table; a nested value of JSON is named with dots.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from hpobench_llm.metrics import Role
from hpobench_llm.tables.importers.generic.cells import comparable

Cell = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperparameterSpec:
    """One axis; what is left out is inferred from the values, and the provenance says so.

    Args:
        name: what the axis is called in the table; left out, as the column.
        kind: `auto` makes names (lists count as names) categorical, up to 12 distinct numbers
            ordinal, others a range.
        log: whether a range is spaced by its logarithm.
        low: the least value of a range; left out, the least that occurs.
        high: the largest value of a range; left out, the largest that occurs.
        values: those of an ordinal or categorical axis, in order. Where they are names, an ordinal
            axis is numbered from 0.
        unit: of the values.
        missing: stands in for an empty cell or NaN, which is an error without it; how often it
            did is noted.
        only_if: the axis exists only where other hyperparameters have one of some values;
            `missing` then stands for it elsewhere, whatever the file has there.
    """

    name: str = ""
    kind: Literal["auto", "float", "integer", "ordinal", "categorical"] = "auto"
    log: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[Cell, ...] = ()
    unit: str = ""
    missing: Cell | None = None
    only_if: dict[str, tuple[Cell, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(low=self.low, high=self.high, missing=self.missing)
        bounded = self.low is not None or self.high is not None
        if self.values and self.kind in ("float", "integer"):
            raise ValueError(f"`values` go with an ordinal or categorical axis, not {self.kind}")
        if bounded and (self.values or self.kind in ("ordinal", "categorical")):
            raise ValueError("`low` and `high` go with a float or integer axis")
        if self.only_if and self.missing is None:
            raise ValueError("`only_if` needs `missing`: the value that stands for it elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelitySpec:
    """One fidelity axis: a column of numbers, in layout `lists` a column of lists.

    In layout `lists` it may be no column at all: `first` and `every` then number the entries. In
    `pairs` and `wide` it is none.

    Args:
        name: what the axis is called in the table; left out, as the column.
        unit: of its values, `epochs`.
        first: the value of a list's first entry.
        every: from one entry to the next, above 0.
    """

    name: str = ""
    unit: str
    first: float | None = None
    every: float = 1.0

    def __post_init__(self) -> None:
        _check_finite(first=self.first, every=self.every)
        if self.every <= 0:
            raise ValueError(f"every must be above 0, got {self.every}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric; the first is the main one.

    Args:
        name: what the metric is called in the table; left out, as the column.
        direction: which way is better.
        unit: of the values.
        worst: what a run without a value counts as; left out, the worst finite value of the table.
        low: no value can be less.
        high: no value can be more.
        stderr: the column of its standard error.
        role: left out, `objective` for the first metric. Of the others one that is named after
            training is a `diagnostic`, one to maximize a `score`, any else an `objective` too.
        missing: what an empty cell means; left out, a failed run for the first metric and "not
            measured here" for the others.
        per_run: in layouts with curves, a value of the run's end that no checkpoint has.
    """

    name: str = ""
    direction: Literal["minimize", "maximize"]
    unit: str = ""
    worst: float | None = None
    low: float | None = None
    high: float | None = None
    stderr: str = ""
    role: Literal["", Role] = ""
    missing: Literal["", "failed", "diverged", "not_measured"] = ""
    per_run: bool = False

    def __post_init__(self) -> None:
        _check_finite(worst=self.worst, low=self.low, high=self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSpec:
    """A column of costs and how it counts.

    Args:
        name: what it becomes.
        unit: of the column; `duration` is of texts that say their own: "0 days 00:01:02.5",
            "PT1M2.5S", "1m 2s". `tokens` goes with `tokens_seen` alone.
        counts: `so_far`: since the run began. `since_last`: since the row before. `whole_run`: of
            the run, known at its end alone. `whole_run_evenly`: the same, shared along the
            fidelity by assumption.
    """

    name: Literal["train_seconds", "eval_seconds", "tokens_seen"] = "train_seconds"
    unit: Literal["milliseconds", "seconds", "minutes", "hours", "duration", "tokens"] = "seconds"
    counts: Literal["so_far", "since_last", "whole_run", "whole_run_evenly"] = "so_far"

    def __post_init__(self) -> None:
        if (self.unit == "tokens") != (self.name == "tokens_seen"):
            raise ValueError(f"a cost {self.name} cannot be in {self.unit}")

    @property
    def factor(self) -> float:
        """Seconds (or tokens) in one unit."""
        return {"milliseconds": 1e-3, "minutes": 60.0, "hours": 3600.0}.get(self.unit, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSpec:
    """A column of statuses.

    Args:
        column: its name in the file.
        values: what each of its values means. `pruned` is a run that was ended on purpose: ok as
            far as it went, unknown beyond; `drop` leaves the row out, counted.
    """

    column: str
    values: dict[str, Literal["ok", "diverged", "out_of_memory", "failed", "pruned", "drop"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSpec:
    """Which rows to import, by a column; the others are left out and counted.

    Args:
        only: the row has one of these; "" is an empty cell.
        without: the row has none of these.
        low: no less than this. With a bound every cell must be a number, and an empty one is left
            out.
        high: no more than this.
    """

    only: tuple[Cell, ...] = ()
    without: tuple[Cell, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _check_finite(low=self.low, high=self.high)
        if not (self.only or self.without) and self.low is None and self.high is None:
            raise ValueError("a filter needs `only`, `without`, `low` or `high`")

    def keeps(self, cell: object) -> bool:
        """Tell whether a row with this cell is imported."""
        value = comparable(cell)
        if self.only and value not in map(comparable, self.only):
            return False
        if value in map(comparable, self.without):
            return False
        if self.low is None and self.high is None:
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return not isinstance(value, str) and low <= value <= high


def _check_finite(**values: Cell | None) -> None:
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value}")
