"""One row a checkpoint, from any layout of curves in a file.

In the resulting frame NaN is a missing number, and infinity is any number that is not finite, so
that both can become statuses later.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.tables.importers.generic.cells import (
    Records,
    is_list,
    list_of,
    number,
    number_list,
    numbers,
    short,
)
from hpobench_llm.tables.importers.generic.costs import converted, cost, cost_list
from hpobench_llm.tables.importers.generic.spec import HIDDEN, ImportSpec

ROW = f"{HIDDEN}record"  # which record of the file a checkpoint comes from
Values = list[float | None]
Curves = tuple[list[float], dict[str, Values]]  # the levels of a run, and its columns at them


def checkpoints(records: Records, spec: ImportSpec, spec_file: object) -> pd.DataFrame:
    """Return a frame of fidelities, metrics and costs, and in `ROW` the record each came from.

    A run without any checkpoint failed before the first one: it has a row there, without values.

    Raises:
        DataError: a cell is no number or list, or the lists of a record differ in length.
        SpecError: the spec counts the one cost of a run in another way than for the whole run.
    """
    if spec.layout == "rows":
        return _rows(records, spec)
    for column, entry in spec.costs.items():
        curve = any(is_list(cell) for cell in records.columns[column])
        if not curve and not entry.counts.startswith("whole_run"):
            raise SpecError(
                spec_file,
                f"costs.{column}.counts",
                f"a row is a run, so its one cost is that of the whole run: {entry.counts!r} "
                "needs a list; say 'whole_run' or 'whole_run_evenly'",
            )
    if spec.layout == "wide":
        frame = _wide(records, spec)
    else:
        frame = _curves(records, spec, _pairs if spec.layout == "pairs" else _lists)
    return _with_failed(frame, records, spec)


def _rows(records: Records, spec: ImportSpec) -> pd.DataFrame:
    frame = pd.DataFrame({ROW: np.arange(len(records))})
    for column, name in spec.fidelity_names.items():
        frame[name] = numbers(records, column, required=True)
    for column, name in _measured(spec).items():
        frame[name] = _encoded(numbers(records, column))
    for column, entry in spec.costs.items():
        costs = [cost(records, row, column, entry) for row in range(len(records))]
        frame[entry.name] = _encoded(costs)
    return frame


def _measured(spec: ImportSpec, *, per_run: bool | None = None) -> dict[str, str]:
    """Return the names of metrics and standard errors by their columns or patterns."""
    columns: dict[str, str] = {}
    for column, metric in spec.metrics.items():
        if per_run is None or metric.per_run == per_run:
            columns[column] = spec.metric_names[column]
            columns |= {metric.stderr: metric.stderr} if metric.stderr else {}
    return columns


def _curves(
    records: Records, spec: ImportSpec, read: Callable[[Records, int, ImportSpec], Curves]
) -> pd.DataFrame:
    """Return the checkpoints of runs with a record each; `read` knows the layout."""
    (axis,) = spec.fidelity_names.values()
    at_end = _measured(spec, per_run=True)
    scalars = {name: numbers(records, column) for column, name in at_end.items()}
    names = [*_measured(spec).values(), *(entry.name for entry in spec.costs.values())]
    blocks: dict[str, list[float]] = {name: [] for name in (ROW, axis, *names)}
    cells = 0
    for row in range(len(records)):
        levels, columns = read(records, row, spec)
        cells += len(levels) * max(1, len(columns))
        if cells > spec.limits.cells:
            raise DataError(
                f"{records.where(row)}: the lists hold more than {spec.limits.cells} cells; if "
                "that is meant, raise `limits.cells` in the spec"
            )
        finals = {name: values[row] for name, values in scalars.items()}
        for column, entry in spec.costs.items():
            if entry.name not in columns and levels:
                finals[entry.name] = cost(records, row, column, entry)
        blocks[ROW] += [float(row)] * len(levels)
        blocks[axis] += levels
        for name in names:
            curve = columns.get(name)
            if curve is None:
                blocks[name] += _at_end(finals.get(name), len(levels))
            else:
                blocks[name] += _encoded(curve)
    frame = pd.DataFrame(blocks, dtype=float)
    frame[ROW] = frame[ROW].astype(int)
    return frame


def _lists(records: Records, row: int, spec: ImportSpec) -> Curves:
    """Read a run whose curves are lists of one length."""
    ((axis, fidelity),) = spec.fidelities.items()
    lists = {
        column: number_list(records, row, column) for column in _measured(spec, per_run=False)
    }
    for column, entry in spec.costs.items():
        costs = cost_list(records, row, column, entry)
        lists |= {} if costs is None else {column: costs}
    if fidelity.first is None:
        lists[axis] = number_list(records, row, axis)
    size = _length(records, row, lists)
    if fidelity.first is None:
        levels = [_level(records, row, axis, level) for level in lists.pop(axis)]
    else:
        levels = [fidelity.first + fidelity.every * number for number in range(size)]
    names = _measured(spec) | {column: entry.name for column, entry in spec.costs.items()}
    return levels, {names[column]: values for column, values in lists.items()}


def _length(records: Records, row: int, lists: dict[str, Values]) -> int:
    """Return the one length of a run's lists."""
    longest = max(lists, key=lambda column: len(lists[column]))
    size = len(lists[longest])
    for column, values in lists.items():
        if len(values) != size:
            raise DataError(
                f"{records.where(row, column)}: has {len(values)} entries where `{longest}` has "
                f"{size}; put null where nothing was measured"
            )
    return size


