"""How a surrogate sees configurations and fidelities: rows of numbers in [0, 1]."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.factors import SUM_ERROR, Axis, Factor, Lattice
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Dimension, Float, Integer, Ordinal, Space

FloatArray = NDArray[np.float64]

MOST_NAMES = 128  # columns of one axis of names

_PLAIN = {int, float, np.float64, np.int64}


def relaxed(space: Space) -> Space:
    """Return the space with ranges in place of ordinal axes: a value may lie between two levels.

    The axes of a lattice of proportions keep their levels where ranges would not fill it.
    """
    dimensions: list[Dimension] = []
    levels = set(chain.from_iterable(map(_cut, space.factors)))
    for d in space.dimensions:
        if d.name in levels or not isinstance(d, Ordinal) or len(d.values) < 2:
            dimensions.append(d)
        elif all(isinstance(value, int) for value in d.values):
            dimensions.append(Integer(d.name, int(d.values[0]), int(d.values[-1]), d.log, d.unit))
        else:
            dimensions.append(Float(d.name, d.values[0], d.values[-1], d.log, d.unit))
    return Space(tuple(dimensions), space.simplexes)


def _cut(factor: Factor) -> tuple[str, ...]:
    """Return the axes of a lattice that ranges in place of their levels would not fill.

    Such a range ends below what the other axes, at their lowest, leave of one.
    """
    if not isinstance(factor, Lattice):
        return ()
    low, high = np.min(factor.points, axis=0), np.max(factor.points, axis=0)
    fills = np.all(high >= low + 1.0 - low.sum() - SUM_ERROR)
    return () if fills and low.sum() < 1.0 else factor.names


class ConfigEncoder:
    """From configurations of one space to checked numbers, and from those to features.

    The numbers of a configuration are its values, for a name its index. The features are
    the unit encoding, with one 0-1 column for each name of a categorical axis of three or more. An
    axis of more than `MOST_NAMES` names has that many columns, which names share by turns (feature
    hashing; Weinberger et al., 2009).
    One row or a thousand go through the same arithmetic, so that they agree to the bit.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        dims = space.dimensions
        bounds = [_bounds(d) for d in dims]
        self._log = columns_of([i for i, d in enumerate(dims) if getattr(d, "log", False)])
        self._low, self._high = np.array(bounds, dtype=np.float64).T
        self._integer = np.array([isinstance(d, Integer) for d in dims])
        self._names = {
            i: {name: float(code) for code, name in enumerate(d.values)}
            for i, d in enumerate(dims)
            if isinstance(d, Categorical)
        }
        self._one_hot = [i for i, codes in self._names.items() if len(codes) > 2]
        self._single = [i for i in range(len(dims)) if i not in self._one_hot]
        self._values = _getter(space.names)
        self._sums = [
            [space.names.index(name) for name in factor.names]
            for factor in space.factors
            if not isinstance(factor, Axis)
        ]
        self._listed = any(isinstance(factor, Lattice) for factor in space.factors)
        self._any_log = any(getattr(d, "log", False) for d in dims)
        self._offset = self._scaled(self._low)
        span = self._scaled(self._high) - self._offset
        # A product is faster than a division; an axis of one value is 0 throughout.
        self._factor = 1.0 / np.where(span > 0, span, 1.0)
        self._columns = {i: min(len(self._names[i]), MOST_NAMES) for i in self._one_hot}
        self.width = len(self._single) + sum(self._columns.values())

    def numbers(self, config: Mapping[str, object]) -> FloatArray:
        """Return `(1, d)` checked numbers of one configuration.

        Raises:
            ConfigurationError: it does not lie in the space.
        """
        canonical = self.space.canonical(config)
        row: list[Any] = list(canonical.values())
        for i, codes in self._names.items():
            row[i] = codes[row[i]]
        return np.array([row], dtype=np.float64) + 0.0  # + 0.0: there is one zero, without a sign

    def numbers_of_many(
        self, configs: Sequence[Mapping[str, object]] | pd.DataFrame
    ) -> FloatArray:
        """Return `(n, d)` checked numbers; the same errors as `numbers`, for the first bad row."""
        if isinstance(configs, pd.DataFrame):
            array = self._usual_frame(configs)
        else:
            array = self._usual_rows(configs)
        if array is not None:
            array = array + 0.0
            inside = (array >= self._low) & (array <= self._high)
            inside &= ~self._integer | (array == np.rint(array))
            for columns in self._sums:
                # Whole rows: [:, None] spreads a sum's verdict over its columns.
                inside &= (np.abs(array[:, columns].sum(axis=1) - 1.0) <= SUM_ERROR)[:, None]
            # Whether levels are a point of a lattice only `canonical` knows.
            if inside.all() and not self._listed:
                return array
        # Something is unusual or wrong: one at a time, which says what.
        rows: Any = configs.to_dict("records") if isinstance(configs, pd.DataFrame) else configs
        checked = [self.numbers(config) for config in rows]
        return np.concatenate(checked) if checked else np.empty((0, len(self.space)))

    def _usual_rows(self, configs: Sequence[Mapping[str, object]]) -> FloatArray | None:
        """Return the rows as numbers if they have the right keys and plain values."""
        width = len(self.space)
        try:
            flat = list(chain.from_iterable(map(self._values, configs)))
            for i, codes in self._names.items():
                flat[i::width] = [codes[name] for name in flat[i::width]]
            # A bool would pass for a number.
            if not set(map(type, flat)) <= _PLAIN or set(map(len, configs)) - {width}:
                return None
            return np.fromiter(flat, np.float64, len(flat)).reshape(-1, width)
        except (LookupError, TypeError, ValueError, OverflowError):  # no mapping, a huge integer
            return None

    def _usual_frame(self, frame: pd.DataFrame) -> FloatArray | None:
        """Return a frame as numbers if it has the right columns and all of them are numeric."""
        names = list(self.space.names)
        if self._names or set(frame.columns) != set(names) or len(frame.columns) != len(names):
            return None
        if any(frame[name].dtype.kind not in "iuf" for name in names):
            return None
        return np.column_stack([frame[name].to_numpy(dtype=np.float64) for name in names])

    def features(self, numbers: FloatArray) -> FloatArray:
        """Return `(n, width)` features of `(n, d)` numbers."""
        units: FloatArray = (self._scaled(numbers) - self._offset) * self._factor
        if not self._one_hot:
            return units
        parts = [units[:, self._single]]
        for i, columns in self._columns.items():
            parts.append(np.eye(columns)[numbers[:, i].astype(np.intp) % columns])
        return np.hstack(parts)

    def simplified(self) -> list[str]:
        """Return which axes share columns among their names, each as a sentence."""
        return [
            f"`{self.space.names[i]}`: its {len(self._names[i])} names share {columns} columns"
            for i, columns in self._columns.items()
            if columns < len(self._names[i])
        ]

    def _scaled(self, numbers: FloatArray) -> FloatArray:
        if not self._any_log:
            return numbers
        scaled = numbers.copy()
        scaled[..., self._log] = np.log(numbers[..., self._log])
        return scaled


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, object]], Sequence[Any]]:
    """Return a function that gives a mapping's values for these names, in their order."""
    if len(names) == 1:  # of one name an itemgetter gives no sequence
        return lambda config: (config[names[0]],)
    return itemgetter(*names)


