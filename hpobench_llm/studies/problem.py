"""What trials on one benchmark are judged by: objectives, the best there is, values in full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
)
from hpobench_llm.metrics import Fidelity, Metric, select
from hpobench_llm.pareto import hypervolume, nondominated
from hpobench_llm.studies.columns import CONFIG, FIDELITY, METRIC, column

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One benchmark as a comparison sees it.

    Attributes:
        objectives: one metric, or several, which are judged by their hypervolume up to the point
            of their `worst` values.
        optimum: the best value in own units; of several objectives the front's hypervolume.
        known: False if the optimum is only the best that any trial found.
        noise: the standard deviation between training seeds of a good run, in the metric's units;
            None or NaN if unknown, and of several objectives.
        fidelities: the axes along which trials may have been run in part.
        constraints: the bounds that an incumbent has to keep.
        in_full: of configurations that were trained in part, what they are in full, indexed by
            `config_id`: the objectives, `status` and `constraint_<name>`.
        front: `(n, n_objectives)` losses of the Pareto front; of several objectives only.
    """

    objectives: tuple[Metric, ...]
    optimum: float
    known: bool = True
    noise: float | None = None
    fidelities: tuple[Fidelity, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    in_full: pd.DataFrame | None = None
    front: FloatArray | None = None

    @staticmethod
    def of(
        benchmark: Benchmark,
        objectives: Sequence[str],
        frame: pd.DataFrame,
        *,
        trains: bool = False,
    ) -> "Problem":
        """Ask a benchmark for all that judging the trials of `frame` takes.

        Configurations that were trained in part are asked for in full, as the mean over the
        benchmark's seeds. One that was never measured in full counts as a failed run.

        Raises:
            UnknownNameError: the benchmark has no such metric.
            NotMeasuredError: neither the benchmark nor a trial has one run that is ok.
            ConfigurationError: the benchmark `trains` what it is asked for, and would have to
                train in full what was trained in part.
            IntegrityError: a column is missing.
        """
        chosen = select(benchmark.metrics, tuple(objectives), benchmark.name)
        rows = frame.loc[frame["benchmark"] == benchmark.name]
        noise = benchmark.noise(chosen[0].name) if len(chosen) == 1 else None
        asked = Problem(
            objectives=chosen,
            optimum=float("nan"),
            noise=noise,
            fidelities=benchmark.fidelities,
            constraints=benchmark.constraints,
        )
        if (part := asked.shares(rows) < 1).any():
            if trains:
                raise ConfigurationError(
                    f"{benchmark.name}: trials in part are judged by their configurations in "
                    f"full, which would have to be trained; compare on a table or a surrogate"
                )
            asked = replace(asked, in_full=_in_full(benchmark, rows.loc[part]))
        known = True
        try:
            if len(chosen) == 1:
                return replace(asked, optimum=benchmark.optimum(chosen[0].name)[1])
            front = asked.losses(benchmark.pareto_front(objectives))
        except NotMeasuredError:
            losses, usable = asked.judge(rows)
            if not usable.any():
                raise
            front, known = losses[usable], False
        if len(chosen) == 1:
            optimum = chosen[0].from_loss(float(front.min()))
            return replace(asked, optimum=optimum, known=known)
        front = front[nondominated(front)]
        optimum = hypervolume(front, asked.worst)
        return replace(asked, optimum=optimum, known=known, front=front)

    @property
    def worst(self) -> FloatArray:
        """The losses `(n_objectives,)` of a run without values, and the reference point."""
        return np.array([metric.to_loss(metric.worst) for metric in self.objectives])

    @property
    def names(self) -> list[str]:
        """The names of the objectives."""
        return [metric.name for metric in self.objectives]

    @property
    def judged_by(self) -> Metric:
        """The objective; of several the hypervolume, in the product of their units."""
        if len(self.objectives) == 1:
            return self.objectives[0]
        units = [metric.unit for metric in self.objectives if metric.unit not in ("", "1")]
        unit = " x ".join(units) or "1"
        return Metric(name="hypervolume", unit=unit, direction="maximize", worst=0.0)

    def loss_of(self, losses: FloatArray) -> float:
        """Return what holding the points `(n, n_objectives)` is worth: lower is better.

        Of one objective the only point's loss, of several the hypervolume, negated; without any
        point the worst that there is.
        """
        if len(self.objectives) > 1:
            return -hypervolume(losses, self.worst)
        return float(losses[0, 0]) if len(losses) else float(self.worst[0])

    @property
    def loss_of_optimum(self) -> float:
        """What `loss_of` is where nothing can be better."""
        return self.judged_by.to_loss(self.optimum)

    def shares(self, rows: pd.DataFrame) -> FloatArray:
        """Return `(n_rows,)`: at which share of the whole run a trial was, 1 in full.

        The axes' shares are multiplied; an axis without a column was in full.
        """
        found = np.ones(len(rows))
        for axis in self.fidelities:
            name = column(rows, FIDELITY, axis.name)
            if name in rows.columns:
                found *= rows[name].to_numpy(dtype=np.float64) / axis.full
        return found

    def losses(self, rows: pd.DataFrame) -> FloatArray:
        """Return `(n_rows, n_objectives)` recorded losses; NaN where there is none."""
        signs = np.array([metric.to_loss(1.0) for metric in self.objectives])
        names = [column(rows, METRIC, name) for name in self.names]
        losses: FloatArray = rows[names].to_numpy(dtype=np.float64, na_value=np.nan) * signs
        return losses

    def feasible(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return `(n_rows,)`: whether every constraint is kept."""
        kept = np.ones(len(rows), dtype=np.bool_)
        for constraint in self.constraints:
            kept &= rows[f"{CONSTRAINT}{constraint.name}"].to_numpy(dtype=np.float64) <= 0
        return kept

    def usable(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return `(n_rows,)`: whether a run is ok, has all objectives and keeps its bounds."""
        ok = (rows["status"] == "ok").to_numpy() & self.feasible(rows)
        return ok & np.isfinite(self.losses(rows)).all(axis=1)

    def judge(self, rows: pd.DataFrame) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return losses in full `(n_rows, n_objectives)`, and which of them a user could have.

        A trial in full has what it recorded, one in part what its configuration is in full. Where
        that is no sound run the losses are the worst.
        """
        losses, usable = self.losses(rows), self.usable(rows)
        part = np.flatnonzero(self.shares(rows) < 1)
        if len(part):
            if self.in_full is None:
                raise IntegrityError("trials in part, and no values of their runs in full")
            full = self.in_full.loc[rows["config_id"].iloc[part]]
            losses[part], usable[part] = self.losses(full), self.usable(full)
        return np.where(usable[:, None], losses, self.worst), usable


def _in_full(benchmark: Benchmark, rows: pd.DataFrame) -> pd.DataFrame:
    """Ask for the configurations of `rows` in full; indexed by `config_id`."""
    columns = {column(rows, CONFIG, name): name for name in benchmark.space.names}
    missing = [name for name in ("config_id", *columns) if name not in rows.columns]
    if missing:
        raise IntegrityError(f"trajectories without the columns {', '.join(missing)}")
    distinct = rows.drop_duplicates("config_id")
    configs = [
        {columns[str(name)]: value for name, value in row.items()}
        for row in distinct[list(columns)].astype(object).to_dict("records")
    ]
    answers = [_answer(benchmark, config) for config in configs]
    found = pd.concat(answers, ignore_index=True)
    found.index = pd.Index(distinct["config_id"])
    return found


def _answer(benchmark: Benchmark, config: dict[str, object]) -> pd.DataFrame:
    try:
        return benchmark.query_many([config])
    except NotInTableError:
        bounds = {f"{CONSTRAINT}{c.name}": [np.inf] for c in benchmark.constraints}
        values = {name: [np.nan] for name in benchmark.metrics}
        return pd.DataFrame({**values, "status": ["failed"], **bounds})
