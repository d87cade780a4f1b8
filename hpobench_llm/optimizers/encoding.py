"""The unit cube with equal cells: how methods that only know real vectors see any space.

A finite axis and an integer range are cut into one cell a value, all of equal length (for an
integer range with log: equal in the logarithm of `value - 0.5 ... value + 0.5`), so that a uniform
point gives every value its chance, the first and last included. `Space.to_unit` has no cells: it
puts the first value at 0 and the last at 1, where rounding leaves them half a chance. Sticks of
proportions (see `sticks`) have cells too, of which not all are of equal length.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Space,
    Value,
)
from hpobench_llm.sticks import StickSpace

Point = NDArray[np.float64]
Points = NDArray[np.float64]


def decode(space: Space, point: Sequence[float] | Point) -> Configuration:
    """Return the configuration in whose cell a point `(d,)` of the unit cube lies."""
    pairs = zip(space, point, strict=True)
    config = {d.name: _decode(d, min(max(float(u), 0.0), 1.0)) for d, u in pairs}
    return space.settled(config) if isinstance(space, StickSpace) else config


def encode(space: Space, config: Mapping[str, Value]) -> Point:
    """Return the point `(d,)` of a configuration: the centre of its cell on a finite axis."""
    return np.array([_encode(d, config[d.name]) for d in space], dtype=np.float64)


def as_evaluated(space: Space, point: Point, config: Configuration) -> Point:
    """Return the point if `config` is what it decodes to, else the point of `config`.

    So a method keeps its own real vector, unless the configuration was moved before it was
    evaluated.
    """
    return point if decode(space, point) == config else encode(space, config)


def snap(space: Space, points: Points) -> Points:
    """Return points `(n, d)` of the cube, each at the centre of its cell on a finite axis.

    That is `encode(decode(point))` for all of them at once.
    """
    columns = np.clip(points, 0.0, 1.0).T
    snapped = np.array([_snap(d, u) for d, u in zip(space, columns, strict=True)]).T
    return space.centred(snapped) if isinstance(space, StickSpace) else snapped


def columns(space: Space, points: Points) -> Points:
    """Return points `(n, d)` as `(n, columns)`: a categorical axis has a 0-1 column a name."""
    arrays = []
    for d, u in zip(space, points.T, strict=True):
        if isinstance(d, Categorical):
            levels = len(d.values)
            indices = np.floor(u * levels)
            arrays += list((indices == np.arange(levels)[:, None]).astype(np.float64))
        else:
            arrays.append(u)
    return np.array(arrays).T


def real_columns(space: Space) -> dict[Float, int]:
    """Return the column in `columns` of each real axis."""
    widths = [len(d.values) if isinstance(d, Categorical) else 1 for d in space]
    # Not strict: the last sum is where the columns end, and belongs to no axis.
    pairs = zip(space, accumulate(widths, initial=0), strict=False)
    return {d: column for d, column in pairs if isinstance(d, Float)}


def features(space: Space, configs: Sequence[Mapping[str, Value]]) -> Points:
    """Return configurations as `(n, columns)`, see `columns`."""
    return columns(space, np.array([encode(space, config) for config in configs]))


def _snap(dimension: Dimension, units: Point) -> Point:
    match dimension:
        case Ordinal() | Categorical():
            levels = len(dimension.values)
            indices = np.minimum(np.floor(units * levels), levels - 1)  # 1.0 is in the last cell
            return (indices + 0.5) / levels
        case Integer():
            low, width = _integer_cells(dimension)
            edges = low + units * width
            numbers = np.rint(np.exp(edges) if dimension.log else edges)
            numbers = np.clip(numbers, dimension.low, dimension.high)
            return ((np.log(numbers) if dimension.log else numbers) - low) / width
        case _:
            return units


def _decode(dimension: Dimension, unit: float) -> Value:
    match dimension:
        case Ordinal() | Categorical():
            levels = len(dimension.values)
            return dimension.values[min(int(unit * levels), levels - 1)]  # 1.0 is in the last cell
        case Integer():
            low, width = _integer_cells(dimension)
            edge = low + unit * width
            number = round(math.exp(edge) if dimension.log else edge)
            return min(max(number, dimension.low), dimension.high)  # an end may round outwards
        case _:
            return dimension.from_unit(unit)


def _encode(dimension: Dimension, value: Value) -> float:
    match dimension:
        case Ordinal() | Categorical():
            return (dimension.level(value) + 0.5) / len(dimension.values)
        case Integer():
            low, width = _integer_cells(dimension)
            return ((math.log(float(value)) if dimension.log else float(value)) - low) / width
        case _:
            return min(max(dimension.to_unit(value), 0.0), 1.0)  # a logarithm may miss a bound


def _integer_cells(dimension: Integer) -> tuple[float, float]:
    # Half a step beyond either end, so that the first and the last number have whole cells.
    low, high = dimension.low - 0.5, dimension.high + 0.5
    if dimension.log:
        low, high = math.log(low), math.log(high)
    return low, high - low
