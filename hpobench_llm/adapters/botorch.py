"""A benchmark as a test problem of BoTorch (Balandat et al., NeurIPS 2020).

problem = to_botorch(load("lora-nano"), fidelity=True)
losses, seconds = problem(X), problem.cost(X)
optimize_acqf(..., bounds=problem.bounds, equality_constraints=problem.equality_constraints)
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import ConfigurationError, MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.factors import Lattice, Ranges
from hpobench_llm.metrics import Metric, objective_of, select
from hpobench_llm.pareto import hypervolume
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Value,
)

try:
    import torch
    from botorch.test_functions.base import BaseTestProblem, MultiObjectiveTestProblem
except ModuleNotFoundError as error:  # botorch, or what it needs
    raise MissingDependencyError(str(error.name), "botorch", "`to_botorch`") from None

Constraints = list[tuple[torch.Tensor, torch.Tensor, float]]


class _Points:
    """The part that problems of one and of several objectives share: points to losses."""

    benchmark: Benchmark
    _objectives: tuple[Metric, ...]

    def _set_up(self, benchmark: Benchmark, metrics: tuple[Metric, ...], fidelity: bool) -> None:
        self.benchmark, self._objectives = benchmark, metrics
        self._fidelities = benchmark.fidelities if fidelity else ()
        space = benchmark.space
        self._proportions = {n for s in space.simplexes for n in s.axes}
        levels = [(0.0, len(axis.values) - 1.0) for axis in self._fidelities]
        self._bounds = [*(self._range(d) for d in space), *levels]
        self.dim = len(self._bounds)
        listed = [i for i, d in enumerate(space) if self._listed(d)]
        self.categorical_inds = [i for i in listed if isinstance(space.dimensions[i], Categorical)]
        self.discrete_inds = [i for i in listed if i not in self.categorical_inds]
        self.discrete_inds += range(len(space), self.dim)
        discrete = {*self.discrete_inds, *self.categorical_inds}
        self.continuous_inds = [i for i in range(self.dim) if i not in discrete]
        self.target_fidelities = {
            len(space) + i: len(axis.values) - 1 for i, axis in enumerate(self._fidelities)
        }

    @property
    def equality_constraints(self) -> Constraints:
        """The argument of `optimize_acqf` by which the proportions of each simplex sum to one."""
        names = self.benchmark.space.names
        return [
            (
                torch.tensor([names.index(name) for name in factor.names]),
                torch.ones(len(factor.names), dtype=torch.double),
                1.0,
            )
            for factor in self.benchmark.space.factors
            if isinstance(factor, Ranges | Lattice)
        ]

    def configuration(self, point: torch.Tensor) -> Configuration:
        """Return the configuration of a point `(d,)`: the nearest that can be evaluated."""
        space = self.benchmark.space
        values = point.tolist()[: len(space)]
        config = {d.name: self._value(d, x) for d, x in zip(space, values, strict=True)}
        for factor in space.factors:
            if isinstance(factor, Ranges | Lattice):
                shares = [float(config[name]) for name in factor.names]
                if abs(math.fsum(shares) - 1.0) > 1e-3:
                    raise ConfigurationError(
                        f"`{factor.name}`: {shares} sum to {math.fsum(shares):g}, not to one: "
                        "give `equality_constraints` to what makes the points"
                    )
                config |= zip(factor.names, factor.nearest(shares), strict=True)
        return self.benchmark.snap(config)

    def cost(self, X: torch.Tensor) -> torch.Tensor:
        """Return the costs `(...)` of points `(..., d)` in seconds."""
        seconds = [self._answer(point).cost_seconds for point in X.reshape(-1, self.dim)]
        return torch.tensor(seconds, dtype=X.dtype, device=X.device).reshape(X.shape[:-1])

    def _losses(self, X: torch.Tensor) -> torch.Tensor:
        """Return `(..., m)` losses; a run that failed or breaks a constraint has the worst."""
        answers = [self._answer(point) for point in X.reshape(-1, self.dim)]
        losses = [
            [m.to_loss(m.worst) if not a.feasible else a.loss(m) for m in self._objectives]
            for a in answers
        ]
        flat = torch.tensor(losses, dtype=X.dtype, device=X.device)
        return flat.reshape(*X.shape[:-1], len(self._objectives))

    def _answer(self, point: torch.Tensor) -> Evaluation:
        # Coordinates beyond the space are the numbers of fidelity levels.
        levels = point.tolist()[len(self.benchmark.space) :]
        fidelity = {
            axis.name: axis.values[round(level)]
            for axis, level in zip(self._fidelities, levels, strict=True)
        }
        names = [metric.name for metric in self._objectives]
        config = self.configuration(point)
        return self.benchmark.query(config, fidelity=fidelity or None, metrics=names)

    def _listed(self, d: Dimension) -> bool:
        return not isinstance(d, Float) and d.name not in self._proportions

    def _range(self, d: Dimension) -> tuple[float, float]:
        """Return the bounds of an axis: of a proportion its own, of others see `to_botorch`."""
        match d:
            case Float() | Ordinal() if d.name in self._proportions:
                low = d.low if isinstance(d, Float) else d.values[0]
                return float(low), float(d.high if isinstance(d, Float) else d.values[-1])
            case Integer():
                return float(d.low), float(d.high)
            case Float():
                return 0.0, 1.0
            case _:
                return 0.0, len(d.values) - 1.0

    def _value(self, d: Dimension, x: float) -> Value:
        match d:
            case Float() | Ordinal() if d.name in self._proportions:
                return x
            case Integer():
                return round(x)
            case Float():
                return d.from_unit(min(max(x, 0.0), 1.0))
            case _:
                return d.values[round(x)]


class BotorchProblem(_Points, BaseTestProblem):  # type: ignore[misc]
    """A benchmark with one objective. See `to_botorch`."""

    def __init__(self, benchmark: Benchmark, metric: Metric, fidelity: bool, **options: Any):
        self._set_up(benchmark, (metric,), fidelity)
        super().__init__(**options)
        self.optimal_value = None
        if benchmark.optimum_known and not _trains(benchmark):
            self.optimal_value = metric.to_loss(benchmark.optimum(metric.name)[1])

    def _evaluate_true(self, X: torch.Tensor) -> torch.Tensor:
        return self._losses(X)[..., 0]


class BotorchProblems(_Points, MultiObjectiveTestProblem):  # type: ignore[misc]
    """A benchmark with several objectives. See `to_botorch`."""

    def __init__(
        self, benchmark: Benchmark, metrics: tuple[Metric, ...], fidelity: bool, **options: Any
    ):
        self._set_up(benchmark, metrics, fidelity)
        self.num_objectives = len(metrics)
        self._ref_point = [metric.to_loss(metric.worst) for metric in metrics]
        listed = benchmark.space.finite or benchmark.kind == "table"
        if listed and not _trains(benchmark):
            names = [metric.name for metric in metrics]
            point = benchmark.reference_point(names)
            front = benchmark.pareto_front(names)
            losses = np.column_stack([m.losses(front[m.name].to_numpy()) for m in metrics])
            self._ref_point = [metric.to_loss(point[metric.name]) for metric in metrics]
            self._max_hv = hypervolume(losses, np.array(self._ref_point))
        super().__init__(**options)

    def _evaluate_true(self, X: torch.Tensor) -> torch.Tensor:
        return self._losses(X)


def _trains(benchmark: Benchmark) -> bool:
    """Whether the search for an optimum would train a whole grid."""
    return benchmark.kind == "live"


def to_botorch(
    benchmark: Benchmark,
    metrics: str | Sequence[str] = (),
    *,
    fidelity: bool = False,
    noise: bool = False,
    negate: bool = False,
) -> BotorchProblem | BotorchProblems:
    """Return a benchmark as a test problem, whose values are losses: lower is better.

    A real axis is [0, 1], logarithmic where the space says so, an integer range itself, a list of
    levels or names the number in it. Proportions are themselves, and the problem's
    `equality_constraints` say that they sum to one: a point within 0.001 of that becomes the
    nearest on the simplex.

    Args:
        benchmark: what to query.
        metrics: the objectives; the benchmark's own where none is named. Several make a
            `MultiObjectiveTestProblem`. Where all can be listed, its reference point is the
            benchmark's, a tenth of the front's range beyond it, and `max_hv` is known; otherwise
            the point is the worst of each metric.
        fidelity: add a coordinate for each fidelity axis, the number of its level; the full ones
            are `target_fidelities`. `problem.cost(X)` is in seconds.
        noise: add the benchmark's noise between seeds to what is observed.
        negate: give what is to be maximized.

    Example:
        >>> import torch
        >>> from hpobench_llm import load
        >>> problem = to_botorch(load("lora-nano"), ["val_loss"])
        >>> problem(torch.zeros(1, problem.dim, dtype=torch.double)).shape
        torch.Size([1])

    Raises:
        UnknownNameError: there is no such metric.
        ConfigurationError: the noise or the fidelity that is asked for is not known.
    """
    names = metrics or objective_of(benchmark.metrics).name
    selected = select(benchmark.metrics, names, benchmark.name)
    if fidelity and not benchmark.fidelities:
        raise ConfigurationError(f"{benchmark.name}: it has no fidelity")
    deviations = [benchmark.noise(metric.name).total for metric in selected] if noise else None
    if deviations and not all(map(math.isfinite, deviations)):
        raise ConfigurationError(f"{benchmark.name}: its noise between seeds is not known")
    if len(selected) > 1:
        return BotorchProblems(benchmark, selected, fidelity, noise_std=deviations, negate=negate)
    deviation = deviations[0] if deviations else None
    return BotorchProblem(benchmark, selected[0], fidelity, noise_std=deviation, negate=negate)
