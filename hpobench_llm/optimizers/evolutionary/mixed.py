"""A space as CatCMA sees it: real axes, axes with steps and axes of names. Needs `cmaes`."""

from dataclasses import replace
from typing import Any

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

Array = NDArray[np.float64]
STEPS = 1000  # an integer range of more values, or of a logarithm, is a real axis that is rounded


class MixedSpace:
    """The axes of a space in the three lists of `cmaes`, those of one value left out.

    Names, and axes of two values, as the library advises, are `c`. Ordinal axes and integer
    ranges are `z`, equally spaced on [0, 1]. All others are `x`: [0, 1], in the logarithm where
    the dimension says so.
    """

    def __init__(self, space: Space) -> None:
        self.x: list[Dimension] = []
        self.z: list[Dimension] = []
        self.c: list[Dimension] = []
        self._fixed: Configuration = {}
        for d in space:
            count = _count(d)
            if count == 1:  # nothing to search
                self._fixed[d.name] = d.from_unit(0.0)
            elif count == 2 or isinstance(d, Categorical):
                self.c.append(d)
            elif count is not None:
                self.z.append(d)
            else:
                self.x.append(d)

    @property
    def empty(self) -> bool:
        """Whether no axis has a second value."""
        return not (self.x or self.z or self.c)

    @property
    def lists(self) -> dict[str, list[Any] | None]:
        """The library's arguments for the space."""
        return {
            "x_space": [[0.0, 1.0] for _ in self.x] or None,
            "z_space": [list(np.linspace(0.0, 1.0, _count(d) or 0)) for d in self.z] or None,
            "c_space": [_count(d) for d in self.c] or None,
        }

    def mean(self, config: Configuration) -> Array:
        """Return the coordinates `(x + z,)` of a configuration."""
        x = [min(max(d.to_unit(config[d.name]), 0.0), 1.0) for d in self.x]
        z = [_index(d, config[d.name]) / ((_count(d) or 2) - 1) for d in self.z]
        return np.array(x + z, dtype=np.float64)

    def names(self, config: Configuration) -> NDArray[np.bool_]:
        """Return a configuration's names one-hot `(c, most)`, as the library has them."""
        most = max((_count(d) or 0 for d in self.c), default=0)
        one_hot = np.zeros((len(self.c), most), dtype=bool)
        for row, d in enumerate(self.c):
            one_hot[row, _index(d, config[d.name])] = True
        return one_hot

    def config(self, solution: Any) -> Configuration:
        """Return the configuration of a solution of the library's."""
        config = dict(self._fixed)
        for d, u in zip(self.x, () if solution.x is None else solution.x, strict=True):
            config[d.name] = d.from_unit(min(max(float(u), 0.0), 1.0))
        for d, u in zip(self.z, () if solution.z is None else solution.z, strict=True):
            config[d.name] = _value(d, round(float(u) * ((_count(d) or 2) - 1)))
        for d, row in zip(self.c, () if solution.c is None else solution.c, strict=True):
            config[d.name] = _value(d, int(np.argmax(row)))
        return config

    def moved(self, solution: Any, config: Configuration) -> Any:
        """Return a solution as what was evaluated: its own, but where it was moved."""
        asked = self.config(solution)
        fields: dict[str, NDArray[Any]] = {}
        if self.x or self.z:
            unmoved = [config[d.name] == asked[d.name] for d in (*self.x, *self.z)]
            # The library learns from `_v_raw`: `x` and `z` are made from it.
            point = np.where(unmoved, solution._v_raw, self.mean(config))
            fields["_v_raw"] = point
        if self.c:
            fields["c"] = self.names(config)
        return replace(solution, **fields)


def _count(d: Dimension) -> int | None:
    """Return how many values an axis has; None: it is a real one for CatCMA."""
    match d:
        case Float():
            return None
        case Integer():
            count = d.high - d.low + 1
            return None if d.log or count > STEPS else count
        case _:
            return len(d.values)


def _index(d: Dimension, value: Value) -> int:
    if isinstance(d, Ordinal | Categorical):
        return d.level(value)
    return int(value) - int(d.from_unit(0.0))


def _value(d: Dimension, index: int) -> Value:
    if isinstance(d, Ordinal | Categorical):
        return d.values[index]
    return int(d.from_unit(0.0)) + index
