"""Gather the columns of one file that a spec names, and count what is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpobench_llm.errors import DataError, nearest
from hpobench_llm.tables.importers.generic.column_specs import Cell
from hpobench_llm.tables.importers.generic.spec import ImportSpec, Limits

_SHOWN, _SHOWN_WIDTH = 40, 60  # names of columns in an error message, and their letters


@dataclass(frozen=True, slots=True)
class Block:
    """The wanted columns of one file; `places` are its lines or rows (`unit`)."""

    columns: dict[str, list[object]]
    places: list[int]
    unit: str
    patterns: dict[str, dict[str, float]]


class Counts:
    """The amount that was read of all files of an import, against the limits of the spec."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counted = {"rows": 0, "cells": 0, "decoded_bytes": 0}

    def add(self, path: Path, **counts: int) -> None:
        """Count what was read.

        Raises:
            DataError: it is more than a limit.
        """
        self.check(path, **counts)
        for name, count in counts.items():
            self._counted[name] += count

    def check(self, path: Path, **counts: int) -> None:
        """Check that so much more may be read; see `add`."""
        for name, count in counts.items():
            if count > self.left(name):
                unit = "bytes when decoded" if name == "decoded_bytes" else name
                raise DataError(
                    f"{path}: holds more than {getattr(self._limits, name)} {unit}; if that is "
                    f"meant, raise `limits.{name}` in the spec"
                )

    def left(self, name: str) -> int:
        """Return how much more of something may be read."""
        return int(getattr(self._limits, name)) - self._counted[name]


class Collector:
    """Gathers rows of the wanted columns of one file.

    `added` are the columns that the spec adds to the file's own, with one value for all rows.
    """

    def __init__(
        self, path: Path, spec: ImportSpec, added: Mapping[str, Cell], counts: Counts
    ) -> None:
        self.path, self.spec, self.counts = path, spec, counts
        self._added = added
        self._plain = {*spec.plain_columns()}
        self._heads = tuple(key.partition("*")[0] for key in spec.metrics if "*" in key)
        self._columns: dict[str, list[object]] = {}
        self._patterns: dict[str, dict[str, float]] = {}
        self._places: list[int] = []

    def wants(self, name: str) -> bool:
        """Tell whether a column may be wanted, before all names are known."""
        return name in self._plain or name.startswith(self._heads)

    def start(self, names: Iterable[str]) -> list[str]:
        """Take the names of the file's columns; return the wanted ones.

        Raises:
            DataError: a column of the spec is absent, or both the file and the spec have one.
        """
        present = list(names)
        for name in self._added:
            if name in present:
                raise DataError(
                    f"{self.path}: the file has a column `{name}` too; `files` may only add "
                    "columns"
                )
        for name in self.spec.plain_columns():
            if name not in present and name not in self._added:
                near = nearest(name, [other[:_SHOWN_WIDTH] for other in present[:_SHOWN]])
                raise DataError(f"{self.path}: column `{name}` of the spec is absent{near}")
        self._patterns = {
            key: self._levels(key, present) for key in self.spec.metrics if "*" in key
        }
        wanted = self.spec.plain_columns()
        wanted += [column for levels in self._patterns.values() for column in levels]
        self._columns = {name: [] for name in dict.fromkeys(wanted) if name not in self._added}
        return list(self._columns)

    def _levels(self, key: str, names: list[str]) -> dict[str, float]:
        """Return the columns behind a `*` and the fidelity of each."""
        head, _, tail = key.partition("*")
        levels = {}
        for name in names:
            fits = name.startswith(head) and name.endswith(tail)
            if fits and len(name) > len(head) + len(tail):
                try:
                    levels[name] = float(name[len(head) : len(name) - len(tail)])
                except ValueError:
                    continue  # another column that looks alike: val_loss_best
        if not levels:
            raise DataError(f"{self.path}: no column is `{key}` with a number for the star")
        return levels

    def add(self, position: int, cells: Mapping[str, object]) -> None:
        """Add a row; `position` is its line or number in the file."""
        size = 0
        for name, column in self._columns.items():
            cell = cells.get(name)
            column.append(cell)
            size += len(cell) if isinstance(cell, list) else 1
        self._places.append(position)
        self.counts.add(self.path, rows=1, cells=size)

    def block(self, unit: str) -> Block:
        """Return the gathered columns.

        Raises:
            DataError: the file holds no rows.
        """
        if not self._places:
            raise DataError(f"{self.path}: holds no rows")
        for name, value in self._added.items():
            self._columns[name] = [value] * len(self._places)
        return Block(self._columns, self._places, unit, self._patterns)
