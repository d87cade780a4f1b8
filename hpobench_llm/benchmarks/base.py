"""The contract of every benchmark: pure queries, known metrics, fidelities and optimum."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.fronts import Fronts
from hpobench_llm.benchmarks.pictured import Pictured
from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError, NotMeasuredError, UnknownNameError, shown
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric, select
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Configuration, is_finite, is_number
from hpobench_llm.sticks import StickSpace
from hpobench_llm.tables.baselines import Baseline

FidelityValues = Mapping[str, int | float] | int | float
CONSTRAINT = "constraint_"  # how a frame's columns of constraints begin
_DRAWS = 20_000  # from a space that cannot be listed


def as_rows(
    configs: Sequence[Mapping[str, object]] | pd.DataFrame,
) -> Sequence[Mapping[str, object]]:
    """Return configurations as mappings, whether they come as a frame or as a sequence.

    A frame may hold `config_id` beside the hyperparameters, as `configurations()` does.
    """
    check_many(configs)
    if not isinstance(configs, pd.DataFrame):
        return configs
    frame = configs.drop(columns="config_id", errors="ignore")
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def check_many(configs: object) -> None:
    """Refuse anything but a sequence of configurations, or a frame with one column a name.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(configs, pd.DataFrame):
        if configs.columns.is_unique:
            return
        for name in configs.columns[configs.columns.duplicated()]:
            raise ConfigurationError(f"a frame of configurations has two columns {shown(name)}")
    elif not isinstance(configs, Sequence) or isinstance(configs, str | bytes):
        raise ConfigurationError(
            f"a sequence of configurations, or a frame, is expected, got {shown(configs)}"
        )


