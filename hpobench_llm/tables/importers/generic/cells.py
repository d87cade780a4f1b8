"""Single values: what is missing, what is a number, and where a mistyped one stands."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import DataError

MISSING = frozenset({"", "na", "n/a", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class Records:
    """Columns of raw values, row by row as the file has them, and where each row stands."""

    file: str
    columns: dict[str, list[object]]
    places: list[int]
    unit: str  # what a place counts: "line" or "row"

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int, column: str = "") -> str:
        """Return file, place and column for an error message."""
        named = f": `{column}`" if column else ""
        return f"{self.file}, {self.unit} {self.places[row]}{named}"


def is_missing(cell: object) -> bool:
    """Tell an empty cell: nothing, or a word that stands for it. Not NaN, which is a value."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def number(cell: object) -> float | None:
    """Return a cell as a number, infinite or NaN too, or None where it is missing.

    Raises:
        ValueError: it is no number.
    """
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        return float(cell)
    if is_missing(cell):
        return None
    if not isinstance(cell, str) or "_" in cell:  # float() would read 1_0 as 10
        raise ValueError(f"a number is expected, got {cell!r}")
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"a number is expected, got {cell!r}") from None


def numbers(records: Records, column: str, *, required: bool = False) -> list[float | None]:
    """Return a column as numbers; with `required` each must be there and finite.

    Raises:
        DataError: naming file, row, column and value.
    """
    found: list[float | None] = []
    for row, cell in enumerate(records.columns[column]):
        try:
            value = number(cell)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{records.where(row, column)}: {error}") from None
        if required and (value is None or not math.isfinite(value)):
            raise DataError(
                f"{records.where(row, column)}: a finite number is expected, got {cell!r}"
            )
        found.append(value)
    return found


def text(cell: object) -> str:
    """Return a name as it is spelled in a table: 64.0 as 64, true and false in small letters."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell).strip()


def number_list(records: Records, row: int, column: str) -> list[float | None]:
    """Return a cell of a curve as numbers: a list, or its JSON text.

    Raises:
        DataError: it is no list of numbers.
    """
    cell = records.columns[column][row]
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise DataError(
                f"{records.where(row, column)}: a JSON list is expected, got {_short(cell)}"
            ) from None
    if not isinstance(cell, Sequence) or isinstance(cell, str):
        raise DataError(
            f"{records.where(row, column)}: a list is expected, got {_short(cell)}; a metric with "
            "one value a run says so with `per_run = true`"
        )
    try:
        return [number(value) for value in cell]
    except (ValueError, OverflowError) as error:
        raise DataError(f"{records.where(row, column)}: {error}") from None


def combinations(
    records: Records, columns: Sequence[str]
) -> tuple[list[tuple[str, ...]], NDArray[np.intp]]:
    """Return the distinct combinations of some columns, in order, and the code of each row's.

    Raises:
        DataError: a cell is empty.
    """
    for column in columns:
        for row, cell in enumerate(records.columns[column]):
            if is_missing(cell):
                raise DataError(f"{records.where(row, column)}: is empty; a value is expected")
    if not columns:
        return [()], np.zeros(len(records), dtype=np.intp)
    keys = list(zip(*(map(text, records.columns[c]) for c in columns), strict=True))
    distinct = sorted(set(keys), key=lambda key: [_sortable(part) for part in key])
    codes = {key: code for code, key in enumerate(distinct)}
    return distinct, np.array([codes[key] for key in keys], dtype=np.intp)


def _sortable(part: str) -> tuple[float, str]:
    try:
        return float(part), ""
    except ValueError:
        return float("inf"), part


def integers(seeds: list[tuple[str, ...]]) -> list[int] | None:
    """Return the seeds as integers if they are a single column of them, within 64 bits."""
    if any(len(seed) != 1 or not re.fullmatch(r"-?\d{1,18}", seed[0]) for seed in seeds):
        return None
    return [int(seed[0]) for seed in seeds]


def _short(cell: object) -> str:
    shown = repr(cell)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
