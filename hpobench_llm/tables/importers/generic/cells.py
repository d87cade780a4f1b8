"""Single values: which are missing, which are numbers, and in which row a mistyped one is."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import DataError

FEW = 12  # distinct values at most that count as levels
MISSING = frozenset({"", "na", "n/a", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class Records:
    """Columns of raw values, row by row as the files have them, and the place of each row.

    `files` are the names of the files, `file_of` has the number of each row's file. `patterns` has
    for each metric with a `*` its columns and their fidelities.
    """

    files: list[str]
    file_of: list[int]
    columns: dict[str, list[object]]
    places: list[int]
    unit: str  # what a place counts: "line" or "row"
    patterns: dict[str, dict[str, float]]

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int, column: str = "") -> str:
        """Return file, place and column for an error message."""
        named = f": `{column}`" if column else ""
        return f"{self.files[self.file_of[row]]}, {self.unit} {self.places[row]}{named}"

    def place(self, row: int) -> int | str:
        """Return the place of a row in its file, with the file's name if there are several."""
        if len(self.files) == 1:
            return self.places[row]
        return f"{self.files[self.file_of[row]]}:{self.places[row]}"

    def only(self, rows: Sequence[int]) -> "Records":
        """Return some of the rows."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        file_of, places = [self.file_of[row] for row in rows], [self.places[row] for row in rows]
        return Records(self.files, file_of, columns, places, self.unit, self.patterns)


def is_missing(cell: object) -> bool:
    """Tell an empty cell: nothing, or a word for it. NaN is a value and not empty."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def is_blank(cell: object) -> bool:
    """Tell a cell without a name: an empty one, or NaN, as pandas writes an empty one."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return is_missing(cell) or (isinstance(cell, str) and cell.strip().lower() == "nan")


def number(cell: object) -> float | None:
    """Return a cell as a number, which may be infinite or NaN; None if it is missing.

    Raises:
        ValueError: it is no number, or too large for a float.
    """
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        try:
            return float(cell)
        except OverflowError:
            raise ValueError("an integer beyond 1.8e308 is no number here") from None
    if is_missing(cell):
        return None
    if not isinstance(cell, str) or "_" in cell:  # float() would read 1_0 as 10
        raise ValueError(f"a number is expected, got {short(cell)}")
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"a number is expected, got {short(cell)}") from None


def numbers(records: Records, column: str, *, required: bool = False) -> list[float | None]:
    """Return a column as numbers; with `required` each must be there and finite.

    Raises:
        DataError: naming file, row, column and value.
    """
    values: list[float | None] = []
    for row, cell in enumerate(records.columns[column]):
        try:
            value = number(cell)
        except ValueError as error:
            raise DataError(f"{records.where(row, column)}: {error}") from None
        if required and (value is None or not math.isfinite(value)):
            raise DataError(
                f"{records.where(row, column)}: a finite number is expected, got {short(cell)}"
            )
        values.append(value)
    return values


def text(cell: object) -> str:
    """Return a name as a table spells it: 64.0 as 64, true in small letters, lists as JSON."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, list):
        return json.dumps(cell, ensure_ascii=False)
    return str(cell).strip()


def comparable(cell: object) -> float | str:
    """Return a cell in the form in which cells are compared: number, text, or "" if blank."""
    if is_blank(cell):
        return ""
    try:
        value = number(cell)
    except ValueError:
        return text(cell)
    return "" if value is None else value


def deciding_values(deciding: Sequence[object], empty: Sequence[bool]) -> list[float | str]:
    """Return the values of a column that decide where another has a value; [] if they do not.

    A column of many values, or of numbers that hardly repeat, separates anything by chance.
    """
    cells = [comparable(cell) for cell in deciding]
    present = {cell for cell, lacks in zip(cells, empty, strict=True) if not lacks}
    absent = {cell for cell, lacks in zip(cells, empty, strict=True) if lacks}
    every = present | absent
    repeated = len(cells) >= 3 * len(every) or all(isinstance(cell, str) for cell in every)
    if not absent or not present.isdisjoint(absent) or len(every) > FEW or not repeated:
        return []
    return sorted(present, key=str)


def list_of(records: Records, row: int, column: str) -> list[object]:
    """Return a cell of a curve, a list or the JSON text of one, as a list; empty if missing.

    Raises:
        DataError: it is no list.
    """
    cell = records.columns[column][row]
    if is_blank(cell):
        return []
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise DataError(
                f"{records.where(row, column)}: a JSON list is expected, got {short(cell)}"
            ) from None
    if not isinstance(cell, list):
        raise DataError(
            f"{records.where(row, column)}: a list is expected, got {short(cell)}; a metric with "
            "one value a run says so with `per_run = true`"
        )
    return cell


def number_list(records: Records, row: int, column: str) -> list[float | None]:
    """Return a cell of a curve as numbers.

    Raises:
        DataError: it is no list of numbers.
    """
    try:
        return [number(value) for value in list_of(records, row, column)]
    except ValueError as error:
        raise DataError(f"{records.where(row, column)}: {error}") from None


def is_list(cell: object) -> bool:
    """Tell a list or the JSON text of one."""
    return isinstance(cell, list) or (isinstance(cell, str) and cell.lstrip().startswith("["))


def combinations(
    records: Records, columns: Sequence[str]
) -> tuple[list[tuple[str, ...]], NDArray[np.intp]]:
    """Return the distinct combinations of some columns, in order, and the code of each row.

    Raises:
        DataError: a cell is empty.
    """
    for column in columns:
        for row, cell in enumerate(records.columns[column]):
            if is_blank(cell):
                raise DataError(f"{records.where(row, column)}: is empty; a value is expected")
    if not columns:
        return [()], np.zeros(len(records), dtype=np.intp)
    keys = list(zip(*(map(text, records.columns[c]) for c in columns), strict=True))
    distinct = sorted(set(keys), key=lambda key: [_sortable(part) for part in key])
    codes = {key: code for code, key in enumerate(distinct)}
    return distinct, np.array([codes[key] for key in keys], dtype=np.intp)


def _sortable(part: str) -> tuple[float, str]:
    try:
        value = float(part)
    except ValueError:
        return float("inf"), part
    return (value, part) if math.isfinite(value) else (float("inf"), part)


def integers(seeds: list[tuple[str, ...]]) -> list[int] | None:
    """Return the seeds as integers if they are a single column of them, within 64 bits."""
    if any(len(seed) != 1 or not re.fullmatch(r"-?\d{1,18}", seed[0]) for seed in seeds):
        return None
    return [int(seed[0]) for seed in seeds]


def short(cell: object) -> str:
    """Return a cell for an error message, cut if it is long."""
    shown = repr(cell) if not isinstance(cell, int) or abs(cell) < 10**60 else "a long integer"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