def columns_of(indices: Sequence[int]) -> slice | NDArray[np.intp]:
    """Return an index of columns: a slice where they follow each other, which is faster."""
    if indices and list(indices) == list(range(indices[0], indices[-1] + 1)):
        return slice(indices[0], indices[-1] + 1)
    return np.array(indices, dtype=np.intp)


def _bounds(d: Float | Integer | Ordinal | Categorical) -> tuple[float, float]:
    if isinstance(d, Categorical):
        return 0.0, float(len(d.values) - 1)
    if isinstance(d, Ordinal):
        return float(d.values[0]), float(d.values[-1])
    return float(d.low), float(d.high)


def encode_fidelities(fidelities: Sequence[Fidelity], values: FloatArray) -> FloatArray:
    """Map fidelity values `(n, axes)` to [0, 1]: `log(1 + v)` over the measured range."""
    low = np.array([math.log1p(axis.values[0]) for axis in fidelities])
    high = np.array([math.log1p(axis.full) for axis in fidelities])
    encoded: FloatArray = (np.log1p(values) - low) / np.where(high > low, high - low, 1.0)
    return encoded


def check_fidelity(
    fidelities: Sequence[Fidelity], levels: Sequence[int | float], where: str
) -> None:
    """Refuse a fidelity outside the measured range.

    Raises:
        ConfigurationError: naming the axis, the value and the range.
    """
    for axis, value in zip(fidelities, levels, strict=True):
        if not axis.values[0] <= value <= axis.full:
            raise ConfigurationError(
                f"{where}: fidelity `{axis.name}` = {value!r} is outside the measured "
                f"range [{axis.values[0]}, {axis.full}]"
            )
