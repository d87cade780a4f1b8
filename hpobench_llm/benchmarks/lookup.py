"""The positions of a table's configurations: one by its values, many by columns at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from operator import itemgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import as_rows, check_many
from hpobench_llm.errors import ConfigurationError, nearest, shown
from hpobench_llm.space import Categorical, Configuration, Space, config_id

Positions = NDArray[np.intp]
# A value of one of these types equals a table's value only if it means the same. Others may not:
# `True` equals 1. They take the slow way, one by one.
_PLAIN = frozenset({int, float, str})
# Reading a value by name raises one of these if the object is no mapping.
_UNREADABLE = (LookupError, TypeError, ValueError)


class Lookup:
    """The positions of distinct, canonical configurations; -1 for any other configuration."""

    def __init__(self, space: Space, configs: Sequence[Configuration]) -> None:
        self.space = space
        self.configs = configs
        names = space.names
        self._read = itemgetter(*names) if len(names) > 1 else lambda c: (c[names[0]],)
        self._index = {tuple(config.values()): number for number, config in enumerate(configs)}
        self._levels = {
            d.name: pd.Index(d.values) for d in space.dimensions if isinstance(d, Categorical)
        }
        self._nominal = np.array([isinstance(d, Categorical) for d in space.dimensions])

    @cached_property
    def _units(self) -> NDArray[np.float64]:
        """The configurations in the unit encoding, `(dimensions, n)`: `nearest` sums faster so."""
        return np.ascontiguousarray(self.space.to_unit(self.configs).T)

    @cached_property
    def _ids(self) -> list[str]:
        return [config_id(config) for config in self.configs]

    @cached_property
    def _matrix(self) -> NDArray[np.float64]:
        return self._columns(pd.DataFrame(list(self.configs), columns=list(self.space.names)))

    @cached_property
    def _sums(self) -> "_Sums":
        return _Sums.of(self._matrix)

    def find(self, config: Mapping[str, object]) -> int:
        """Return a configuration's position.

        Raises:
            ConfigurationError: it does not lie in the space.
        """
        try:
            key = self._read(config)
            if len(config) == len(key) and _PLAIN.issuperset(map(type, key)):
                return self._index[key]
        except _UNREADABLE:
            pass  # another spelling, or an error that `canonical` words
        return self._index.get(tuple(self.space.canonical(config).values()), -1)

    def find_many(
        self, configs: Sequence[Mapping[str, object]] | pd.DataFrame | NDArray[np.integer]
    ) -> Positions:
        """Return `(n,)` positions of mappings, of a frame's rows, or of positions themselves.

        Raises:
            ConfigurationError: one does not lie in the space.
        """
        if isinstance(configs, np.ndarray):
            return self._check_positions(configs)
        check_many(configs)
        if isinstance(configs, pd.DataFrame):
            return self._find_frame(configs)
        try:
            keys = list(map(self._read, configs))
            # A length that is not the space's means that a configuration has further names.
            readable = {*map(len, configs)} == {len(self.space)} if keys else not len(configs)
        except _UNREADABLE:
            readable = False
        if readable and _PLAIN.issuperset(map(type, chain.from_iterable(keys))):
            positions = np.fromiter(map(self._index.get, keys, repeat(-1)), np.intp, len(keys))
            for row in np.flatnonzero(positions < 0).tolist():
                positions[row] = self.find(configs[row])
            return positions
        return np.array([self.find(config) for config in configs], dtype=np.intp)

    def nearest(self, config: Configuration, among: NDArray[np.bool_]) -> int:
        """Return the position of the nearest configuration in the unit encoding, -1 for none.

        Two different names of a categorical dimension are as far apart as its ends.
        """
        if not among.any():
            return -1
        offsets = self._units - self.space.to_unit([config]).T
        if self._nominal.any():
            offsets[self._nominal] = offsets[self._nominal] != 0
        return int(np.argmin(np.where(among, (offsets * offsets).sum(axis=0), np.inf)))

    def _find_frame(self, frame: pd.DataFrame) -> Positions:
        names = self.space.names
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise ConfigurationError(f"hyperparameters missing: {', '.join(missing)}")
        for column in frame.columns:
            if column not in names and column != "config_id":
                raise ConfigurationError(
                    f"unknown hyperparameter {column!r}{nearest(column, names)}"
                )
        matrix = self._columns(frame)
        positions = self._sums.find(matrix)
        equal = (self._matrix[positions] == matrix).all(axis=1)
        others = np.flatnonzero(~equal)
        if len(others):  # another spelling, an unknown one, or an error to be worded
            rows = as_rows(frame.iloc[others])
            positions[others] = [self.find(row) for row in rows]
        if "config_id" in frame.columns:
            self._check_ids(frame["config_id"], positions)
        return positions

    def _check_ids(self, stated: pd.Series, positions: Positions) -> None:
        """Refuse a row whose `config_id` is not that of its values."""
        ids = np.array([*self._ids, None], dtype=object)[positions]  # the last is that of -1
        wrong = np.flatnonzero((positions >= 0) & (stated.to_numpy(dtype=object) != ids))
        if len(wrong):
            row = wrong[0]
            raise ConfigurationError(
                f"row {stated.index[row]}: `config_id` is {shown(stated.iloc[row])}, but its "
                f"values are configuration {ids[row]!r}; drop the column, or mend the row"
            )

    def _columns(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return `(n, dimensions)`: numbers as they are, names as levels, anything else as NaN."""
        if not self._levels and frame.columns.tolist() == list(self.space.names):
            array = frame.to_numpy()  # at once is ten times as fast as one by one
            if array.dtype.kind in "iuf":
                return array.astype(np.float64)
        matrix = np.full((len(frame), len(self.space)), np.nan)
        for number, name in enumerate(self.space.names):
            column = frame[name]
            if name in self._levels:
                matrix[:, number] = self._levels[name].get_indexer(pd.Index(column))
            elif column.dtype.kind in "iuf":
                plain = isinstance(column.dtype, np.dtype)  # `na_value` makes a copy of it
                matrix[:, number] = column if plain else column.to_numpy(float, na_value=np.nan)
        return matrix

    def _check_positions(self, array: NDArray[np.integer]) -> Positions:
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ConfigurationError(
                "an array of configurations must hold whole numbers, rows of `configurations()`, "
                f"in one dimension; got {array.dtype} of shape {array.shape}"
            )
        outside = np.flatnonzero((array < 0) | (array >= len(self.configs)))
        if len(outside):
            raise ConfigurationError(
                f"configuration {array[outside[0]]} (element {outside[0]}) is none of the rows "
                f"0 to {len(self.configs) - 1} of `configurations()`"
            )
        return array.astype(np.intp)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The sorted 64-bit sums of a matrix's rows, and the row of each."""

    weights: NDArray[np.uint64]
    ordered: NDArray[np.uint64]
    row_of: Positions

    @staticmethod
    def of(matrix: NDArray[np.float64]) -> "_Sums":
        """Return the sums of `(n, d)`.

        If two rows have the same sum, `find` returns one of them, and its caller sees by comparing
        that it is the wrong one.
        """
        rng = np.random.default_rng(0)
        # An odd weight has an inverse modulo 2^64, so a column alone never collides.
        odd = rng.integers(2**63, size=matrix.shape[1:], dtype=np.uint64)
        odd |= np.uint64(1)
        sums = _row_sums(matrix, odd)
        row_of = np.argsort(sums)
        return _Sums(odd, sums[row_of], row_of)

    def find(self, matrix: NDArray[np.float64]) -> Positions:
        """Return the matrix's row that equals each row of `(n, d)`; any row if none does."""
        rank = np.searchsorted(self.ordered, _row_sums(matrix, self.weights))
        return self.row_of[np.minimum(rank, len(self.row_of) - 1)]


def _row_sums(matrix: NDArray[np.float64], weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return `(n,)` sums modulo 2^64 of the bits of `(n, d)`, equal for equal rows."""
    sums = np.zeros(len(matrix), dtype=np.uint64)
    for column, weight in zip(matrix.T, weights, strict=True):
        bits = (column + 0.0).view(np.uint64)  # and -0.0 becomes 0.0
        sums += (bits ^ (bits >> np.uint64(32))) * weight  # a small number's low bits are all 0
    return sums
