"""The spec of a generic import: files, their layout, and what each column is."""

import re
from dataclasses import dataclass, field
from typing import Literal

from hpobench_llm.errors import nearest
from hpobench_llm.tables.columns import MEASURES
from hpobench_llm.tables.importers.generic.column_specs import (
    Cell,
    CostSpec,
    FidelitySpec,
    FilterSpec,
    HyperparameterSpec,
    MetricSpec,
    StatusSpec,
)
from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import LICENCE_NOT_STATED, check_name

SOURCE_FILE = "source_file"  # a column of every row, for specs that tell files apart
ADDED = "added_after_end"
PRUNED = "pruned"
_RESERVED = ("config_id", "seed", "status", "source_row", SOURCE_FILE, ADDED)
HIDDEN = "~"  # begins the names of columns that never reach the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may hold before it is refused.

    Args:
        rows: at least 1.
        cells: at least 1.
        decoded_bytes: when decompressed and read; memory is a few times as much.
    """

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

    In every table of columns (`[hyperparameters.COLUMN]`, `[metrics.COLUMN]`, ...) the key is the
    column's name in the file; dots reach into nested JSON.

    Args:
        name: that of the table.
        description: a sentence on what was measured.
        hyperparameters: the axes by column, at least one.
        metrics: the metrics by column, at least one; in layout `wide` the key has a `*` where
            the fidelity's value stands.
        file: one file beside the spec, or a pattern such as `runs/*.csv`; this, `files`, or
            `--from`.
        files: several of one layout, each (or each pattern) with columns of its own:
            `[files."small.csv"]` with `share = 0.1`. The column `source_file` is the file's name.
        licence: that of the rows, as an SPDX name where the table is to be passed on.
        version: of the table.
        context: what a reader of the card must know beside the description.
        source: where the rows come from, for the card.
        format: of the file; `auto`: by its name.
        delimiter: one character between the cells of a CSV file.
        records: in JSON the list of objects, by names with dots.
        layout: `rows`: a row a checkpoint, or a row a run without curves. `lists`: a row a run,
            its curves as lists. `pairs`: the same, a curve a list of `[fidelity, value]`. `wide`:
            a row a run, a column a checkpoint.
        keep: `last` makes a table without fidelities out of each run's last row.
        fidelities: the axes along which runs were measured, by column.
        costs: seconds and tokens, by column.
        status: how runs ended.
        filters: which rows are imported, by column.
        run: rows of one value of this column are one run; left out, those of one configuration
            and seed.
        seed: the column, or columns, that tell seeds apart; left out, repeats are numbered.
        task: the column, or columns, each value of which becomes a table of its own, in one
            space.
        extra: further columns that the table keeps.
        duplicates: whether two runs of one configuration and seed are an error, or repeats.
        short_curves: what a run is that ends ok before the longest. `unmeasured`: nothing beyond
            its end is known. `diverged`, `failed`, `out_of_memory`: it broke there, and every
            later checkpoint gets that status, without values, at the cost of its end. `drop`: it
            is left out.
        limits: what a file may hold.
        publication: whose the table is and what it is for.
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


def source_column(column: str) -> str:
    """Return the name of the column that keeps what the file calls a seed."""
    return f"source_{column}"


def _several(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns
