"""Cells of costs as seconds or tokens: numbers in a unit, or durations that carry their own."""

import math
import re
from datetime import timedelta

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.generic.cells import (
    Records,
    is_blank,
    is_list,
    list_of,
    number,
    short,
)
from hpobench_llm.tables.importers.generic.column_specs import CostSpec

_N = r"(\d+(?:\.\d+)?)"
_DURATIONS = (  # groups: days, hours, minutes, seconds
    # pandas and Python: "0 days 00:01:02.5", "1 day, 0:01:02", "01:02:03"
    re.compile(r"(?:(-?\d+) days?,? ?)?(?:\+?(\d+):(\d\d):(\d\d(?:\.\d+)?))?"),
    re.compile(rf"P(?:{_N}D)?(?:T(?:{_N}H)?(?:{_N}M)?(?:{_N}S)?)?"),  # ISO 8601: "PT1M2.5S"
    re.compile(rf"(?:{_N}d)? ?(?:{_N}h)? ?(?:{_N}m(?:in)?)? ?(?:{_N}s)?"),  # "1h 2m 3s"
)
_SECONDS = (86_400.0, 3600.0, 60.0, 1.0)


def seconds(cell: object) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: it is none; years, months and weeks are not taken.
    """
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    text = cell.strip() if isinstance(cell, str) else ""
    for pattern in _DURATIONS:
        match = pattern.fullmatch(text)
        if match and any(match.groups()):
            return sum(
                float(part) * size
                for part, size in zip(match.groups(), _SECONDS, strict=True)
                if part
            )
    raise ValueError(
        "a duration such as '0 days 00:01:02.5', 'PT1M2.5S' or '1m 2.5s' is expected, "
        f"got {short(cell)}"
    )


def cost(records: Records, row: int, column: str, spec: CostSpec) -> float | None:
    """Return the one cost of a row in seconds or tokens; None if it is unknown or a list.

    Raises:
        DataError: it is negative, infinite, or not in the spec's unit.
    """
    cell = records.columns[column][row]
    return None if is_list(cell) else converted(cell, spec, records.where(row, column))


def cost_list(
    records: Records, row: int, column: str, spec: CostSpec
) -> list[float | None] | None:
    """Return the costs of a run's checkpoints; None if the cell is no list."""
    if not is_list(records.columns[column][row]):
        return None
    where = records.where(row, column)
    return [converted(cell, spec, where) for cell in list_of(records, row, column)]


def converted(cell: object, spec: CostSpec, where: str) -> float | None:
    """Return a cell in seconds or tokens; see `cost`."""
    if is_blank(cell):
        return None
    try:
        value = seconds(cell) if spec.unit == "duration" else number(cell)
    except ValueError as error:
        raise DataError(f"{where}: {error}{_hint(cell, spec)}") from None
    if value is None or not (value >= 0 and math.isfinite(value)):
        raise DataError(f"{where}: a cost must be 0 or more and finite, got {value}")
    return value * spec.factor


def _hint(cell: object, spec: CostSpec) -> str:
    if spec.unit == "duration":
        return ""
    try:
        seconds(cell)
    except ValueError:
        return ""
    return "; a duration needs unit = 'duration'"
