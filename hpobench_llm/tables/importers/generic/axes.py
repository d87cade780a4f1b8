"""Axes of a space out of columns of values: stated by the spec, or inferred and said so."""

import math
from dataclasses import dataclass

from hpobench_llm.errors import ConfigurationError, DataError, SpecError
from hpobench_llm.space import Categorical, Dimension, Float, Integer, Ordinal, Value
from hpobench_llm.tables.importers.generic.cells import Records, is_missing, number, text
from hpobench_llm.tables.importers.generic.spec import HyperparameterSpec

FEW = 12  # so many distinct numbers are still taken for the levels of an ordinal axis


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension, its value in every row, and what was inferred of it (empty: nothing)."""

    dimension: Dimension
    values: list[Value]
    inferred: str


def axis(records: Records, column: str, spec: HyperparameterSpec, spec_file: object) -> Axis:
    """Return the axis that a column is.

    Raises:
        DataError: a cell is missing, of another type or outside the stated range.
        SpecError: the spec's own words contradict each other or the column.
    """
    cells = [
        spec.missing if is_missing(cell) and spec.missing is not None else cell
        for cell in records.columns[column]
    ]
    kind = _kind(records, column, cells, spec)
    values: list[Value]
    if kind == "categorical":
        values = [_name(records, row, column, cell) for row, cell in enumerate(cells)]
    else:
        values = _numbers(records, column, cells)
    try:
        dimension, inferred = _dimension(spec.name or column, kind, values, spec)
    except ValueError as error:
        raise SpecError(spec_file, f"hyperparameters.{column}", str(error)) from None
    canonical: list[Value] = []
    for row, value in enumerate(values):
        try:
            canonical.append(dimension.canonical(value))
        except ConfigurationError as error:
            raise DataError(f"{records.where(row)}: {error}") from None
    return Axis(dimension, canonical, inferred)


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
            f"{records.where(odd, column)}: {cells[odd]!r} is no number where other rows have "
            "numbers; mend it, or state the `kind` of the hyperparameter (and `missing`, if an "
            "empty cell has a meaning)"
        )
    return "categorical"


def _is_number(cell: object) -> bool:
    try:
        return number(cell) is not None
    except (ValueError, OverflowError):
        return False


def _numbers(records: Records, column: str, cells: list[object]) -> list[Value]:
    values: list[Value] = []
    for row, cell in enumerate(cells):
        try:
            value = number(cell)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{records.where(row, column)}: {error}") from None
        if value is None or not math.isfinite(value):
            raise DataError(
                f"{records.where(row, column)}: a hyperparameter must be a finite number, got "
                f"{cell!r}; `missing` in the spec can say what an empty cell means"
            )
        values.append(value)
    return values


def _name(records: Records, row: int, column: str, cell: object) -> str:
    if is_missing(cell) and not isinstance(cell, str):
        empty = True
    else:
        empty = isinstance(cell, str) and not cell.strip()
    if empty or not isinstance(cell, str | int | float):
        raise DataError(
            f"{records.where(row, column)}: a name is expected, got {cell!r}; `missing` in the "
            "spec can say what an empty cell means"
        )
    return text(cell)


def _dimension(
    name: str, kind: str, values: list[Value], spec: HyperparameterSpec
) -> tuple[Dimension, str]:
    if kind == "categorical":
        names = spec.values or sorted({str(value) for value in values})
        found = "" if spec.values else f"{name}: the {len(names)} names that occur"
        return Categorical(name, tuple(text(n) for n in names), unit=spec.unit), found
    plain = [float(value) for value in values]
    whole = all(value.is_integer() for value in plain)
    levels = sorted(set(plain))
    if kind == "auto":
        if spec.values or (spec.low is None and spec.high is None and len(levels) <= FEW):
            kind = "ordinal"
        else:
            kind = "integer" if whole else "float"
    if kind == "ordinal":
        if any(isinstance(value, str) for value in spec.values):
            raise ValueError("`values` of an ordinal axis must be numbers")
        given = tuple(value for value in spec.values if not isinstance(value, str))
        steps = given or tuple(int(v) if whole else v for v in levels)
        inferred = "" if spec.values else f"{name}: ordinal, the {len(steps)} values that occur"
        return Ordinal(name, steps, log=spec.log, unit=spec.unit), inferred
    low = levels[0] if spec.low is None else spec.low
    high = levels[-1] if spec.high is None else spec.high
    bounds = [b for b, given in (("low", spec.low), ("high", spec.high)) if given is None]
    stated = " and ".join(bounds)
    inferred = f"{name}: {stated} are the extremes that occur" if bounds else ""
    if kind == "integer":
        if not whole:
            odd = next(value for value in plain if not value.is_integer())
            raise ValueError(f"kind is integer, but {odd} occurs")
        return Integer(name, int(low), int(high), log=spec.log, unit=spec.unit), inferred
    return Float(name, low, high, log=spec.log, unit=spec.unit), inferred
