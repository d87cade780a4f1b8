"""How a surrogate sees a configuration and a fidelity: one row of features in [0, 1]."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Float, Integer, Ordinal, Space


def relaxed(space: Space) -> Space:
    """Return the space with its ordinal axes filled in: between two levels a value may lie."""
    dimensions = []
    for d in space.dimensions:
        if not isinstance(d, Ordinal) or len(d.values) < 2:
            dimensions.append(d)
        elif all(isinstance(value, int) for value in d.values):
            dimensions.append(Integer(d.name, int(d.values[0]), int(d.values[-1]), d.log, d.unit))
        else:
            dimensions.append(Float(d.name, d.values[0], d.values[-1], d.log, d.unit))
    return Space(tuple(dimensions))


def encode_fidelities(
    fidelities: Sequence[Fidelity], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map fidelity values `(n, axes)` to [0, 1]: `log(1 + v)` over the measured range."""
    low = np.array([math.log1p(axis.values[0]) for axis in fidelities])
    high = np.array([math.log1p(axis.full) for axis in fidelities])
    encoded: NDArray[np.float64] = (np.log1p(values) - low) / np.where(high > low, high - low, 1.0)
    return encoded
