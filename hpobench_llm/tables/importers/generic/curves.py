"""One row a checkpoint, whichever way a file lays its curves out.

In the frame that comes out NaN is a missing number and infinity one that is not finite, so that
both can become statuses later.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.tables.importers.generic.cells import Records, is_missing, number_list, numbers
from hpobench_llm.tables.importers.generic.spec import ImportSpec

ROW = "record"  # which record of the file a checkpoint comes from


def checkpoints(
    records: Records,
    patterns: dict[str, dict[str, float]],
    spec: ImportSpec,
    spec_file: object,
) -> pd.DataFrame:
    """Return a frame of fidelities, metrics and costs, and in `record` the row each came from.

    A run without any checkpoint failed before the first one: it has a row there, without values.

    Raises:
        DataError: a cell is no number or list, or the lists of a record differ in length.
        SpecError: a cost of a whole run is said to count otherwise.
    """
    if spec.layout == "rows":
        return _rows(records, spec)
    for column, cost in spec.costs.items():
        curve = any(isinstance(c, list) or _is_list(c) for c in records.columns[column])
        if not curve and not cost.counts.startswith("whole_run"):
            raise SpecError(
                spec_file,
                f"costs.{column}.counts",
                f"a row is a run, so its one cost is that of the whole run: {cost.counts!r} needs "
                "a list; say 'whole_run' or 'whole_run_evenly'",
            )
    lists = spec.layout == "lists"
    frame = _lists(records, spec) if lists else _wide(records, patterns, spec)
    return _with_failed(frame, records, spec)


def _rows(records: Records, spec: ImportSpec) -> pd.DataFrame:
    frame = pd.DataFrame({ROW: np.arange(len(records))})
    for column, name in spec.fidelity_names.items():
        frame[name] = numbers(records, column, required=True)
    for column, name in spec.metric_names.items():
        frame[name] = _encoded(numbers(records, column))
    for metric in spec.metrics.values():
        if metric.stderr:
            frame[metric.stderr] = _encoded(numbers(records, metric.stderr))
    for column, cost in spec.costs.items():
        frame[cost.name] = _encoded(_cost(records, column, cost.factor))
    return frame


def _lists(records: Records, spec: ImportSpec) -> pd.DataFrame:
    ((axis, fidelity),) = spec.fidelities.items()
    axis_name = spec.fidelity_names[axis]
    sources = {column: spec.metric_names[column] for column in spec.metrics}
    sources |= {m.stderr: m.stderr for m in spec.metrics.values() if m.stderr}
    per_run = {column for column, metric in spec.metrics.items() if metric.per_run}
    per_run |= {m.stderr for m in spec.metrics.values() if m.per_run and m.stderr}
    scalars = {column: numbers(records, column) for column in sources if column in per_run}
    blocks: dict[str, list[float]] = {ROW: [], axis_name: []}
    blocks |= {name: [] for name in sources.values()}
    blocks |= {cost.name: [] for cost in spec.costs.values()}
    cells = 0
    for row in range(len(records)):
        curves = {
            column: number_list(records, row, column)
            for column in sources
            if column not in scalars
        }
        for column in spec.costs:
            if _is_list(records.columns[column][row]):
                curves[column] = number_list(records, row, column)
        if fidelity.first is None:
            curves[axis] = number_list(records, row, axis)
        lengths = {column: len(curve) for column, curve in curves.items()}
        size = max(lengths.values(), default=0)
        cells += sum(lengths.values())
        if cells > spec.limits.cells:
            raise DataError(
                f"{records.where(row)}: the lists hold more than {spec.limits.cells} cells; if "
                "that is meant, raise `limits.cells` in the spec"
            )
        for column, length in lengths.items():
            if length != size:
                longest = max(lengths, key=lambda name: lengths[name])
                raise DataError(
                    f"{records.where(row, column)}: has {length} entries where `{longest}` has "
                    f"{size}; put null where nothing was measured"
                )
        levels: list[float | None] = (
            curves[axis]
            if fidelity.first is None
            else [fidelity.first + fidelity.every * place for place in range(size)]
        )
        blocks[ROW] += [float(row)] * size
        blocks[axis_name] += [_level(records, row, axis, level) for level in levels]
        for column, name in sources.items():
            if column in scalars:
                blocks[name] += _at_end(scalars[column][row], size)
            else:
                blocks[name] += _encoded(curves[column])
        for column, cost in spec.costs.items():
            if column in curves:
                values = [None if v is None else v * cost.factor for v in curves[column]]
                blocks[cost.name] += _encoded(values)
            else:
                whole = _cost(records, column, cost.factor, row)[0] if size else None
                blocks[cost.name] += _at_end(whole, size)
    return _framed(blocks)


def _wide(
    records: Records, patterns: dict[str, dict[str, float]], spec: ImportSpec
) -> pd.DataFrame:
    (axis_name,) = spec.fidelity_names.values()
    levels = sorted({level for columns in patterns.values() for level in columns.values()})
    tables: dict[str, Any] = {}
    for key, columns in patterns.items():
        table = np.full((len(records), len(levels)), np.nan)
        for column, level in columns.items():
            table[:, levels.index(level)] = _encoded(numbers(records, column))
        tables[spec.metric_names[key]] = table
    measured = ~np.all([np.isnan(table) for table in tables.values()], axis=0)
    rows, places = np.nonzero(measured)
    frame = pd.DataFrame({ROW: rows, axis_name: np.array(levels)[places]})
    for name, table in tables.items():
        frame[name] = table[rows, places]
    last = ~frame.duplicated(ROW, keep="last")
    for column in spec.metrics:
        if column not in patterns:
            value = np.array(_encoded(numbers(records, column)))
            frame[spec.metric_names[column]] = np.where(last, value[rows], np.nan)
    for metric in spec.metrics.values():
        if metric.stderr:
            value = np.array(_encoded(numbers(records, metric.stderr)))
            frame[metric.stderr] = np.where(last, value[rows], np.nan)
    for column, cost in spec.costs.items():
        value = np.array(_encoded(_cost(records, column, cost.factor)))
        frame[cost.name] = np.where(last, value[rows], np.nan)
    return frame


def _with_failed(frame: pd.DataFrame, records: Records, spec: ImportSpec) -> pd.DataFrame:
    """Add a row without values, at the lowest fidelity of all, for each run that has no row."""
    (axis_name,) = spec.fidelity_names.values()
    empty = np.setdiff1d(np.arange(len(records)), frame[ROW])
    if not len(frame) or not len(empty):
        return frame
    added = pd.DataFrame({ROW: empty, axis_name: frame[axis_name].min()}).reindex(
        columns=frame.columns
    )
    for column, cost in spec.costs.items():
        if cost.counts.startswith("whole_run"):
            added[cost.name] = [
                _encoded(_cost(records, column, cost.factor, int(row)))[0] for row in empty
            ]
    return pd.concat([frame, added], ignore_index=True)


def _framed(blocks: dict[str, list[float]]) -> pd.DataFrame:
    frame = pd.DataFrame(blocks, dtype=float)
    frame[ROW] = frame[ROW].astype(int)
    return frame


def _cost(
    records: Records, column: str, factor: float, row: int | None = None
) -> list[float | None]:
    which = range(len(records)) if row is None else (row,)
    one = Records(
        records.file,
        {column: [records.columns[column][i] for i in which]},
        [records.places[i] for i in which],
        records.unit,
    )
    values = numbers(one, column)
    for place, value in enumerate(values):
        if value is not None and not (value >= 0 and math.isfinite(value)) and value == value:
            raise DataError(
                f"{one.where(place, column)}: a cost must be 0 or more and finite, got {value}"
            )
    return [None if value is None or math.isnan(value) else value * factor for value in values]


def _level(records: Records, row: int, axis: str, level: float | None) -> float:
    if level is None or not math.isfinite(level):
        raise DataError(f"{records.where(row, axis)}: a finite number is expected, got {level}")
    return level


def _is_list(cell: object) -> bool:
    return isinstance(cell, list) or (
        not is_missing(cell) and isinstance(cell, str) and cell.lstrip().startswith("[")
    )


def _at_end(value: float | None, size: int) -> list[float]:
    return [math.nan] * (size - 1) + _encoded([value]) if size else []


def _encoded(values: list[float | None]) -> list[float]:
    return [
        math.nan if value is None else value if math.isfinite(value) else math.inf
        for value in values
    ]
