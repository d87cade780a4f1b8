"""Seconds and tokens: a rate for each configuration times a shape for each fidelity axis.

`resource = rate(configuration) * shape_1(fidelity_1) * shape_2(fidelity_2) ...`, where a shape is
positive, never falls, is 1 in full, and is linear between the measured levels. So costs are
positive and never fall along a fidelity, whichever family fits the rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hpobench_llm.metrics import Fidelity
from hpobench_llm.surrogates.encoding import FloatArray

SECONDS, TOKENS = ("train_seconds", "eval_seconds"), "tokens_seen"
LEAST = 1e-6  # what a table calls 0 (the untrained base) is this share of a run in full

_SWEEPS = 30


class ShapeRecord(TypedDict):
    """A `ResourceShape` as plain JSON."""

    name: str
    levels: list[list[float]]
    factors: list[list[float]]


@dataclass(frozen=True, slots=True)
class ResourceShape:
    """How one resource grows along the fidelity axes: for each axis, levels and factors."""

    name: str
    levels: tuple[tuple[float, ...], ...]
    factors: tuple[tuple[float, ...], ...]

    def at(self, level: Sequence[float]) -> float:
        """Return the factor at a fidelity; 1 in full."""
        product = 1.0
        for value, levels, factors in zip(level, self.levels, self.factors, strict=True):
            product *= float(np.interp(value, levels, factors))
        return product

    def check(self, fidelities: Sequence[Fidelity]) -> None:
        """Refuse a shape that no fit gives.

        Raises:
            ValueError, TypeError: an unknown resource, or a factor that falls along an axis.
        """
        if self.name not in (*SECONDS, TOKENS):
            raise ValueError(f"unknown resource {self.name!r}")
        axes = zip(fidelities, self.levels, self.factors, strict=True)
        for axis, levels, factors in axes:
            rising = np.array([levels, factors], dtype=np.float64)
            sound = rising.shape == (2, len(axis.values)) and np.isfinite(rising).all()
            if not sound or (np.diff(rising) < 0).any() or (rising[1] <= 0).any():
                raise ValueError(f"{self.name} does not grow along {axis.name}")

    def to_json(self) -> ShapeRecord:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "levels": [list(axis) for axis in self.levels],
            "factors": [list(axis) for axis in self.factors],
        }

    @staticmethod
    def from_json(raw: ShapeRecord) -> "ResourceShape":
        """Rebuild a shape from `to_json`."""
        levels, factors = (
            tuple(tuple(map(float, axis)) for axis in raw[key]) for key in ("levels", "factors")
        )
        return ResourceShape(str(raw["name"]), levels, factors)


@dataclass(frozen=True, slots=True)
class Resources:
    """The shapes, and `(configurations, resources)` log rates, NaN where none was measured."""

    shapes: tuple[ResourceShape, ...]
    rates: FloatArray


def resources_of(
    frame: pd.DataFrame,
    fidelities: Sequence[Fidelity],
    levels: FloatArray,
    configuration: NDArray[np.intp],
) -> Resources:
    """Split the resources of a table into shapes and rates.

    A resource whose column the table lacks, or never fills, is left out. `levels` is `(n, axes)`,
    `configuration` `(n,)`.
    """
    shapes, rates = [], []
    for name in (*SECONDS, TOKENS):
        if name in frame.columns:
            amount = frame[name].to_numpy(dtype=np.float64)
            if (np.isfinite(amount) & (amount > 0)).any():
                shape, rate = _split(name, amount, fidelities, levels, configuration)
                shapes.append(shape)
                rates.append(rate)
    count = int(configuration.max()) + 1
    return Resources(tuple(shapes), np.array(rates).reshape(len(rates), count).T)


def _split(
    name: str,
    amount: FloatArray,
    fidelities: Sequence[Fidelity],
    levels: FloatArray,
    configuration: NDArray[np.intp],
) -> tuple[ResourceShape, FloatArray]:
    """Fit `log amount = rate + sum over axes of a step function`, by turns, in least squares."""
    # A product of rate and factors is a sum of logarithms; of 0 there is none.
    use = np.isfinite(amount) & (amount > 0)
    log, configurations = np.log(amount[use]), configuration[use]
    positions = [
        np.searchsorted(axis.values, levels[use, number]) for number, axis in enumerate(fidelities)
    ]
    factors = [np.zeros(len(axis.values)) for axis in fidelities]
    count = int(configuration.max()) + 1
    rate = _mean(log, configurations, count)
    # Without an axis the first mean is the fit already.
    for _ in range(_SWEEPS if fidelities else 0):
        for number, position in enumerate(positions):
            residual = log - rate[configurations] - _total(factors, positions, len(log))
            unexplained = residual + factors[number][position]  # what this axis has to explain
            factors[number] = _rising(unexplained, position, len(factors[number]))
        rate = _mean(log - _total(factors, positions, len(log)), configurations, count)
    # The factor in full becomes 1, and what it was goes into the rate.
    shape = ResourceShape(
        name,
        tuple(tuple(map(float, axis.values)) for axis in fidelities),
        tuple(
            tuple(np.maximum(np.exp(factor - factor[-1]), LEAST).tolist()) for factor in factors
        ),
    )
    return shape, rate + sum(float(factor[-1]) for factor in factors)


def _total(factors: list[FloatArray], positions: list[NDArray[np.intp]], rows: int) -> FloatArray:
    return sum((f[p] for f, p in zip(factors, positions, strict=True)), np.zeros(rows))


def _mean(values: FloatArray, groups: NDArray[np.intp], count: int) -> FloatArray:
    number = np.bincount(groups, minlength=count)
    total = np.bincount(groups, values, count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _rising(values: FloatArray, position: NDArray[np.intp], count: int) -> FloatArray:
    """Return the mean at each level, made to rise; minus infinity below the first measured."""
    number = np.bincount(position, minlength=count)
    measured = np.flatnonzero(number)
    means = _mean(values, position, count)[measured]
    rising = isotonic_regression(means, weights=number[measured]).x
    factor = np.interp(np.arange(count), measured, rising)
    factor[: measured[0]] = -np.inf
    return factor
