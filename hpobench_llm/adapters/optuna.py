"""A benchmark as an objective of Optuna (Akiba et al., 2019).

objective = OptunaObjective(load("lora-nano"), ["val_loss"])
study = optuna.create_study(directions=objective.directions)
study.optimize(objective, n_trials=50)
objective.configuration(study.best_params)
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import objective_of, select
from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Value
from hpobench_llm.sticks import StickSpace

try:
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
except ModuleNotFoundError as error:  # optuna, or what it needs
    raise MissingDependencyError(str(error.name), "optuna", "`OptunaObjective`") from None

if TYPE_CHECKING:
    from optuna import Trial


class OptunaObjective:
    """The function that `study.optimize` calls: it suggests, snaps and evaluates.

    Parameters have the axis's own values, so that dashboards show them. Levels that are equally
    spaced, and names, are suggested as they are. Other levels (1, 2, 4, 8) are a range, with the
    axis's log scale, and the nearest level is evaluated: so every sampler knows their order, which
    Optuna's categorical parameters have not, nor does its log scale take steps. What is shown may
    then lie between two levels; what was evaluated is in the attribute `configuration`.

    Proportions are their sticks (see `hpobench_llm.sticks`), as Optuna knows of no sums; a run
    that failed has the metric's worst value. Each trial keeps as user attributes the configuration
    that was evaluated, its status and its cost in seconds, and as constraints those of the
    benchmark.

    Args:
        benchmark: what to query.
        metrics: the objectives, in their own units and directions; the benchmark's own where
            none is named.
        fidelity: where to query, None in full.
        seed: the benchmark's seed, None for the mean over them.

    Example:
        >>> import optuna
        >>> from hpobench_llm import load
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> study.optimize(OptunaObjective(load("lora-nano")), n_trials=3)
        >>> len(study.trials)
        3

    Raises:
        UnknownNameError: there is no such metric.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        metrics: str | Sequence[str] = (),
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> None:
        self.benchmark = benchmark
        self._sticks = StickSpace.of(benchmark.space)
        self._space = self._sticks or benchmark.space
        names = metrics or objective_of(benchmark.metrics).name
        self.metrics = select(benchmark.metrics, names, benchmark.name)
        self._where: dict[str, Any] = {"fidelity": fidelity, "seed": seed}

    @property
    def directions(self) -> list[Any]:
        """The `directions` of `optuna.create_study`."""
        return [str(metric.direction) for metric in self.metrics]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the distributions from which a call suggests; `study.ask` takes them."""
        return {dimension.name: _distribution(dimension) for dimension in self._space}

    def configuration(self, params: Mapping[str, Any]) -> Configuration:
        """Return the configuration that a trial's `params` stand for."""
        config = {d.name: _nearest(d, params[d.name]) for d in self._space}
        return config if self._sticks is None else self._sticks.decode(config)

    def __call__(self, trial: "Trial") -> float | tuple[float, ...]:
        """Evaluate one trial."""
        params = {
            name: _suggested(trial, name, distribution)
            for name, distribution in self.distributions().items()
        }
        config, answer = self.answer(params)
        trial.set_user_attr("configuration", config)
        trial.set_user_attr("status", answer.status)
        trial.set_user_attr("cost_seconds", answer.cost_seconds)
        for name, excess in answer.constraints.items():
            trial.set_constraint(name, excess)
        return self.values(answer)

    def answer(self, params: Mapping[str, Any]) -> tuple[Configuration, Evaluation]:
        """Return the configuration that is evaluated for a trial's `params`, and its answer."""
        config = self.benchmark.snap(self.configuration(params), **self._where)
        return config, self.benchmark.query(config, **self._where)

    def values(self, answer: Evaluation) -> float | tuple[float, ...]:
        """Return the objectives of an answer as Optuna takes them."""
        values = tuple(metric.from_loss(answer.loss(metric)) for metric in self.metrics)
        return values if len(values) > 1 else values[0]


def _distribution(d: Dimension) -> BaseDistribution:
    match d:
        case Ordinal():
            return _of_levels(d)
        case Categorical():
            return CategoricalDistribution(d.values)
        case Integer():
            return IntDistribution(d.low, d.high, log=d.log)
        case _:
            return FloatDistribution(d.low, d.high, log=d.log)


def _of_levels(d: Ordinal) -> BaseDistribution:
    low, high = d.values[0], d.values[-1]
    steps = [b - a for a, b in zip(d.values, d.values[1:], strict=False)] or [1]
    even = all(math.isclose(step, steps[0], rel_tol=1e-9) for step in steps)
    if all(isinstance(value, int) for value in d.values):
        if even:
            return IntDistribution(int(low), int(high), step=int(steps[0]))
        return IntDistribution(int(low), int(high), log=d.log)
    if even:
        return FloatDistribution(low, high, step=steps[0])
    return FloatDistribution(low, high, log=d.log)


def _nearest(d: Dimension, value: Value) -> Value:
    """Return the value of an axis for a parameter; of levels, the nearest."""
    if isinstance(d, Ordinal):
        return d.from_unit(d.to_unit(value))
    return value


def _suggested(trial: "Trial", name: str, distribution: BaseDistribution) -> Value:
    match distribution:
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return str(trial.suggest_categorical(name, choices))
    raise TypeError(distribution)  # `_distribution` makes no other
