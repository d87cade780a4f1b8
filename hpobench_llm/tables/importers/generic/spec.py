"""The spec of a generic import: what each column of a file of tuning results is.

In every table of columns (`[hyperparameters.<column>]`, `[metrics.<column>]`, ...) the key is the
column's name in the file and `name` what it becomes; a nested value of JSON is named with dots.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from hpobench_llm.errors import nearest
from hpobench_llm.metrics import Role
from hpobench_llm.tables.columns import MEASURES
from hpobench_llm.tables.importers.generic.cells import comparable
from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import LICENCE_NOT_STATED, check_name

Cell = str | int | float
SOURCE_FILE = "source_file"  # a column of every row, for specs that tell files apart
ADDED = "added_after_end"
PRUNED = "pruned"
_RESERVED = ("config_id", "seed", "status", "source_row", SOURCE_FILE, ADDED)
HIDDEN = "~"  # begins the names of columns that never reach the table


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperparameterSpec:
    """One axis; what is left out is inferred from the values, and the provenance says so.

    `auto` makes names (lists count as names) categorical, up to 12 distinct numbers ordinal,
    others a range. `missing` stands in for an empty cell or NaN, which is an error without it; how
    often it did is noted. An ordinal axis whose `values` are names is numbered from 0 in their
    order.

    `only_if` says that the axis exists only where other hyperparameters have one of some values:
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
    """One metric. `worst` is by default the worst finite value of the table.

    `role` is by default `objective` for the first metric. Of the others one that is named after
    training is a `diagnostic`, one to maximize a `score`, any else an `objective` too.

    `missing` says what an empty cell means: by default a failed run for the first metric and "not
    measured here" for the others. `per_run` marks, in layouts with curves, a value of the run's
    end that no checkpoint has.
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

    `so_far`: since the run began. `since_last`: since the row before. `whole_run`: of the run,
    known at its end alone. `whole_run_evenly`: the same, shared along the fidelity by assumption.
    The unit `duration` is of texts that say their own: "0 days 00:01:02.5", "PT1M2.5S", "1m 2s".
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
    """A column of statuses: what each of its values means; `drop` leaves the row out, counted.

    `pruned` is a run that was ended on purpose: ok as far as it went, unknown beyond.
    """

    column: str
    values: dict[str, Literal["ok", "diverged", "out_of_memory", "failed", "pruned", "drop"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSpec:
    """Which rows to import, by a column; the others are left out and counted.

    The value "" is an empty cell. With a bound every cell must be a number, and an empty one is
    left out.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may hold before it is refused: memory is a few times `decoded_bytes`."""

    rows: int = 5_000_000
    cells: int = 20_000_000
    decoded_bytes: int = 2**30

    def __post_init__(self) -> None:
        for name in ("rows", "cells", "decoded_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSpec:
    """Files of tuning results and what their columns are.

    `file` is one file, or a pattern such as `runs/*.csv`; `files` are several of one layout, each
    (or each pattern) with columns of its own: `[files."small.csv"]` with `share = 0.1`. The column
    `source_file` is the file's name. In JSON, `records` names the list of objects, with dots.

    `layout` is `rows` (a row a checkpoint, or a row a run without curves), `lists` (a row a run,
    its curves as lists), `pairs` (the same, a curve a list of `[fidelity, value]`) or `wide` (a
    row a run, a column a checkpoint: the metric's key has a `*` where the fidelity's value
    stands).

    `short_curves` says what a run is that ends ok before the longest: `unmeasured` (nothing beyond
    its end is known), `diverged`, `failed` or `out_of_memory` (it broke there: every later
    checkpoint gets that status, without values, at the cost of its end), `drop`, or `error`.
    `keep = "last"` makes a table without fidelities out of each run's last row. `publication` says
    whose the table is and what it is for.
    """

    name: str
    description: str
    hyperparameters: dict[str, HyperparameterSpec]
    metrics: dict[str, MetricSpec]
    file: str = ""
    files: dict[str, dict[str, Cell]] = field(default_factory=dict)
    licence: str = LICENCE_NOT_STATED
    version: str = "1"
    context: str = ""
    source: str = ""
    format: Literal["auto", "csv", "json", "jsonl", "parquet"] = "auto"
    delimiter: str = ","
    records: str = ""
    layout: Literal["rows", "lists", "pairs", "wide"] = "rows"
    keep: Literal["all", "last"] = "all"
    fidelities: dict[str, FidelitySpec] = field(default_factory=dict)
    costs: dict[str, CostSpec] = field(default_factory=dict)
    status: StatusSpec | None = None
    filters: dict[str, FilterSpec] = field(default_factory=dict)
    run: str = ""
    seed: str | tuple[str, ...] = ()
    task: str | tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    duplicates: Literal["error", "repeats"] = "error"
    short_curves: Literal["unmeasured", "diverged", "failed", "out_of_memory", "drop", "error"] = (
        "unmeasured"
    )
    limits: Limits = field(default_factory=Limits)
    publication: Publication = field(default_factory=Publication)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.hyperparameters or not self.metrics:
            raise ValueError("at least one of `hyperparameters` and one of `metrics` are needed")
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")
        if self.file and self.files:
            raise ValueError("`file` or `files`, not both")
        for column, entry in self.hyperparameters.items():
            for other in entry.only_if:
                if other not in self.hyperparameters or other == column:
                    raise ValueError(
                        f"hyperparameters.{column}.only_if: {other!r} is no other hyperparameter"
                        f"{nearest(other, self.hyperparameters)}"
                    )
        names = [*self.axes.values(), *self.fidelity_names.values(), *self.metric_names.values()]
        names += [cost.name for cost in self.costs.values()]
        stderrs = [metric.stderr for metric in self.metrics.values() if metric.stderr]
        names += [*self.extra, *(s for s in dict.fromkeys(stderrs) if s not in self.extra)]
        names += [source_column(column) for column in self.seed_columns]
        for name in names:
            if name in _RESERVED or names.count(name) > 1:
                raise ValueError(f"two columns would be called {name!r}; rename one with `name`")
            if name.startswith(HIDDEN):
                raise ValueError(f"a column may not begin with {HIDDEN}: rename {name!r}")
        for name in self.axes.values():
            if name in MEASURES:
                raise ValueError(
                    f"{name!r} is in every table what a run has cost so far, so no axis can be "
                    "called so; rename it with `name`"
                )
        if self.layout != "rows" and len(self.fidelities) != 1:
            raise ValueError(f"layout {self.layout!r} needs exactly one fidelity")
        if self.layout in ("lists", "pairs") and all(m.per_run for m in self.metrics.values()):
            raise ValueError(f"layout {self.layout!r} needs a metric that is not `per_run`")
        stars = [key for key in self.metrics if "*" in key]
        if bool(stars) != (self.layout == "wide"):
            raise ValueError("a `*` in a metric's key goes with layout 'wide', and one is needed")
        if len(self.fidelities) > 1 and (self.keep == "last" or self.short_curves != "unmeasured"):
            raise ValueError("`keep` and `short_curves` need a single fidelity: runs have one end")
        if not self.fidelities and self.keep == "last":
            raise ValueError("keep = 'last' needs a fidelity to know a run's last row by")

    @property
    def axes(self) -> dict[str, str]:
        """The axis's name by its column."""
        return {column: spec.name or column for column, spec in self.hyperparameters.items()}

    @property
    def fidelity_names(self) -> dict[str, str]:
        """The fidelity's name by its column."""
        return {column: spec.name or column for column, spec in self.fidelities.items()}

    @property
    def metric_names(self) -> dict[str, str]:
        """The metric's name by its column or pattern."""
        return {
            column: spec.name or re.sub(r"[_./-]?\*", "", column)
            for column, spec in self.metrics.items()
        }

    @property
    def seed_columns(self) -> tuple[str, ...]:
        """The columns that tell seeds apart."""
        return tuple(c for c in _several(self.seed))

    @property
    def task_columns(self) -> tuple[str, ...]:
        """The columns that tell tasks apart; each combination is a table of its own."""
        return _several(self.task)

    def plain_columns(self) -> list[str]:
        """Return the columns that must be there by name, each once."""
        named = [*self.hyperparameters, *self.costs, *self.seed_columns, *self.task_columns]
        named += self.filters
        if self.layout == "rows":
            named += self.fidelities
        elif self.layout == "lists":
            named += [column for column, spec in self.fidelities.items() if spec.first is None]
        named += [column for column in self.metrics if "*" not in column]
        named += [metric.stderr for metric in self.metrics.values() if metric.stderr]
        named += [self.status.column] if self.status else []
        named += [self.run] if self.run else []
        return list(dict.fromkeys([*named, *self.extra]))


def _check_finite(**values: Cell | None) -> None:
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value}")


def source_column(column: str) -> str:
    """Return the name of the column that keeps what the file calls a seed."""
    return f"source_{column}"


def _several(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns
