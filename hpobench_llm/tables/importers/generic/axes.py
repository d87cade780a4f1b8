"""Axes of a space from columns of values: stated by the spec, or inferred and noted."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpobench_llm.errors import ConfigurationError, DataError, SpecError
from hpobench_llm.space import Categorical, Dimension, Float, Integer, Ordinal, Value
from hpobench_llm.tables.importers.generic.cells import (
    FEW,
    Records,
    comparable,
    deciding_values,
    is_blank,
    number,
    short,
    text,
)
from hpobench_llm.tables.importers.generic.column_specs import Cell, HyperparameterSpec
from hpobench_llm.tables.provenance import AboutAxis


@dataclass(frozen=True, slots=True)
class ImportedAxis:
    """A dimension, its value in every row, and facts for a reader of the table.

    `notes` say what was inferred or filled in; `about` has what the space itself cannot hold: the
    condition under which the axis exists (`only_if`, `otherwise`), the `names` of its levels.
    """

    dimension: Dimension
    values: list[Value]
    notes: list[str]
    about: AboutAxis


def axis(
    records: Records,
    column: str,
    spec: HyperparameterSpec,
    others: Sequence[str],
    spec_file: object,
) -> ImportedAxis:
    """Return the axis of a column; `others` are the columns of the other hyperparameters.

    Raises:
        DataError: a cell is missing, of another type or outside the stated range.
        SpecError: the keys of the spec contradict each other or the column.
    """
    name = spec.name or column
    cells, notes = _filled(records, column, spec, others)
    about: AboutAxis = {}
    if spec.only_if:
        about = {"only_if": _plain(spec.only_if), "otherwise": spec.missing}
    kind, steps = _kind(records, column, cells, spec), list(spec.values)
    if kind == "ordinal" and steps and all(isinstance(step, str) for step in steps):
        names = [text(step) for step in steps]
        cells = _numbered(records, column, cells, names)
        steps = list(range(len(names)))
        about["names"] = names
        notes.append(f"{name}: {', '.join(f'{i} is {n!r}' for i, n in enumerate(names))}")
    values: list[Value]
    if kind == "categorical":
        values = [_name(records, row, column, cell) for row, cell in enumerate(cells)]
    else:
        values = _numbers(records, column, cells)
    try:
        dimension, inferred = _dimension(name, kind, values, steps, spec)
    except ValueError as error:
        raise SpecError(spec_file, f"hyperparameters.{column}", str(error)) from None
    canonical: list[Value] = []
    for row, value in enumerate(values):
        try:
            canonical.append(dimension.canonical(value))
        except ConfigurationError as error:
            raise DataError(f"{records.where(row)}: {error}") from None
    return ImportedAxis(dimension, canonical, [*([inferred] if inferred else []), *notes], about)


def _filled(
    records: Records, column: str, spec: HyperparameterSpec, others: Sequence[str]
) -> tuple[list[object], list[str]]:
    """Return the cells with empty ones filled in, and notes that count these."""
    cells = list(records.columns[column])
    exists = _exists(records, spec)
    empty = _empty(cells, spec)
    if spec.missing is None:
        _refuse_empty(records, column, empty, others)
        return cells, []
    name, notes = spec.name or column, []
    fill = spec.missing
    if spec.only_if:
        overwritten = 0
        for row, cell in enumerate(cells):
            if not exists[row] and not empty[row] and comparable(cell) != comparable(fill):
                overwritten += 1
            if exists[row] and empty[row]:
                raise DataError(
                    f"{records.where(row, column)}: is empty where {_words(spec.only_if)}, and "
                    "`only_if` says that the axis exists there"
                )
        notes.append(
            f"{name}: exists only where {_words(spec.only_if)}; elsewhere ({exists.count(False)} "
            f"of {len(cells)} rows) {fill} stands for it"
            + (f", {overwritten} times for another value of the file" if overwritten else "")
        )
        return [cell if has else fill for cell, has in zip(cells, exists, strict=True)], notes
    if any(empty):
        notes.append(
            f"{name}: empty in {sum(empty)} of {len(cells)} rows, filled in with {fill} as the "
            f"spec says{_condition(records, empty, others)}"
        )
    return [fill if lacks else cell for cell, lacks in zip(cells, empty, strict=True)], notes


def _empty(cells: list[object], spec: HyperparameterSpec) -> list[bool]:
    """Tell the empty cells; if names are expected, a text such as "none" may be a name."""
    numeric = spec.kind in ("float", "integer") or (
        spec.kind != "categorical"
        and all(is_blank(cell) or _is_number(cell) for cell in cells)
        and any(map(_is_number, cells))
    )
    if numeric:
        return [is_blank(cell) for cell in cells]
    names = {text(value) for value in spec.values}
    return [
        is_blank(cell)
        and not (
            isinstance(cell, str) and cell.strip() and (spec.missing is None or cell in names)
        )
        for cell in cells
    ]


def _refuse_empty(records: Records, column: str, empty: list[bool], others: Sequence[str]) -> None:
    if any(empty):
        row = empty.index(True)
        raise DataError(
            f"{records.where(row, column)}: a hyperparameter must have a value, got "
            f"{short(records.columns[column][row])}; `missing` in the spec can say what an empty "
            f"cell means{_condition(records, empty, others)}"
        )


def _condition(records: Records, empty: list[bool], others: Sequence[str]) -> str:
    """Name the other hyperparameter that decides whether this one is empty, if one does."""
    for other in others:
        if values := deciding_values(records.columns[other], empty):
            shown = ", ".join(map(json.dumps, values))
            return (
                f"; it has a value only where `{other}` is one of [{shown}], which "
                f"`only_if = {{{json.dumps(other)} = [{shown}]}}` beside `missing` would say"
            )
    return ""


def _exists(records: Records, spec: HyperparameterSpec) -> list[bool]:
    wanted = {other: {*map(comparable, values)} for other, values in spec.only_if.items()}
    return [
        all(comparable(records.columns[other][row]) in values for other, values in wanted.items())
        for row in range(len(records))
    ]


def _words(conditions: dict[str, tuple[Cell, ...]]) -> str:
    return " and ".join(
        f"`{other}` is {' or '.join(map(str, values))}" for other, values in conditions.items()
    )


def _plain(conditions: dict[str, tuple[Cell, ...]]) -> dict[str, list[Cell]]:
    return {other: list(values) for other, values in conditions.items()}


def _kind(records: Records, column: str, cells: list[object], spec: HyperparameterSpec) -> str:
    if spec.kind != "auto":
        return spec.kind
    numeric = [_is_number(cell) for cell in cells]
    if all(numeric):
        return "auto"
    if any(numeric):
        row = numeric.index(not numeric[0])
        odd = row if not numeric[row] else 0
        raise DataError(
            f"{records.where(odd, column)}: {short(cells[odd])} is no number where other rows "
            "have numbers; mend it, or state the `kind` of the hyperparameter (and `missing`, if "
            "an empty cell has a meaning)"
        )
    return "categorical"


def _is_number(cell: object) -> bool:
    try:
        return number(cell) is not None
    except ValueError:
        return False


def _numbered(
    records: Records, column: str, cells: list[object], names: list[str]
) -> list[object]:
    """Return the rank of each cell among ordered names."""
    rank_of = {name: rank for rank, name in enumerate(names)}
    numbered: list[object] = []
    for row, cell in enumerate(cells):
        if text(cell) not in rank_of:
            raise DataError(
                f"{records.where(row, column)}: {short(cell)} is not among the `values` of the "
                f"spec: {', '.join(names)}"
            )
        numbered.append(rank_of[text(cell)])
    return numbered


def _numbers(records: Records, column: str, cells: list[object]) -> list[Value]:
    values: list[Value] = []
    for row, cell in enumerate(cells):
        try:
            value = number(cell)
        except ValueError as error:
            raise DataError(f"{records.where(row, column)}: {error}") from None
        if value is None or not math.isfinite(value):
            raise DataError(
                f"{records.where(row, column)}: a hyperparameter must be a finite number, got "
                f"{short(cell)}"
            )
        values.append(value)
    return values


def _name(records: Records, row: int, column: str, cell: object) -> str:
    if not isinstance(cell, str | int | float | list):
        raise DataError(f"{records.where(row, column)}: a name is expected, got {short(cell)}")
    return text(cell)


def _dimension(
    name: str, kind: str, values: list[Value], steps: Sequence[Cell], spec: HyperparameterSpec
) -> tuple[Dimension, str]:
    """Return the dimension, and a note on what was inferred."""
    if kind == "categorical":
        return _categorical(name, values, steps, spec)
    occur = sorted({float(value) for value in values})
    integral = all(value.is_integer() for value in occur)
    if kind == "auto":
        few = spec.low is None and spec.high is None and len(occur) <= FEW
        ranged = "integer" if integral else "float"
        kind = "ordinal" if steps or few else ranged
    if kind == "ordinal":
        return _ordinal(name, occur, integral, steps, spec)
    if kind == "integer" and not integral:
        odd = next(value for value in occur if not value.is_integer())
        raise ValueError(f"kind is integer, but {odd} occurs")
    return _range(name, kind, occur, spec)


def _categorical(
    name: str, values: list[Value], steps: Sequence[Cell], spec: HyperparameterSpec
) -> tuple[Dimension, str]:
    names = tuple(map(text, steps)) or tuple(sorted({str(value) for value in values}))
    inferred = "" if steps else f"{name}: the {len(names)} names that occur"
    return Categorical(name, names, unit=spec.unit), inferred


def _ordinal(
    name: str, occur: list[float], integral: bool, steps: Sequence[Cell], spec: HyperparameterSpec
) -> tuple[Dimension, str]:
    numbers = tuple(step for step in steps if not isinstance(step, str))
    if len(numbers) < len(steps):
        raise ValueError(
            "`values` must be all numbers as the column's are; of names in an order say kind = "
            "'ordinal', of others 'categorical'"
        )
    levels = numbers or tuple(int(v) if integral else v for v in occur)
    inferred = "" if steps else f"{name}: ordinal, the {len(levels)} values that occur"
    return Ordinal(name, levels, log=spec.log, unit=spec.unit), inferred


def _range(
    name: str, kind: str, occur: list[float], spec: HyperparameterSpec
) -> tuple[Dimension, str]:
    low = occur[0] if spec.low is None else spec.low
    high = occur[-1] if spec.high is None else spec.high
    bounds = [b for b, stated in (("low", spec.low), ("high", spec.high)) if stated is None]
    inferred = f"{name}: {' and '.join(bounds)} are the extremes that occur" if bounds else ""
    if kind == "integer":
        return Integer(name, int(low), int(high), log=spec.log, unit=spec.unit), inferred
    return Float(name, low, high, log=spec.log, unit=spec.unit), inferred
