"""From a spec and its files to drafts of tables, one for each task."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Fidelity, Metric, Role
from hpobench_llm.space import Space
from hpobench_llm.spec import read_spec
from hpobench_llm.tables.importers.generic import runs
from hpobench_llm.tables.importers.generic.axes import ImportedAxis, axis
from hpobench_llm.tables.importers.generic.cells import (
    Records,
    combinations,
    integers,
    is_missing,
    number,
    numbers,
    text,
)
from hpobench_llm.tables.importers.generic.column_specs import MetricSpec
from hpobench_llm.tables.importers.generic.curves import ROW, checkpoints
from hpobench_llm.tables.importers.generic.filters import Dropped, leave_out, statuses
from hpobench_llm.tables.importers.generic.outcomes import outcomes
from hpobench_llm.tables.importers.generic.read import read_records, sources
from hpobench_llm.tables.importers.generic.spec import (
    ADDED,
    HIDDEN,
    SOURCE_FILE,
    ImportSpec,
    source_column,
)
from hpobench_llm.tables.importers.imported import ImportedDraft
from hpobench_llm.tables.schema import LICENCE_NOT_STATED, check_name

NAME = "generic"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """The parts that all tables of an import share."""

    spec: ImportSpec
    records: Records
    axes: list[ImportedAxis]
    notes: list[str]
    dropped: Dropped
    files: list[Mapping[str, str | int]]


def drafts_of_spec(spec_file: Path, from_path: Path | None = None) -> list[ImportedDraft]:
    """Return the tables of a spec; `from_path` is another file, or the folder of its files.

    Raises:
        SpecError: the spec breaks a rule.
        DataError: a file breaks one; the message names file, line and column.
    """
    spec = read_spec(spec_file, ImportSpec)
    files = sources(spec_file, spec, from_path)
    records, dropped = leave_out(read_records(files, spec), spec)
    axes = [
        axis(records, column, entry, [c for c in spec.hyperparameters if c != column], spec_file)
        for column, entry in spec.hyperparameters.items()
    ]
    frame = checkpoints(records, spec, spec_file)
    tasks, task_of = combinations(records, list(spec.task_columns))
    seeds, seed_of = combinations(records, list(spec.seed_columns))
    configs = list(zip(*(a.values for a in axes), strict=True))
    config_of = pd.factorize(pd.Series(configs, dtype=object))[0]
    rows = frame[ROW].to_numpy()
    frame[runs.TASK], frame[runs.FILE_SEED] = task_of[rows], seed_of[rows]
    frame[runs.CONFIG], frame[runs.STATED] = config_of[rows], _stated(records, spec)[rows]
    frame = runs.identify(frame, records, spec)
    frame = runs.add_statuses(frame, spec)
    frame, pruned = runs.leave_out_pruned(frame, records, spec)
    frame = runs.add_costs(frame, records, spec)
    frame, short, notes = runs.end_runs(frame, records, spec)
    frame, seed_notes = runs.add_seeds(frame, integers(seeds))
    if not len(frame):
        raise DataError(f"{files[0][0]}: no row is left to make a table of")
    context = _Context(
        spec=spec,
        records=records,
        axes=axes,
        notes=[*(note for a in axes for note in a.notes), *notes, *seed_notes],
        dropped=[*dropped, *pruned, *short],
        files=[
            {
                "path": path.name,
                "sha256": sha256_of_file(path),
                "source": spec.source,
                "licence": spec.licence or LICENCE_NOT_STATED,
                "spec_sha256": sha256_of_file(spec_file),
            }
            for path, _ in files
        ],
    )
    return [
        _draft(context, task, group.reset_index(drop=True))
        for code, task in enumerate(tasks)
        if len(group := frame[frame[runs.TASK] == code])
    ]


def _stated(records: Records, spec: ImportSpec) -> "np.ndarray[Any, Any]":
    """Return the meaning of each row's status; empty if the spec has no status."""
    if spec.status is None:
        return np.full(len(records), "", dtype=object)
    meanings = [spec.status.values[cell] for cell in statuses(records, spec.status)]
    return np.array(meanings, dtype=object)


def _draft(context: _Context, task: tuple[str, ...], frame: pd.DataFrame) -> ImportedDraft:
    spec, records = context.spec, context.records
    name = _table_name(spec.name, task)
    source = frame[ROW].to_numpy()
    for entry in context.axes:
        frame[entry.dimension.name] = [entry.values[row] for row in source]
    fidelities = _fidelities(spec, frame, name)
    ended = outcomes(frame, fidelities, records, spec, name)
    metrics = [
        _metric(context, column, entry, frame, name) for column, entry in spec.metrics.items()
    ]
    frame["source_row"] = [records.places[row] for row in source]
    if len(records.files) > 1:
        names = [Path(file).name for file in records.files]
        frame[SOURCE_FILE] = [names[records.file_of[row]] for row in source]
    for column in spec.seed_columns:
        frame[source_column(column)] = [text(records.columns[column][row]) for row in source]
    for column in spec.extra:
        frame[column] = _extra(records, column)[source]
    hidden = [column for column in frame.columns if column.startswith(HIDDEN)]
    frame = frame.drop(columns=hidden if frame[ADDED].any() else [*hidden, ADDED])
    worst = [
        f"{metric.name}: a run without a value counts as {metric.worst:g}, the worst of the table"
        for metric, entry in zip(metrics, spec.metrics.values(), strict=True)
        if entry.worst is None
    ]
    return ImportedDraft(
        name=name,
        version=spec.version,
        description=spec.description,
        context=spec.context,
        licence=spec.licence or LICENCE_NOT_STATED,
        space=Space(tuple(entry.dimension for entry in context.axes)),
        metrics=metrics,
        rows=frame,
        importer=f"{NAME} {spec.name}",
        publication=spec.publication,
        files=context.files,
        fidelities=fidelities,
        columns=_meanings(spec, records),
        notes=[*ended, *context.notes, *worst],
        dropped=context.dropped,
        axes={entry.dimension.name: entry.about for entry in context.axes if entry.about},
        family=spec.name if task else "",
        task={c: _plain(value) for c, value in zip(spec.task_columns, task, strict=True)},
    )


