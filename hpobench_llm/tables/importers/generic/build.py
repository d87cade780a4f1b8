"""From a spec and its file to drafts of tables, one for each task."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.spec import read_spec, resolve_path
from hpobench_llm.tables.importers.draft import Draft, noted
from hpobench_llm.tables.importers.generic import runs
from hpobench_llm.tables.importers.generic.axes import Axis, axis
from hpobench_llm.tables.importers.generic.cells import (
    Records,
    combinations,
    integers,
    is_missing,
    number,
    numbers,
    text,
)
from hpobench_llm.tables.importers.generic.curves import ROW, checkpoints
from hpobench_llm.tables.importers.generic.read import read_records
from hpobench_llm.tables.importers.generic.spec import ImportSpec, MetricSpec
from hpobench_llm.tables.schema import check_name

NAME = "generic"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What all tables of an import share."""

    spec: ImportSpec
    records: Records
    axes: list[Axis]
    notes: list[str]
    file: dict[str, Any]


def drafts_of_spec(spec_file: Path, given: Path | None = None) -> list[Draft]:
    """Return the tables that a spec makes of its file; `given` is another file, or its folder.

    Raises:
        SpecError: the spec breaks a rule.
        DataError: the file does; the message names file, line and column.
    """
    spec = read_spec(spec_file, ImportSpec)
    path = _file(spec_file, spec, given)
    records, patterns = read_records(path, spec)
    records, dropped = _drop_stated(records, spec)
    axes = [
        axis(records, column, entry, spec_file) for column, entry in spec.hyperparameters.items()
    ]
    frame = checkpoints(records, patterns, spec, spec_file)
    tasks, task_of = combinations(records, list(spec.task_columns))
    seeds, seed_of = combinations(records, list(spec.seed_columns))
    configs = list(zip(*(a.values for a in axes), strict=True))
    config_of = pd.factorize(pd.Series(configs, dtype=object))[0]
    rows = frame[ROW].to_numpy()
    frame["task"], frame["given_seed"] = task_of[rows], seed_of[rows]
    frame["config"], frame["stated"] = config_of[rows], _stated(records, spec)[rows]
    frame = runs.identify(frame, records, spec)
    frame = runs.add_costs(runs.add_statuses(frame, spec), records, spec)
    frame, short, notes = runs.end_runs(frame, records, spec)
    frame, seed_notes = runs.add_seeds(frame, integers(seeds))
    if not len(frame):
        raise DataError(f"{path}: no row is left to make a table of")
    context = _Context(
        spec=spec,
        records=records,
        axes=axes,
        notes=[*(a.inferred for a in axes if a.inferred), *notes, *seed_notes],
        file={
            "path": path.name,
            "sha256": sha256_of_file(path),
            "source": spec.source,
            "licence": spec.licence,
            "spec_sha256": sha256_of_file(spec_file),
        },
    )
    return [
        _draft(context, task, group.reset_index(drop=True), [*dropped, *short])
        for code, task in enumerate(tasks)
        if len(group := frame[frame["task"] == code])
    ]


def _file(spec_file: Path, spec: ImportSpec, given: Path | None) -> Path:
    if given is None or given.is_dir():
        if not spec.file:
            raise DataError(f"{spec_file}: `file` is not set; set it, or give --from FILE")
        if given is None:
            return resolve_path(spec.file, file=spec_file, key="file")
        return given / Path(spec.file).name
    return given


def _drop_stated(records: Records, spec: ImportSpec) -> tuple[Records, list[dict[str, Any]]]:
    """Leave out the rows whose status the spec maps to `drop`; refuse a status it does not map."""
    if spec.status is None:
        return records, []
    cells = ["" if is_missing(c) else text(c) for c in records.columns[spec.status.column]]
    for row, cell in enumerate(cells):
        if cell not in spec.status.values:
            raise DataError(
                f"{records.where(row, spec.status.column)}: the status {cell!r} has no meaning in "
                f"the spec; known: {', '.join(map(repr, spec.status.values))}"
            )
    kept = [row for row, cell in enumerate(cells) if spec.status.values[cell] != "drop"]
    if len(kept) == len(cells):
        return records, []
    gone = sorted(set(range(len(cells))) - set(kept))
    names = sorted({cells[row] for row in gone})
    columns = {name: [cell[row] for row in kept] for name, cell in records.columns.items()}
    left = Records(records.file, columns, [records.places[row] for row in kept], records.unit)
    reason = f"their status is {' or '.join(map(repr, names))}"
    return left, [noted("rows of the file", [records.places[row] for row in gone], reason)]


