"""Samples of items: which ones stand for all, and the mean of a value with its standard error."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return at most `count` items (0: all), spread evenly over the sequence, in its order."""
    wanted = min(count or len(items), len(items))
    return [items[index * len(items) // wanted] for index in range(wanted)]


def mean_and_stderr(sample: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of `(items,)` values and its standard error; NaN for a single item."""
    if len(sample) < 2:
        return float(sample.mean()), math.nan
    return float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(len(sample)))