def _pairs(records: Records, row: int, spec: ImportSpec) -> Curves:
    """Read a run whose curves are lists of `[level, value]`, each with levels of its own."""
    curves = {
        name: _pair_list(records, row, column)
        for column, name in _measured(spec, per_run=False).items()
    }
    for column, entry in spec.costs.items():
        if is_list(records.columns[column][row]):
            value_of = partial(converted, spec=entry, where=records.where(row, column))
            curves[entry.name] = _pair_list(records, row, column, value_of)
    levels = sorted({level for curve in curves.values() for level in curve})
    return levels, {name: [curve.get(level) for level in levels] for name, curve in curves.items()}


def _pair_list(
    records: Records,
    row: int,
    column: str,
    value_of: Callable[[object], float | None] = number,
) -> dict[float, float | None]:
    curve: dict[float, float | None] = {}
    for pair in list_of(records, row, column):
        try:
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError(f"a pair [fidelity, value] is expected, got {short(pair)}")
            level, value = number(pair[0]), value_of(pair[1])
        except ValueError as error:
            raise DataError(f"{records.where(row, column)}: {error}") from None
        level = _level(records, row, column, level)
        if level in curve:
            raise DataError(f"{records.where(row, column)}: two pairs are at {level:g}")
        curve[level] = value
    return curve


def _wide(records: Records, spec: ImportSpec) -> pd.DataFrame:
    (axis_name,) = spec.fidelity_names.values()
    patterns = records.patterns
    levels = sorted({level for columns in patterns.values() for level in columns.values()})
    tables: dict[str, NDArray[np.float64]] = {}
    for key, columns in patterns.items():
        table = np.full((len(records), len(levels)), np.nan)
        for column, level in columns.items():
            table[:, levels.index(level)] = _encoded(numbers(records, column))
        tables[spec.metric_names[key]] = table
    measured = ~np.all([np.isnan(table) for table in tables.values()], axis=0)
    rows, numbers_of_levels = np.nonzero(measured)
    frame = pd.DataFrame({ROW: rows, axis_name: np.array(levels)[numbers_of_levels]})
    for name, table in tables.items():
        frame[name] = table[rows, numbers_of_levels]
    last = ~frame.duplicated(ROW, keep="last")
    finals = {
        name: numbers(records, column)
        for column, name in _measured(spec).items()
        if column not in patterns
    }
    for column, entry in spec.costs.items():
        finals[entry.name] = [cost(records, row, column, entry) for row in range(len(records))]
    for name, values in finals.items():
        frame[name] = np.where(last, np.array(_encoded(values))[rows], np.nan)
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
    for column, entry in spec.costs.items():
        if entry.counts.startswith("whole_run"):
            costs = [cost(records, int(row), column, entry) for row in empty]
            added[entry.name] = _encoded(costs)
    return pd.concat([frame, added], ignore_index=True)


def _level(records: Records, row: int, axis: str, level: float | None) -> float:
    if level is None or not math.isfinite(level):
        raise DataError(f"{records.where(row, axis)}: a finite number is expected, got {level}")
    return level


def _at_end(value: float | None, size: int) -> list[float]:
    # One value of the whole run: the checkpoints before its end have none.
    return [math.nan] * (size - 1) + _encoded([value]) if size else []


def _encoded(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else _finite_or_inf(value) for value in values]


def _finite_or_inf(value: float) -> float:
    return value if math.isfinite(value) else math.inf
