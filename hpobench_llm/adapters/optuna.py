"""A benchmark as an objective of Optuna (Akiba et al., 2019).

objective = OptunaObjective(load("lora-nano"), ["val_loss"])
study = optuna.create_study(directions=objective.directions)
study.optimize(objective, n_trials=50)
objective.configuration(study.best_params)
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.metrics import objective_of, select
from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Value
from hpobench_llm.sticks import StickSpace

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution


class OptunaObjective:
    """What `study.optimize` calls: suggests, snaps to what can be evaluated, and evaluates.

    An ordinal axis is its index, so that its order is kept; proportions are their sticks (see
    `hpobench_llm.sticks`), as Optuna knows of no sums; a run that failed has the metric's
    worst value. Each trial keeps as user attributes the configuration that was evaluated, its
    status and its cost in seconds, and as constraints those of the benchmark.

    Args:
        benchmark: what to query.
        metrics: the objectives, in their own units and directions; the benchmark's own where
            none is named.
        fidelity: where to query, None in full.
        seed: the benchmark's seed, None for the mean over them.

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
    def directions(self) -> list[str]:
        """The `directions` of `optuna.create_study`."""
        return [str(metric.direction) for metric in self.metrics]

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Return the distributions that `study.ask` takes, those that a call suggests from.

        Raises:
            MissingDependencyError: optuna is not installed.
        """
        from hpobench_llm.optimizers.model_based.optuna_studies import distributions

        return distributions(self._space)

    def configuration(self, params: Mapping[str, Any]) -> Configuration:
        """Return the configuration that a trial's `params` stand for."""
        return self._decoded(
            {
                d.name: d.values[params[d.name]] if isinstance(d, Ordinal) else params[d.name]
                for d in self._space
            }
        )

    def _decoded(self, config: Configuration) -> Configuration:
        return config if self._sticks is None else self._sticks.decode(config)

    def __call__(self, trial: "Trial") -> float | tuple[float, ...]:
        """Evaluate one trial."""
        config = self._decoded({d.name: _suggested(trial, d) for d in self._space})
        snapped = self.benchmark.snap(config, **self._where)
        answer = self.benchmark.query(snapped, **self._where)
        trial.set_user_attr("configuration", snapped)
        trial.set_user_attr("status", answer.status)
        trial.set_user_attr("cost_seconds", answer.cost_seconds)
        for name, excess in answer.constraints.items():
            trial.set_constraint(name, excess)
        values = tuple(metric.from_loss(answer.loss(metric)) for metric in self.metrics)
        return values if len(values) > 1 else values[0]


def _suggested(trial: "Trial", d: Dimension) -> Value:
    match d:
        case Ordinal():
            return d.values[trial.suggest_int(d.name, 0, len(d.values) - 1)]
        case Categorical():
            return str(trial.suggest_categorical(d.name, d.values))
        case Integer():
            return trial.suggest_int(d.name, d.low, d.high, log=d.log)
        case _:
            return trial.suggest_float(d.name, d.low, d.high, log=d.log)
