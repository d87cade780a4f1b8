"""A table's rows as arrays, and the answers of all configurations at one fidelity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.evaluation import STATUSES, Evaluation
from hpobench_llm.metrics import Fidelity
from hpobench_llm.seeds import answering
from hpobench_llm.tables.columns import COSTS
from hpobench_llm.tables.columns import TOKENS as TOKENS_SEEN

COST, TOKENS = "cost_seconds", "tokens"
STATUS_NAMES: Any = pd.Series(STATUSES).array  # `take` makes a frame's column of codes
Level = tuple[int | float, ...]
Positions = NDArray[np.intp]
_PAGES = 256  # kept at a time; one takes a millisecond for a thousand configurations


@dataclass(frozen=True, slots=True)
class Page:
    """All configurations at one fidelity, for one seed or as the mean over several.

    `values` is `(configurations, columns)`, with the columns of the cells. `status` is
    `(configurations,)`, an index into `STATUSES`: over several seeds the worst, and -1 without a
    row. `answers` keeps the evaluations that were made of it, by configuration.
    """

    values: NDArray[np.float64]
    status: NDArray[np.intp]
    answers: dict[int, Evaluation] = field(default_factory=dict)


class Cells:
    """The rows of a table, sorted by fidelity, configuration and seed.

    Rows are not padded to a grid, so a configuration may have seeds of its own, a run may end
    early, and there may be any number of fidelity axes, or none.

    Args:
        frame: a table's rows, or rows of its columns.
        positions: `(rows,)` the configuration of each row.
        count: how many configurations there are.
        fidelities: the axes; a level is one value of each.
        metrics: the columns to answer with.
        measures: the columns of other measured quantities of a run.

    Attributes:
        columns: the index of each column in a page: metrics, cost, tokens, measures.
        levels: the fidelities at which anything was measured, by number.
        repeats: how many runs of each configuration answer if no seed is named.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        positions: NDArray[np.intp],
        count: int,
        fidelities: Sequence[Fidelity],
        metrics: Sequence[str],
        measures: Sequence[str] = (),
    ) -> None:
        self._count = count
        costs = [_floats(frame, name) for name in COSTS if name in frame.columns]
        unknown = np.full(len(frame), np.nan)
        cost = sum(costs[1:], costs[0]) if costs else unknown
        tokens = _floats(frame, TOKENS_SEEN) if TOKENS_SEEN in frame.columns else unknown
        values = {name: _floats(frame, name) for name in metrics} | {COST: cost, TOKENS: tokens}
        values |= {name: _floats(frame, name) for name in measures}
        self.columns = {name: number for number, name in enumerate(values)}
        codes = {status: code for code, status in enumerate(STATUSES)}
        status = frame["status"].map(codes).to_numpy(dtype=np.intp)
        seeds = frame["seed"].to_numpy(dtype=np.int64)
        axes = np.empty((len(frame), len(fidelities)))
        for number, axis in enumerate(fidelities):
            axes[:, number] = _floats(frame, axis.name)
        distinct, level = _distinct_rows(axes)
        self.levels = {_spelled(row, fidelities): number for number, row in enumerate(distinct)}
        order = np.lexsort((seeds, positions, level))
        self._bounds = np.searchsorted(level[order], np.arange(len(distinct) + 1))
        self._positions = positions[order]
        self._seeds: NDArray[np.int64] = seeds[order]
        self._status = status[order]
        self._values = np.column_stack(list(values.values()))[order]
        self._answering = answering(self._positions, self._seeds)
        first = self._seeds[self._answering & (self._positions == 0)]
        self.repeats = len(np.unique(first))
        # An instance's cache, which ends with it: a decorated method would keep every table alive.
        self.page = lru_cache(maxsize=_PAGES)(self._page)

    def rows(self, level: Level, seed: int | None = None) -> NDArray[np.intp]:
        """Return the sorted rows of a level, and of a seed unless that is None."""
        number = self.levels[level]
        rows = np.arange(self._bounds[number], self._bounds[number + 1])
        return rows if seed is None else rows[self._seeds[rows] == seed]

    def runs(self, level: Level) -> tuple[Positions, NDArray[np.int64], NDArray[np.integer]]:
        """Return the configuration, the seed and the status of all rows of a level."""
        rows = self.rows(level)
        positions: Positions = self._positions[rows]
        return positions, self._seeds[rows], self._status[rows]

    def column(self, name: str, level: Level) -> NDArray[np.float64]:
        """Return the values of one column in all rows of a level, in the order of `runs`."""
        column: NDArray[np.float64] = self._values[self.rows(level), self.columns[name]]
        return column

    def levels_with(self, name: str) -> list[Level]:
        """Return the levels at which any row has a value in one of the columns."""
        return [level for level in self.levels if np.isfinite(self.column(name, level)).any()]

    def seeds_of(self, position: int) -> list[int]:
        """Return the seeds that a configuration was run with."""
        return [int(seed) for seed in np.unique(self._seeds[self._positions == position])]

    def levels_of(self, position: int, seed: int | None) -> list[Level]:
        """Return the levels at which a configuration has an answer."""
        return [level for level in self.levels if self.page(level, seed).status[position] >= 0]

    def of_all_runs(self, level: Level, offsets: NDArray[np.float64]) -> Page:
        """Return each configuration's means over all seeds, less `offsets`.

        `offsets` is `(rows of the level, columns)`. A value that only some seeds have is the mean
        over these.
        """
        rows = self.rows(level)
        values = self._values[rows] - offsets
        finite = np.isfinite(values)
        return self._means(rows, np.where(finite, values, 0.0), finite.astype(np.float64))

    def _page(self, level: Level, seed: int | None) -> Page:
        rows = self.rows(level, seed)
        if seed is None:
            rows = rows[self._answering[rows]]
            # A configuration with a run that ended earlier has no answer: the mean of its other
            # runs would be that of the lucky seeds.
            runs = np.bincount(self._positions[rows], minlength=self._count)
            rows = rows[runs[self._positions[rows]] == self.repeats]
        return self._means(rows, self._values[rows], np.ones((len(rows), 1)))

    def _means(
        self, rows: NDArray[np.intp], values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Page:
        """Return by configuration the sums of rows' `values` over those of their `weights`."""
        positions = self._positions[rows]
        starts = np.flatnonzero(np.diff(positions, prepend=-1))
        page = Page(
            values=np.full((self._count, self._values.shape[1]), np.nan),
            status=np.full(self._count, -1, dtype=np.intp),
        )
        if not len(rows):
            return page
        present = positions[starts]
        sums, counts = (np.add.reduceat(array, starts, axis=0) for array in (values, weights))
        page.values[present] = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
        page.status[present] = np.maximum.reduceat(self._status[rows], starts)
        return page


def _floats(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _distinct_rows(array: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the distinct rows of `(n, d)`, sorted, and the number of each row.

    The result is that of `np.unique(axis=0)`, which compares rows as bytes; a column at a time is
    six times as fast.
    """
    code = np.zeros(len(array), dtype=np.intp)
    for column in array.T:
        values, rank = np.unique(column, return_inverse=True)
        _, code = np.unique(code * len(values) + rank, return_inverse=True)
    _, first = np.unique(code, return_index=True)
    return array[first], code


def _spelled(row: NDArray[np.float64], fidelities: Sequence[Fidelity]) -> Level:
    """Return a level in the axes' own spelling, `8` rather than `8.0`."""
    spelled: list[Mapping[float, int | float]] = [
        {float(value): value for value in axis.values} for axis in fidelities
    ]
    return tuple(
        spelling.get(float(v), float(v)) for spelling, v in zip(spelled, row, strict=True)
    )
