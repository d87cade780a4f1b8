"""A benchmark as a comparison judges its trials: objectives, the best there is, values in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import CONSTRAINT, Benchmark
from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import (
    ConfigurationError,
    IntegrityError,
    NotInTableError,
    NotMeasuredError,
    UnknownNameError,
)
from hpobench_llm.metrics import Fidelity, Metric, select
from hpobench_llm.pareto import Scale, nondominated
from hpobench_llm.replaying.columns import CONFIG, FIDELITY, METRIC, column
from hpobench_llm.space import Configuration
from hpobench_llm.tables.baselines import Baseline

FloatArray = NDArray[np.float64]
DRAWS = 1000  # configurations, whose median regret is the typical one
Reference = Literal["front", "worst"]  # see `ComparedBenchmark.of`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedBenchmark:
    """One benchmark as a comparison sees it.

    Attributes:
        objectives: one metric, or several, which are judged by their hypervolume on the `scale`.
        optimum: the best value in own units; of several objectives the front's hypervolume.
        optimum_known: False if the optimum is only the best that a search or any trial found.
        noise: the standard deviation between good runs of two configurations without the effect
            that a seed has on both, in the metric's units; None or NaN if unknown, and with
            several objectives.
        shift: the standard deviation of a seed's effect on all configurations, likewise.
        fidelities: the axes along which trials may have been run in part.
        constraints: the bounds that an incumbent has to keep.
        in_full: the answers in full of configurations, by all of their seeds, indexed by
            `config_id`: the objectives, `status` and `constraint_<name>`. A trial of any other
            configuration was in full, and its own record counts.
        typical: the median regret of a configuration drawn at random, for several objectives the
            hypervolume of the front; the unit for regrets of several tasks. None: unknown.
        others: the other metrics of an answer that `in_full` has: see `companions`.
        front: `(n, n_objectives)` losses of the Pareto front; only with several objectives.
        scale: of the hypervolume, likewise.
        identity: see `Benchmark.identity`.
        baselines: what a table holds beside its configurations.
    """

    objectives: tuple[Metric, ...]
    optimum: float
    optimum_known: bool = True
    noise: float | None = None
    shift: float | None = None
    fidelities: tuple[Fidelity, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    in_full: pd.DataFrame | None = None
    typical: float | None = None
    others: tuple[Metric, ...] = ()
    front: FloatArray | None = None
    scale: Scale | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()

    @staticmethod
    def of(
        benchmark: Benchmark,
        objectives: Sequence[str],
        frame: pd.DataFrame,
        *,
        trains: bool = False,
        reference: Reference = "front",
    ) -> "ComparedBenchmark":
        """Ask a benchmark for all that is needed to judge the trials of `frame`.

        On a table every configuration is judged by all of its seeds: see `TabularBenchmark.judge`.
        Elsewhere configurations that were trained in part are asked for in full, and the record
        of a trial in full counts. A configuration that was never measured in full counts as a
        failed run. The best is never worse than any trial: a trial that is better than the
        benchmark's best takes its place, and the best is then not known.

        Args:
            benchmark: the benchmark, constrained as it was for the trials.
            objectives: the metrics that were optimized.
            frame: the trials, other benchmarks' among them.
            trains: whether a query trains, so that nothing can be asked for.
            reference: the hypervolume's reference point: near the end of the `front` (see
                `pareto.Scale`), or the metrics' `worst` values.

        Raises:
            UnknownNameError: the benchmark has no such metric, or there is no such reference.
            NotMeasuredError: neither the benchmark nor a trial has one run that is ok.
            ConfigurationError: the benchmark `trains`, and would have to train in full what was
                trained in part.
            IntegrityError: a column is missing.
        """
        if reference not in get_args(Reference):
            raise UnknownNameError("reference", reference, get_args(Reference), "hypervolume")
        metrics = select(benchmark.metrics, tuple(objectives), benchmark.name)
        rows = frame.loc[frame["benchmark"] == benchmark.name]
        noise = benchmark.noise(metrics[0].name) if len(metrics) == 1 else None
        compared = ComparedBenchmark(
            objectives=metrics,
            optimum=float("nan"),
            noise=noise.rest if noise else None,
            shift=noise.shift if noise else None,
            fidelities=benchmark.fidelities,
            constraints=benchmark.constraints,
            identity=benchmark.identity([metric.name for metric in metrics]),
            baselines=benchmark.baselines,
        )
        judge = benchmark.judge()
        part = compared.shares(rows) < 1
        if part.any() and trains:
            raise ConfigurationError(
                f"{benchmark.name}: trials in part are judged by their configurations in full, "
                f"which would have to be trained; compare on a table or a surrogate"
            )
        others = rows if judge is not benchmark else rows.loc[part]
        if len(others):
            compared = replace(compared, in_full=_in_full(judge, others))
        if judge is not benchmark:  # all trials are in `in_full`, with all metrics
            compared = replace(compared, others=companions(benchmark.metrics, metrics))
        compared = compared._with_best(judge, rows, reference)
        return compared if trains else replace(compared, typical=compared._typical(judge))

    def _typical(self, judge: Benchmark) -> float | None:
        """Return `typical`, from draws of a fixed generator."""
        if self.scale is not None:
            return self.optimum or None
        rng = np.random.default_rng(0)
        configs = [judge.space.sample(rng) for _ in range(DRAWS)]
        losses, _ = self.judge(answers(judge, configs).assign(config_id=""))
        regret = float(np.median(losses)) - self.loss_of_optimum
        return regret if regret > 0 else None

    def elsewhere(self, rows: pd.DataFrame) -> FloatArray:
        """Return `(n_others,)`: the losses by other metrics of the answer in `rows`, one or none.

        A loss that is not known, or of no answer, is the worst.
        """
        worst = np.array([metric.to_loss(metric.worst) for metric in self.others])
        if self.in_full is None or not len(rows) or not self.others:
            return worst
        signs = np.array([metric.to_loss(1.0) for metric in self.others])
        names = [metric.name for metric in self.others]
        values = self.in_full.loc[rows["config_id"], names].to_numpy(dtype=np.float64)[0]
        losses = values * signs
        return np.where(np.isfinite(losses), losses, worst)

    def _with_best(
        self, judge: Benchmark, rows: pd.DataFrame, reference: Reference
    ) -> "ComparedBenchmark":
        """Return this with the best that the judge or any of the trials has."""
        losses, usable = self.judge(rows)
        tried, optimum_known = losses[usable], judge.optimum_known
        try:
            if len(self.objectives) == 1:
                (metric,) = self.objectives
                best = np.array([[metric.to_loss(judge.optimum(metric.name)[1])]])
            else:
                best = self.losses(judge.pareto_front(self.names))
        except NotMeasuredError:
            if not len(tried):
                raise
            best, optimum_known = tried[:0], False
        points = np.vstack((best, tried))
        if len(self.objectives) == 1:
            optimum = self.objectives[0].from_loss(float(points.min()))
            return replace(self, optimum=optimum, optimum_known=optimum_known)
        front = np.unique(points[nondominated(points)], axis=0)
        scale = Scale.of(front, self.worst.tolist())
        if reference == "worst":
            scale = scale.up_to(self.worst.tolist())
        optimum = scale.hypervolume(front)
        return replace(
            self, optimum=optimum, optimum_known=optimum_known, front=front, scale=scale
        )

    @property
    def worst(self) -> FloatArray:
        """The losses `(n_objectives,)` of a run without values."""
        return np.array([metric.to_loss(metric.worst) for metric in self.objectives])

    @property
    def names(self) -> list[str]:
        """The names of the objectives."""
        return [metric.name for metric in self.objectives]

    @property
    def judged_by(self) -> Metric:
        """The objective; with several, the hypervolume, each in ranges of the front."""
        if len(self.objectives) == 1:
            return self.objectives[0]
        return Metric(name="hypervolume", unit="1", direction="maximize", worst=0.0)

    def loss_of(self, losses: FloatArray) -> float:
        """Return the loss of an answer with the points `(n, n_objectives)`.

        With one objective it is the only point's loss, with several the negated hypervolume;
        without a point it is the worst.
        """
        if self.scale is not None:
            return -self.scale.hypervolume(losses)
        return float(losses[0, 0]) if len(losses) else float(self.worst[0])

    @property
    def loss_of_optimum(self) -> float:
        """The least that `loss_of` can be."""
        return self.judged_by.to_loss(self.optimum)

    def shares(self, rows: pd.DataFrame) -> FloatArray:
        """Return `(n_rows,)`: the share of the whole run that a trial was, 1 in full.

        The axes' shares are multiplied; an axis without a column counts as in full.
        """
        shares = np.ones(len(rows))
        for axis in self.fidelities:
            name = column(rows, FIDELITY, axis.name)
            if name in rows.columns:
                shares *= rows[name].to_numpy(dtype=np.float64) / axis.full
        return shares

    def losses(self, rows: pd.DataFrame) -> FloatArray:
        """Return `(n_rows, n_objectives)` recorded losses; NaN where there is none."""
        signs = np.array([metric.to_loss(1.0) for metric in self.objectives])
        names = [column(rows, METRIC, name) for name in self.names]
        losses: FloatArray = rows[names].to_numpy(dtype=np.float64, na_value=np.nan) * signs
        return losses

    def feasible(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return `(n_rows,)`: whether every constraint is kept."""
        within = np.ones(len(rows), dtype=np.bool_)
        for constraint in self.constraints:
            within &= rows[f"{CONSTRAINT}{constraint.name}"].to_numpy(dtype=np.float64) <= 0
        return within

    def usable(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return `(n_rows,)`: whether a run is ok, has all objectives and keeps its bounds."""
        ok = (rows["status"] == "ok").to_numpy() & self.feasible(rows)
        return ok & np.isfinite(self.losses(rows)).all(axis=1)

    def judge(self, rows: pd.DataFrame) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return losses in full `(n_rows, n_objectives)`, and which of them a user could have.

        A trial has the losses of its configuration `in_full`; if that lacks it, a trial in full
        has those that it recorded. Without a sound run the losses are the worst.

        Raises:
            IntegrityError: a trial in part, and no values of its run in full.
        """
        losses, usable = self.losses(rows), self.usable(rows)
        looked_up = np.zeros(len(rows), dtype=np.bool_)
        if self.in_full is not None:
            looked_up = rows["config_id"].isin(self.in_full.index).to_numpy()
        if (~looked_up & (self.shares(rows) < 1)).any():
            raise IntegrityError("trials in part, and no values of their runs in full")
        if self.in_full is not None and looked_up.any():
            full = self.in_full.loc[rows["config_id"].iloc[np.flatnonzero(looked_up)]]
            losses[looked_up], usable[looked_up] = self.losses(full), self.usable(full)
        return np.where(usable[:, None], losses, self.worst), usable


def _in_full(benchmark: Benchmark, rows: pd.DataFrame) -> pd.DataFrame:
    """Ask for the configurations of `rows` in full; indexed by `config_id`."""
    columns = {column(rows, CONFIG, name): name for name in benchmark.space.names}
    missing = [name for name in ("config_id", *columns) if name not in rows.columns]
    if missing:
        raise IntegrityError(f"trajectories without the columns {', '.join(missing)}")
    distinct = rows.drop_duplicates("config_id")
    configs: list[Configuration] = [
        {columns[str(name)]: value for name, value in row.items()}
        for row in distinct[list(columns)].astype(object).to_dict("records")
    ]
    in_full = answers(benchmark, configs)
    in_full.index = pd.Index(distinct["config_id"])
    return in_full


def companions(metrics: Mapping[str, Metric], objectives: Sequence[Metric]) -> tuple[Metric, ...]:
    """Return the other metrics of an answer: the test loss, and a score (its margin first).

    There are none with several objectives.
    """
    if len(objectives) > 1:
        return ()
    scores = [metric for metric in metrics.values() if metric.role == "score"]
    finer = [metric for metric in scores if metric.name.endswith("_margin")]
    test = [metric for metric in metrics.values() if metric.name == "test_loss"]
    score = [*finer, *scores][:1]  # a margin has fewer ties than the share that it refines
    return tuple(metric for metric in (*test[:1], *score) if metric not in objectives)


def answers(
    benchmark: Benchmark,
    configs: Sequence[Configuration],
    fidelity: Mapping[str, int | float] | None = None,
) -> pd.DataFrame:
    """Ask for many configurations; one that was not measured counts as a failed run."""
    try:
        return benchmark.query_many(configs, fidelity=fidelity)
    except NotInTableError:
        rows = [_answer(benchmark, config, fidelity) for config in configs]
        return pd.concat(rows, ignore_index=True)


def _answer(
    benchmark: Benchmark, config: Configuration, fidelity: Mapping[str, int | float] | None
) -> pd.DataFrame:
    try:
        return benchmark.query_many([config], fidelity=fidelity)
    except NotInTableError:
        bounds = {f"{CONSTRAINT}{c.name}": [np.inf] for c in benchmark.constraints}
        values = {name: [np.nan] for name in benchmark.metrics}
        return pd.DataFrame({**values, "status": ["failed"], **bounds})
