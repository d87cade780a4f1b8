"""A table as a benchmark: exact rows, the mean over seeds, nothing interpolated."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.errors import ConfigurationError, NotInTableError, NotMeasuredError
from hpobench_llm.evaluation import STATUSES, Evaluation, Status
from hpobench_llm.metrics import select
from hpobench_llm.space import Configuration
from hpobench_llm.tables.table import Table

_COSTS = ("train_seconds", "eval_seconds")


class TabularBenchmark(Benchmark):
    """Answers from a table's rows.

    With `seed=None` a metric is the mean over the seeds that the table has of a configuration
    (some may have more than others); the status is `ok` only if every seed's run is, since a
    configuration that fails for one seed in two is no safe choice.
    Answers are made once and kept: they never change.
    """

    def __init__(self, table: Table) -> None:
        metadata = table.metadata
        self.table = table
        self.name = metadata.name
        self.space = metadata.space
        self.fidelities = metadata.fidelities
        self.metrics = metadata.metrics
        self.seeds = metadata.seeds
        self._axes = [f.name for f in self.fidelities]
        self._configs, values = _distinct(table.frame, list(self.space.names))
        self._index = {value: position for position, value in enumerate(values)}
        self._units = self.space.to_unit(self._configs)
        self._levels = {
            level: position for position, level in enumerate(sorted({*table.frame[self._axes[0]]}))
        }
        self._answers: dict[tuple[int, int, int], Evaluation] = {}
        self._seed_positions = {seed: position for position, seed in enumerate(self.seeds)}
        self._fill(table.frame)

    def _fill(self, frame: pd.DataFrame) -> None:
        """Lay the rows out as `(configurations, seeds, fidelities)`; NaN was not measured."""
        shape = (len(self._configs), len(self.seeds), len(self._levels))
        names = list(self.space.names)
        keys = frame[names].itertuples(index=False, name=None)
        place = (
            np.array([self._index[key] for key in keys], dtype=np.intp),
            frame["seed"].map(self._seed_positions).to_numpy(dtype=np.intp),
            frame[self._axes[0]].map(self._levels).to_numpy(dtype=np.intp),
        )

        def spread(column: "pd.Series[float]") -> NDArray[np.float64]:
            array = np.full(shape, np.nan)
            array[place] = column.to_numpy(dtype=np.float64)
            return array

        codes = {status: float(code) for code, status in enumerate(STATUSES)}
        self._values = {name: spread(frame[name]) for name in self.metrics}
        self._cost = sum((spread(frame[name]) for name in _COSTS), np.zeros(shape))
        self._tokens = spread(frame["tokens_seen"])
        self._status = spread(frame["status"].map(codes))

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Return the table's row, or the mean of its seeds' rows. See `Benchmark.query`."""
        key = (self._position(config), self._seed(seed), self._fidelity(fidelity))
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._answer(*key)
        return answer if metrics is None else self._only(answer, metrics, config, fidelity)

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Return many rows at once. See `Benchmark.query_many`."""
        level, which = self._fidelity(fidelity), self._seed(seed)
        if isinstance(configs, pd.DataFrame):
            absent = [name for name in self.space.names if name not in configs.columns]
            if absent:
                raise ConfigurationError(f"hyperparameters missing: {', '.join(absent)}")
            keys = configs[list(self.space.names)].itertuples(index=False, name=None)
            known = [self._index.get(key) for key in keys]
            rows = np.array(
                [
                    self._position(dict(zip(self.space.names, configs.iloc[i], strict=False)))
                    if position is None
                    else position
                    for i, position in enumerate(known)
                ],
                dtype=np.intp,
            )
        else:
            rows = np.array([self._position(config) for config in configs], dtype=np.intp)
        codes = self._status[rows, :, level]
        worst = _worst(codes, which)
        self._refuse_absent(rows, worst, level, which)

        def read(array: NDArray[np.float64]) -> NDArray[np.float64]:
            return _over_seeds(array[rows, :, level], codes, which)

        columns: dict[str, object] = {name: read(a) for name, a in self._values.items()}
        columns["status"] = np.array(STATUSES, dtype=object)[worst.astype(np.intp)]
        columns["cost_seconds"] = read(self._cost)
        columns["tokens"] = read(self._tokens)
        return pd.DataFrame(columns)

    def configurations(self) -> pd.DataFrame:
        """Return the table's configurations: `config_id` and one column for each axis."""
        frame = pd.DataFrame(self._configs, columns=list(self.space.names))
        frame.insert(0, "config_id", [self.space.config_id(config) for config in self._configs])
        return frame

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the configuration whose mean over seeds is best in full, and that mean."""
        (chosen,) = select(self.metrics, (metric,), self.name)
        losses = self._losses(metric)
        best = int(np.argmin(losses))
        return dict(self._configs[best]), chosen.from_loss(float(losses[best]))

    def pareto_front(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Return the configurations that no other beats in all metrics (means over seeds)."""
        select(self.metrics, tuple(metrics), self.name)
        losses = np.column_stack([self._losses(name) for name in metrics])
        no_worse = np.all(losses[None, :, :] <= losses[:, None, :], axis=2)
        better = np.any(losses[None, :, :] < losses[:, None, :], axis=2)
        front = ~np.any(no_worse & better, axis=1)
        found = self.configurations().join(self.query_many(self._configs)[list(metrics)])
        return pd.DataFrame(found[front]).reset_index(drop=True)

    def noise(self, metric: str) -> float:
        """Return the standard deviation between seeds of a good run in full, own units.

        Pooled over the best quarter of the configurations whose runs are all ok, where an
        optimizer has to decide, and in it over those with at least two seeds; NaN where there is
        none.
        """
        select(self.metrics, (metric,), self.name)
        losses = self._losses(metric)
        usable_configs = int((_worst(self._status[:, :, -1], -1) == STATUSES.index("ok")).sum())
        good = np.argsort(losses, kind="stable")[: max(1, usable_configs // 4)]
        values = self._values[metric][good, :, -1]
        usable = np.isfinite(values)
        counts = usable.sum(axis=1, keepdims=True)
        means = np.where(usable, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(counts, 1)
        squares = (np.where(usable, values - means, 0.0) ** 2).sum()
        freedom = np.maximum(counts - 1, 0).sum()
        return float(np.sqrt(squares / freedom)) if freedom else float("nan")

    def snap(self, config: Configuration) -> Configuration:
        """Return the table's configuration nearest in the unit encoding."""
        canonical = self.space.canonical(config)
        if tuple(canonical.values()) in self._index:
            return canonical
        distance = ((self._units - self.space.to_unit([canonical])) ** 2).sum(axis=1)
        return dict(self._configs[int(np.argmin(distance))])

    def _losses(self, metric: str) -> NDArray[np.float64]:
        """Return `(configurations,)` in full, lower is better, a failed run at its worst."""
        answers = self.query_many(self._configs)
        worst = self.metrics[metric].to_loss(self.metrics[metric].worst)
        signed = answers[metric].to_numpy() * self.metrics[metric].to_loss(1.0)
        usable = (answers["status"] == "ok").to_numpy() & np.isfinite(signed)
        return np.where(usable, signed, worst)

    def _position(self, config: Mapping[str, object]) -> int:
        try:
            key = tuple(config[name] for name in self.space.names)
            position = self._index.get(key) if len(config) == len(key) else None
        except (KeyError, TypeError):
            position = None
        if position is None:
            canonical = self.space.canonical(config)
            position = self._index.get(tuple(canonical.values()))
            if position is None:
                raise NotInTableError(
                    f"{self.name}: {canonical} was not measured; nearest: {self.snap(canonical)}"
                )
        return position

    def _seed(self, seed: int | None) -> int:
        if seed is None:
            return -1
        if seed not in self._seed_positions:
            raise NotInTableError(
                f"{self.name}: seed {seed!r} was not measured; measured: {list(self.seeds)}, "
                "or None for their mean"
            )
        return self._seed_positions[seed]

    def _fidelity(self, fidelity: FidelityValues | None) -> int:
        if fidelity is None:
            return len(self._levels) - 1
        (value,) = self.fidelity_levels(fidelity)
        if value not in self._levels:
            near = min(self._levels, key=lambda known: abs(known - value))
            raise NotInTableError(
                f"{self.name}: {self._axes[0]} = {value!r} was not measured; nearest: {near} "
                f"of {sorted(self._levels)}"
            )
        return self._levels[value]

    def _answer(self, position: int, which: int, level: int) -> Evaluation:
        codes = self._status[position, :, level]
        worst = _worst(codes, which)
        self._refuse_absent(np.array([position]), np.array([worst]), level, which)

        def read(array: NDArray[np.float64]) -> float:
            return float(_over_seeds(array[position, :, level], codes, which))

        values = {name: read(array) for name, array in self._values.items()}
        status: Status = STATUSES[int(worst)]
        return Evaluation(
            metrics=MappingProxyType({k: v for k, v in values.items() if np.isfinite(v)}),
            cost_seconds=read(self._cost),
            status=status,
            tokens=read(self._tokens),
        )

    def _refuse_absent(
        self, rows: NDArray[np.intp], codes: NDArray[np.float64], level: int, which: int
    ) -> None:
        if np.isnan(codes).any():
            config = self._configs[int(rows[int(np.argmax(np.isnan(codes)))])]
            seeds = "all seeds" if which < 0 else f"seed {self.seeds[which]}"
            step = sorted(self._levels)[level]
            raise NotInTableError(
                f"{self.name}: {config} was not measured for {seeds} at {self._axes[0]} = {step}"
            )

    def _only(
        self,
        answer: Evaluation,
        metrics: Sequence[str],
        config: Mapping[str, object],
        fidelity: FidelityValues | None,
    ) -> Evaluation:
        select(self.metrics, tuple(metrics), self.name)
        for name in metrics:
            if name not in answer.metrics and answer.status == "ok":
                values = self._values[name]
                steps = [
                    step for step, i in self._levels.items() if np.isfinite(values[..., i]).any()
                ]
                raise NotMeasuredError(
                    f"{self.name}: {name} was not measured at {dict(fidelity or {})}; "
                    f"measured at {self._axes[0]} = {steps}"
                )
        return Evaluation(
            metrics=MappingProxyType(
                {name: answer.metrics[name] for name in metrics if name in answer.metrics}
            ),
            cost_seconds=answer.cost_seconds,
            status=answer.status,
            tokens=answer.tokens,
        )


def _distinct(
    frame: pd.DataFrame, names: list[str]
) -> tuple[list[Configuration], list[tuple[object, ...]]]:
    rows = frame[names].drop_duplicates().to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows], [tuple(r.values()) for r in rows]


def _worst(codes: NDArray[np.float64], which: int) -> NDArray[np.float64]:
    """Return the worst status code over the last axis, the seeds; NaN where none was measured."""
    if which >= 0:
        return codes[..., which]
    known = np.where(np.isnan(codes), -1.0, codes).max(axis=-1)
    worst: NDArray[np.float64] = np.where(known < 0, np.nan, known)
    return worst


def _over_seeds(
    values: NDArray[np.float64], codes: NDArray[np.float64], which: int
) -> NDArray[np.float64]:
    """Return the mean over the seeds that were measured (the last axis), or that of `which`."""
    if which >= 0:
        return values[..., which]
    mean: NDArray[np.float64] = np.mean(values, axis=-1, where=~np.isnan(codes))
    return mean
