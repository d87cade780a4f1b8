"""Smooth functions with a known optimum, on which optimizers are compared.

Branin and Hartmann's of six variables: Dixon and Szegö, "The global optimization problem", 1978.
ZDT2: Zitzler, Deb and Thiele, "Comparison of multiobjective evolutionary algorithms", 2000, here
of four variables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric, select
from hpobench_llm.space import Configuration, Float, Space

Point = NDArray[np.float64]


def branin(u: Point) -> tuple[float, ...]:
    """Return the value at a point of the unit square."""
    x, y = 15.0 * u[0] - 5.0, 15.0 * u[1]
    bend = y - 5.1 / (4.0 * np.pi**2) * x**2 + 5.0 / np.pi * x - 6.0
    return (float(bend**2 + 10.0 * (1.0 - 1.0 / (8.0 * np.pi)) * np.cos(x) + 10.0),)


_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(u: Point) -> tuple[float, ...]:
    """Return the value at a point of the unit cube."""
    return (-float(_WEIGHTS @ np.exp(-(_WIDTHS * (u - _CENTRES) ** 2).sum(axis=1))),)


def zdt2(u: Point) -> tuple[float, ...]:
    """Return both values at a point of the unit cube."""
    scale = 1.0 + 9.0 * float(np.mean(u[1:]))
    return float(u[0]), scale * (1.0 - (float(u[0]) / scale) ** 2)


@dataclass(frozen=True, slots=True)
class _Function:
    values: Callable[[Point], tuple[float, ...]]
    axes: int
    worst: tuple[float, ...]
    least: tuple[float, ...]


FUNCTIONS = {
    "branin": _Function(branin, 2, (309.0,), (0.39788735772973816,)),
    "hartmann6": _Function(hartmann6, 6, (0.0,), (-3.32236801141551,)),
    "zdt2": _Function(zdt2, 4, (1.0, 10.0), (0.0, 0.0)),
}


class FunctionBenchmark(Benchmark):
    """A function of the unit cube, whose values are its metrics; an evaluation costs a second."""

    fidelities = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self._function = FUNCTIONS[name]
        self.space = Space(tuple(Float(f"x{i}", 0.0, 1.0) for i in range(self._function.axes)))
        self.metrics = {
            f"loss_{i}": Metric(name=f"loss_{i}", unit="1", direction="minimize", worst=worst)
            for i, worst in enumerate(self._function.worst)
        }

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate the function; see `Benchmark.query`."""
        self.fidelity_levels(fidelity)
        canonical = self.space.canonical(config)
        point = np.array([canonical[axis.name] for axis in self.space], dtype=np.float64)
        values = dict(zip(self.metrics, self._function.values(point), strict=True))
        wanted = select(self.metrics, tuple(metrics or self.metrics), self.name)
        return Evaluation(metrics={m.name: values[m.name] for m in wanted}, cost_seconds=1.0)

    def measures(self) -> dict[str, str]:
        """Return the metrics and the cost, with units."""
        return {m.name: m.unit for m in self.metrics.values()} | {"cost_seconds": "s"}

    def noise(self, metric: str) -> float:
        """Return 0: there is none."""
        return 0.0

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the least value; where it is, is not said."""
        return {}, self._function.least[[*self.metrics].index(metric)]
