"""Constraints: bounds on what was measured of a run, such as its memory or its seconds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.metrics import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """An upper bound on a measured quantity, in its `unit`.

    Where more is better (a score) it is a lower bound: `direction` says which way is good.
    """

    name: str
    bound: float
    unit: str
    direction: Direction = "minimize"

    def __post_init__(self) -> None:
        if not math.isfinite(self.bound):
            raise ValueError(f"constraint {self.name}: a finite bound is needed, got {self.bound}")

    def excess(self, value: float) -> float:
        """Return the excess of a value over the bound; at most 0 if it is within.

        A value that was not measured (NaN) counts as infinitely far beyond: nobody knows that it
        is within.
        """
        if math.isnan(value):
            return math.inf
        return value - self.bound if self.direction == "minimize" else self.bound - value

    def excesses(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `(n,)` of `excess` for `(n,)` values."""
        beyond = values - self.bound if self.direction == "minimize" else self.bound - values
        return np.where(np.isnan(beyond), np.inf, beyond)
