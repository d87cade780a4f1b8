"""The facts of one benchmark for a report, and the runs of its table that a picture can place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.comparison.benchmark import answers
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Space


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BenchmarkFacts:
    """One benchmark as a report shows it.

    A benchmark that lists its configurations fills it in a few lines:

        configurations = benchmark.configurations()[list(benchmark.space.names)]
        answers = benchmark.query_many(configurations)
        BenchmarkFacts(
            name=benchmark.name,
            space=benchmark.space,
            metric=benchmark.metrics["val_loss"],
            score=benchmark.metrics["score_blimp"],
            configurations=configurations.reset_index(drop=True).join(answers),
        )

    Attributes:
        name: as in the trajectories.
        space: the names, units and scales of the hyperparameters.
        metric: the objective of the study.
        score: a benchmark score to hold against the objective, if the table has one.
        configurations: one row for each configuration, in full: the hyperparameters, `metric`,
            `score`, and `status` if runs can fail; may be empty where there is no table.
        base_values: metrics of the untrained base, by name.
        provenance: what to print about the origin, in this order: text, numbers, lists or one
            level of nested mappings.
        notes: sentences to print with the benchmark, such as a caveat on its data.
    """

    name: str
    space: Space
    metric: Metric
    score: Metric | None = None
    configurations: pd.DataFrame
    base_values: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        needed = [*self.space.names, self.metric.name, *([self.score.name] if self.score else [])]
        missing = [name for name in needed if name not in self.configurations.columns]
        if missing:
            raise ValueError(f"{self.name}: configurations without {', '.join(missing)}")

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a numeric column `(n_configurations,)`."""
        return self.configurations[name].to_numpy(dtype=np.float64)

    def finished(self, *metrics: Metric) -> NDArray[np.bool_]:
        """Return `(n_configurations,)`: whether the run is ok and has these metrics."""
        mask = np.ones(len(self.configurations), dtype=np.bool_)
        if "status" in self.configurations:
            mask &= self.configurations["status"].to_numpy() == "ok"
        for metric in metrics:
            mask &= np.isfinite(self.column(metric.name))
        return mask

    def best_row(self, metric: Metric) -> int:
        """Return the row that is best by `metric` among those that a scatter can place."""
        rows = np.flatnonzero(self.finished(self.metric, self.score or self.metric))
        return int(rows[np.argmin(metric.to_loss(1.0) * self.column(metric.name)[rows])])

    def edge(self) -> float:
        """Return the value at which a scatter may cut off the bad end of the objective.

        It lies half the distance from the best to the worst decile beyond that decile, so that a
        few runs that nearly diverged do not flatten the rest. The untrained base and the best run
        by score stay inside: such a picture is drawn to show their distance.
        """
        sign = self.metric.to_loss(1.0)
        values = self.column(self.metric.name)
        losses = sign * values[self.finished(self.metric)]
        decile = float(np.quantile(losses, 0.9))
        bounds = [min(float(losses.max()), decile + 0.5 * (decile - float(losses.min())))]
        bounds.append(sign * self.base_values.get(self.metric.name, np.nan))
        if self.score and self.finished(self.metric, self.score).any():
            bounds.append(sign * float(values[self.best_row(self.score)]))
        return sign * float(np.nanmax(bounds))

    def beyond_edge(self) -> NDArray[np.bool_]:
        """Return `(n_configurations,)`: whether a finished run lies past `edge`."""
        sign = self.metric.to_loss(1.0)
        done = self.finished(self.metric)
        if not done.any():
            return done
        return done & (sign * self.column(self.metric.name) > sign * self.edge())

    def varied(self) -> tuple[str, ...]:
        """Return the hyperparameters that take more than one value."""
        return tuple(n for n in self.space.names if len(self.configurations[n].unique()) > 1)


def facts_of(
    benchmark: TabularBenchmark, metric: Metric, other: Metric | None = None
) -> BenchmarkFacts:
    """Gather the facts of a table: its objective against the other one, or a score."""
    scores = [metric for metric in benchmark.metrics.values() if metric.role == "score"]
    finer = [m for m in scores if m.name.endswith("_margin")]
    frame = benchmark.configurations()[list(benchmark.space.names)].reset_index(drop=True)
    rows = [{str(k): v for k, v in row.items()} for row in frame.astype(object).to_dict("records")]
    return BenchmarkFacts(
        name=benchmark.name,
        space=benchmark.space,
        metric=metric,
        score=other or next((m for m in [*finer, *scores] if m != metric), None),
        configurations=frame.join(answers(benchmark, rows)),
        base_values=benchmark.table.metadata.untrained,
    )