def _stated(records: Records, spec: ImportSpec) -> "np.ndarray[Any, Any]":
    if spec.status is None:
        return np.full(len(records), "", dtype=object)
    meanings = spec.status.values
    cells = records.columns[spec.status.column]
    return np.array([meanings["" if is_missing(c) else text(c)] for c in cells], dtype=object)


def _draft(
    context: _Context, task: tuple[str, ...], frame: pd.DataFrame, dropped: list[dict[str, Any]]
) -> Draft:
    spec, records = context.spec, context.records
    name = _table_name(spec.name, task)
    source = frame[ROW].to_numpy()
    for entry in context.axes:
        frame[entry.dimension.name] = [entry.values[row] for row in source]
    fidelities = _fidelities(spec, frame, name)
    metrics = [
        _metric(context, column, entry, frame, name) for column, entry in spec.metrics.items()
    ]
    frame["source_row"] = [records.places[row] for row in source]
    for column in spec.seed_columns:
        frame[_source(column)] = [text(records.columns[column][row]) for row in source]
    for column in spec.extra:
        frame[column] = _extra(records, column)[source]
    helpers = [ROW, "task", "given_seed", "config", "stated", "repeat", runs.RUN]
    if not frame[runs.END].any():
        helpers.append(runs.END)
    frame = frame.drop(columns=helpers)
    worst = [
        f"{metric.name}: a run without a value counts as {metric.worst:g}, the worst of the table"
        for metric, entry in zip(metrics, spec.metrics.values(), strict=True)
        if entry.worst is None
    ]
    return Draft(
        name=name,
        version=spec.version,
        description=spec.description,
        context=spec.context,
        licence=spec.licence,
        space=Space(tuple(entry.dimension for entry in context.axes)),
        metrics=metrics,
        rows=frame,
        importer=f"{NAME} {spec.name}",
        files=[context.file],
        fidelities=fidelities,
        columns=_meanings(spec, records),
        notes=[*context.notes, *worst],
        dropped=dropped,
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
    found = []
    cells = frame["config"].nunique() * frame[runs.SEED].nunique()
    for column, entry in spec.fidelities.items():
        name = spec.fidelity_names[column]
        if (frame[name] == frame[name].round()).all() and frame[name].abs().max() < 2**53:
            frame[name] = frame[name].astype("int64")
        if spec.keep == "all":
            levels = tuple(value.item() for value in np.sort(frame[name].unique()))
            found.append(Fidelity(name=name, unit=entry.unit, values=levels))
            cells *= len(levels)
    if cells > spec.limits.cells:
        raise DataError(
            f"{table}: {cells} cells of configurations, seeds and fidelities, most of them empty: "
            "the runs were measured at fidelities that hardly meet; round them first, say "
            "keep = 'last', or raise `limits.cells` in the spec"
        )
    return tuple(found)


def _metric(
    context: _Context, column: str, entry: MetricSpec, frame: pd.DataFrame, table: str
) -> Metric:
    name = context.spec.metric_names[column]
    low = -np.inf if entry.low is None else entry.low
    high = np.inf if entry.high is None else entry.high
    outside = (frame[name] < low) | (frame[name] > high)
    if outside.any():
        place = int(np.argmax(outside.to_numpy()))
        row = int(frame[ROW].to_numpy()[place])
        raise DataError(
            f"{context.records.where(row, column)}: {frame[name].to_numpy()[place]:g} is "
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
    )


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
    found = {
        "seed": ("", "seed" if spec.seed_columns else "repeat, no random seed"),
        "source_row": ("", f"{records.unit} of the file"),
        runs.END: ("", "the run had broken before: no row of the file"),
    }
    for column, cost in spec.costs.items():
        found[cost.name] = (
            units.get(cost.name, "s"),
            f"so far, from `{column}` ({cost.counts}, in {cost.unit})",
        )
    for column in spec.seed_columns:
        found[_source(column)] = ("", f"`{column}` of the file")
    for column in spec.extra:
        found[column] = ("", "as in the file")
    for column, entry in spec.fidelities.items():
        found[spec.fidelity_names[column]] = (entry.unit, "fidelity")
    return found


def _source(column: str) -> str:
    return f"source_{column}"


def _plain(value: str) -> str | int | float:
    try:
        parsed = number(value)
    except ValueError:
        return value
    if parsed is None or not np.isfinite(parsed):
        return value
    return int(parsed) if parsed.is_integer() else parsed