def _table_name(name: str, task: tuple[str, ...]) -> str:
    parts = [re.sub(r"[^a-z0-9._+-]+", "-", part.lower()).strip("-.") for part in task]
    joined = re.sub(r"\.{2,}", ".", "-".join([name, *parts]))
    if not all(parts):
        raise DataError(f"the task {task} has no letter or digit to name a table by")
    return check_name(joined)


def _fidelities(spec: ImportSpec, frame: pd.DataFrame, table: str) -> tuple[Fidelity, ...]:
    axes = []
    pairs = frame[runs.CONFIG].nunique() * frame[runs.SEED].nunique()
    cells = pairs
    for column, entry in spec.fidelities.items():
        name = spec.fidelity_names[column]
        if (frame[name] == frame[name].round()).all() and frame[name].abs().max() < 2**53:
            frame[name] = frame[name].astype("int64")
        if spec.keep == "all":
            levels = tuple(value.item() for value in np.sort(frame[name].unique()))
            try:
                axes.append(Fidelity(name=name, unit=entry.unit, values=levels))
            except ValueError as error:
                raise DataError(f"{table}: {error}") from None
            cells *= len(levels)
    if cells > spec.limits.cells:
        reason = "seeds hardly meet; give the column that tells them apart as `run` instead"
        if pairs <= spec.limits.cells:
            reason = "fidelities hardly meet; round them first, say keep = 'last'"
        raise DataError(
            f"{table}: {cells} cells of configurations, seeds and fidelities, most of them empty: "
            f"the runs' {reason}, or raise `limits.cells` in the spec"
        )
    return tuple(axes)


def _metric(
    context: _Context, column: str, entry: MetricSpec, frame: pd.DataFrame, table: str
) -> Metric:
    name = context.spec.metric_names[column]
    low = -np.inf if entry.low is None else entry.low
    high = np.inf if entry.high is None else entry.high
    outside = (frame[name] < low) | (frame[name] > high)
    if outside.any():
        first = int(np.argmax(outside.to_numpy()))
        row = int(frame[ROW].to_numpy()[first])
        raise DataError(
            f"{context.records.where(row, column)}: {frame[name].to_numpy()[first]:g} is "
            f"outside the range [{low:g}, {high:g}] that the spec states"
        )
    values = frame.loc[frame["status"] == "ok", name].dropna()
    worst = entry.worst
    if worst is None:
        if not len(values):
            raise DataError(
                f"{table}: `{column}` has no value of a run that ended ok, so its `worst` must be "
                "stated in the spec"
            )
        worst = float(values.max() if entry.direction == "minimize" else values.min())
    return Metric(
        name=name,
        unit=entry.unit,
        direction=entry.direction,
        worst=worst,
        low=low,
        high=high,
        stderr=entry.stderr,
        role=entry.role or _role(name, entry, first=column == next(iter(context.spec.metrics))),
    )


def _role(name: str, entry: MetricSpec, *, first: bool) -> Role:
    """Return the role of a metric that the spec does not state."""
    if first:
        return "objective"
    if "train" in name.lower():
        return "diagnostic"
    return "score" if entry.direction == "maximize" else "objective"


def _extra(records: Records, column: str) -> "np.ndarray[Any, Any]":
    """Return a kept column as numbers if all its values are, else as texts."""
    try:
        values = numbers(records, column)
    except DataError:
        return np.array(
            ["" if is_missing(cell) else text(cell) for cell in records.columns[column]],
            dtype=object,
        )
    return np.array([np.nan if value is None else value for value in values])


def _meanings(spec: ImportSpec, records: Records) -> dict[str, tuple[str, str]]:
    units = {"tokens_seen": "tokens"}
    meanings = {
        "seed": ("", "seed" if spec.seed_columns else "repeat, no random seed"),
        "source_row": ("", f"{records.unit} of the file"),
        SOURCE_FILE: ("", "file"),
        ADDED: ("", "the run had broken before: no row of the file"),
    }
    for column, cost in spec.costs.items():
        meanings[cost.name] = (
            units.get(cost.name, "s"),
            f"so far, from `{column}` ({cost.counts}, in {cost.unit})",
        )
    for column in spec.seed_columns:
        meanings[source_column(column)] = ("", f"`{column}` of the file")
    for column in spec.extra:
        meanings[column] = ("", "as in the file")
    for column, entry in spec.fidelities.items():
        meanings[spec.fidelity_names[column]] = (entry.unit, "fidelity")
    return meanings


def _plain(value: str) -> str | int | float:
    try:
        parsed = number(value)
    except ValueError:
        return value
    if parsed is None or not np.isfinite(parsed):
        return value
    return int(parsed) if parsed.is_integer() else parsed