class Benchmark(Pictured, Fronts, ABC):
    """A named function from configurations to evaluations.

    Equal arguments give equal answers in any process: no hidden randomness, no sleeping.

    Attributes:
        name: the name under which results are filed.
        space: the configurations that can be asked for.
        fidelities: the axes along which a run may be asked for in part; may be empty.
        metrics: the metrics that are answered, by name; `metrics.objective_of` is the default
            objective.
        constraints: the bounds given to `constrained`.
        sha256: the sum of all that its answers follow from; None: only this package's code.
        baselines: what a table holds beside its configurations.
        kind: where its answers come from: `table`, `surrogate`, `live`, `toy` or `function`.
    """

    kind: ClassVar[str] = "function"

    constraints: tuple[Constraint, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    sha256: str | None = None

    @abstractmethod
    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate one configuration.

        Args:
            config: one value for each dimension of `space`; a row of `configurations()` will do.
            fidelity: a value for each fidelity axis; an axis that is not named is in full, and
                None means the whole run in full. Where there is one axis, its value alone.
            seed: None for the mean over the seeds that all configurations have, an integer for
                one of them.
            metrics: which metrics to answer; None for all that were measured there.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> config, _ = benchmark.optimum("val_loss")
            >>> answer = benchmark.query(config, fidelity={"step": 64})
            >>> answer.status, round(answer.metrics["val_loss"], 3)
            ('ok', 3.673)

        Raises:
            ConfigurationError: the configuration does not lie in the space, or an argument has
                the wrong type.
            NotInTableError: a table does not hold this configuration, fidelity or seed.
            UnknownNameError: there is no such metric or fidelity.
        """

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Evaluate many configurations at one fidelity.

        Returns a frame with one row per configuration, in order: the metrics, `status`,
        `cost_seconds`, `tokens`, and `constraint_<name>` for each constraint; a metric that was
        not measured is NaN.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> frame = benchmark.query_many(benchmark.configurations(), seed=0)
            >>> int((frame["status"] == "ok").sum())
            1202
        """
        answers = [self.query(row, fidelity=fidelity, seed=seed) for row in as_rows(configs)]
        columns: dict[str, list[object]] = {
            name: [answer.metrics.get(name, float("nan")) for answer in answers]
            for name in self.metrics
        }
        columns["status"] = [answer.status for answer in answers]
        columns["cost_seconds"] = [answer.cost_seconds for answer in answers]
        columns["tokens"] = [answer.tokens for answer in answers]
        for name in (constraint.name for constraint in self.constraints):
            columns[f"{CONSTRAINT}{name}"] = [answer.constraints[name] for answer in answers]
        return pd.DataFrame(columns)

    def measures(self) -> dict[str, str]:
        """Return the quantities that `constrained` may bound, with units; by default none.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> benchmark.measures()["peak_memory_bytes"]
            'bytes'
        """
        return {}

    def constrained(self, bounds: Mapping[str, float]) -> Self:
        """Return this benchmark with upper bounds on quantities that `measures` names.

        Every evaluation then has its excess over each bound, and `optimum` and `pareto_front` are
        those of the configurations that keep all bounds. A bound on a metric that is maximized is
        a lower one. Earlier bounds stay, unless named again.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> small = benchmark.constrained({"trainable_parameters": 50_000})
            >>> small.optimum("val_loss")[0]["rank"]
            4

        Raises:
            UnknownNameError: nothing of that name was measured.
            ConfigurationError: a bound is no finite number.
        """
        if not isinstance(bounds, Mapping):
            raise ConfigurationError(
                f"{self.name}: bounds by name are expected, got {shown(bounds)}"
            )
        units = self.measures()
        constraints = {constraint.name: constraint for constraint in self.constraints}
        for name, bound in bounds.items():
            if name not in units:
                raise UnknownNameError("quantity to bound", name, units, self.name)
            if not is_finite(bound):
                raise ConfigurationError(
                    f"{self.name}: constraint `{name}`: a finite number is expected, got "
                    f"{shown(bound)}"
                )
            direction = self.metrics[name].direction if name in self.metrics else "minimize"
            constraints[name] = Constraint(
                name=name, bound=float(bound), unit=units[name], direction=direction
            )
        other = self._other()
        other.constraints = tuple(constraints.values())
        return other

    def called(self, name: str) -> Self:
        """Return this benchmark under another name, under which its results are then filed."""
        other = self._other()
        other.name = name
        return other

    def identity(self, metrics: Sequence[str] = ()) -> dict[str, str]:
        """Return kind and sums, to print beside results; for a surrogate also its quality."""
        return {"kind": self.kind} | ({"sha256": self.sha256} if self.sha256 else {})

    def judge(self) -> "Benchmark":
        """Return the benchmark that judges trials in full: itself, unless it knows more seeds."""
        return self

    @property
    def optimum_known(self) -> bool:
        """Whether `optimum` and `pareto_front` are the best of all, not the best of a search."""
        return self.space.finite

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the best configuration of a metric in full, and its value in its own units.

        It is the best answer that an optimizer can get; regret is against `judge()`'s.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> config, loss = benchmark.optimum("val_loss")
            >>> round(loss, 4)
            3.6304

        Raises:
            UnknownNameError: there is no such metric.
            NotMeasuredError: no run in full is ok, has the metric and keeps the constraints.
        """
        (selected,) = select(self.metrics, (metric,), self.name)
        configs, losses = self._sound((selected,))
        best = int(np.argmin(losses[:, 0]))
        return dict(configs[best]), selected.from_loss(float(losses[best, 0]))

    def noise(self, metric: str) -> Noise:
        """Return the noise between seeds of a good run in full, in two parts; NaN: unknown.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> round(benchmark.noise("val_loss").shift, 4)
            0.0092
        """
        select(self.metrics, (metric,), self.name)
        return Noise(float("nan"), float("nan"))

    def configurations(self) -> pd.DataFrame:
        """Return all configurations: `config_id` and one column for each axis.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> len(benchmark.configurations())
            1536

        Raises:
            ConfigurationError: the space has a continuous dimension.
        """
        return self._frame(list(self.space.configurations()))

    def snap(
        self,
        config: Configuration,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        tried: Sequence[Configuration] = (),
    ) -> Configuration:
        """Return the nearest configuration that can be evaluated, new to `tried` if need be."""
        return config

    def fidelity_levels(self, fidelity: FidelityValues | None) -> tuple[int | float, ...]:
        """Return one checked value for each fidelity axis, the full one by default."""
        levels: dict[str, int | float] = {}
        names = [axis.name for axis in self.fidelities]
        if is_number(fidelity) and len(names) == 1:
            fidelity = {names[0]: fidelity}
        if fidelity is not None and not isinstance(fidelity, Mapping):
            raise ConfigurationError(
                f"{self.name}: fidelity: a value by name of {', '.join(names) or 'no axis'} is "
                f"expected, got {shown(fidelity)}"
            )
        for name, value in (fidelity or {}).items():
            if name not in names:
                raise UnknownNameError("fidelity", name, names, self.name)
            if not is_finite(value):
                raise ConfigurationError(
                    f"{self.name}: fidelity `{name}`: a finite number is expected, got "
                    f"{shown(value)}"
                )
            levels[name] = value.item() if isinstance(value, np.generic) else value
        return tuple(levels.get(axis.name, axis.full) for axis in self.fidelities)

    def _excesses(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Return an evaluation's `constraints`, from measured values by name."""
        unknown = float("nan")
        return MappingProxyType(
            {c.name: c.excess(values.get(c.name, unknown)) for c in self.constraints}
        )

    def _frame(self, configs: Sequence[Configuration]) -> pd.DataFrame:
        frame = pd.DataFrame(list(configs), columns=list(self.space.names))
        frame.insert(0, "config_id", [self.space.config_id(config) for config in configs])
        return frame

    def _candidates(self) -> list[Configuration]:
        """Return the configurations among which optimum and front are searched."""
        if self.space.finite:
            return list(self.space.configurations())
        rng = np.random.default_rng(0)
        # Proportions that sum to one are drawn uniformly on their simplex.
        sticks = StickSpace.of(self.space)
        space = self.space if sticks is None else sticks
        drawn = space.from_unit(rng.random((_DRAWS, len(space))))
        return drawn if sticks is None else list(map(sticks.decode, drawn))

    def _other(self) -> Self:
        """Return a copy whose answers may differ, so that it has no scales yet."""
        other = copy.copy(self)
        other.__dict__.pop("_scales", None)
        return other

    def _sound(self, metrics: Sequence[Metric]) -> tuple[list[Configuration], NDArray[np.float64]]:
        """Return the candidates that end ok and keep the constraints, and their losses."""
        configs = self._candidates()
        answers = self.query_many(configs)
        losses = np.column_stack([m.losses(answers[m.name].to_numpy()) for m in metrics])
        usable = (answers["status"] == "ok").to_numpy() & np.isfinite(losses).all(axis=1)
        for constraint in self.constraints:
            usable &= (answers[f"{CONSTRAINT}{constraint.name}"] <= 0).to_numpy()
        if not usable.any():
            bounds = [f"{c.name} {c.bound:g} {c.unit}".rstrip() for c in self.constraints]
            raise NotMeasuredError(
                f"{self.name}: no run in full is ok, has {', '.join(m.name for m in metrics)}"
                + (f" and keeps {', '.join(bounds)}" if bounds else "")
            )
        return [configs[index] for index in np.flatnonzero(usable)], losses[usable]
