"""A table as a benchmark: exact rows, the seeds that all share, nothing interpolated."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import CONSTRAINT, Benchmark, FidelityValues
from hpobench_llm.benchmarks.cells import (
    COST,
    STATUS_NAMES,
    TOKENS,
    Cells,
    Level,
    Page,
)
from hpobench_llm.benchmarks.judged import AllRuns
from hpobench_llm.benchmarks.lookup import Lookup
from hpobench_llm.errors import ConfigurationError, NotInTableError, NotMeasuredError, shown
from hpobench_llm.evaluation import STATUSES, Evaluation
from hpobench_llm.measured import DENSE, MeasuredSpace, density
from hpobench_llm.metrics import select
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Configuration, Space
from hpobench_llm.tables.baselines import baselines_of
from hpobench_llm.tables.table import Table

MANY = 10  # seeds in a message
_OK = STATUSES.index("ok")
_NONE: Mapping[str, float] = MappingProxyType({})


class TabularBenchmark(Benchmark):
    """Answers from a table's rows.

    With `seed=None` a metric is the mean over the seeds that all configurations of the table have,
    so that none is ahead by a lucky seed of its own; if they share none, over as many runs of each
    as the configuration with the fewest has (see `seeds.answering`). Further seeds never answer,
    but judge: see `judge`. The status is `ok` only if the run of every seed that answers is, since
    a configuration that fails for one seed in two is no safe choice. A run that ended before a
    fidelity has no answer there. Without columns of costs or tokens these are NaN.

    Attributes:
        density: `dense` or `sparse`, and how many configurations of how many were measured. The
            `space` of a sparse table draws only measured ones.
    """

    kind = "table"
    optimum_known = True

    def __init__(self, table: Table) -> None:
        metadata = table.metadata
        self.table = table
        self.name = metadata.name
        self.sha256 = metadata.table_sha256
        self.space: Space = metadata.space
        self.fidelities = metadata.fidelities
        self.metrics = metadata.metrics
        self.seeds = metadata.seeds
        self.baselines = baselines_of(metadata.provenance)
        positions, _ = pd.factorize(table.frame["config_id"])
        first = table.frame[list(self.space.names)][~pd.Series(positions).duplicated().to_numpy()]
        configs = self.space.canonical_rows({n: first[n].tolist() for n in self.space.names})
        self._lookup = Lookup(self.space, configs)
        self._measures = {n: c.unit for n, c in metadata.columns.items() if c.measure}
        self._cells = Cells(
            table.frame,
            positions,
            len(configs),
            self.fidelities,
            list(self.metrics),
            list(self._measures),
        )
        self._answers = pd.Index([*self.metrics, COST, TOKENS])
        self._columns = {name: number for number, name in enumerate(self.metrics)}
        self._full = tuple(axis.full for axis in self.fidelities)
        self._all_runs = AllRuns(self._cells, self.metrics, self._full)
        self._read: Callable[[Level, int | None], Page] = self._cells.page
        self.density = density(self.space, len(configs))
        if not self.density.startswith(DENSE):
            measured = tuple(self._candidates())
            self.space = MeasuredSpace(
                self.space.dimensions, self.space.simplexes, measured=measured or tuple(configs)
            )

    def __repr__(self) -> str:
        return f"<table {self.name} {self.table.metadata.version}, {self.density}>"

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Return a seed's row, or the mean over the shared seeds. See `Benchmark.query`."""
        level = self._level(fidelity)
        page = self._page(level, seed)
        position = self._lookup.find(config)
        plain = metrics is None and not self.constraints
        # Optimizers come back to the same configurations, and an answer never changes.
        answer = page.answers.get(position) if plain else None
        if answer is not None:
            return answer
        if position < 0 or page.status[position] < 0:
            raise self._absent(position, config, level, seed)
        answer = self._evaluation(page, position, level, metrics)
        if plain:
            page.answers[position] = answer
        return answer

    def _evaluation(
        self, page: Page, position: int, level: Level, metrics: Sequence[str] | None
    ) -> Evaluation:
        code = page.status[position]
        row = page.values[position].tolist()
        wanted = self._columns if metrics is None else self._wanted(metrics)
        values = {n: value for n, number in wanted.items() if isfinite(value := row[number])}
        if metrics is not None and len(values) < len(wanted) and code == _OK:
            raise self._not_measured(next(n for n in wanted if n not in values), level)
        return Evaluation(
            metrics=MappingProxyType(values),
            cost_seconds=row[self._cells.columns[COST]],
            status=STATUSES[code],
            tokens=row[self._cells.columns[TOKENS]],
            constraints=self._excesses_of(row) if self.constraints else _NONE,
        )

    def _excesses_of(self, row: Sequence[float]) -> Mapping[str, float]:
        columns = self._cells.columns
        return MappingProxyType({c.name: c.excess(row[columns[c.name]]) for c in self.constraints})

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame | NDArray[np.integer],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Return many rows at once. See `Benchmark.query_many`.

        An array of whole numbers names rows of `configurations()`: the fastest way.
        """
        level = self._level(fidelity)
        page = self._page(level, seed)
        positions = self._lookup.find_many(configs)
        codes = page.status[positions]
        absent = np.flatnonzero((codes < 0) | (positions < 0)).tolist()
        if absent:
            row = absent[0]
            raise self._absent(int(positions[row]), _config_at(configs, row), level, seed)
        answers = page.values.take(positions, axis=0)[:, : len(self._answers)]
        frame = pd.DataFrame(answers, columns=self._answers, copy=False)
        frame.insert(len(self.metrics), "status", STATUS_NAMES.take(codes))
        for constraint in self.constraints:
            values = page.values[positions, self._cells.columns[constraint.name]]
            frame[f"{CONSTRAINT}{constraint.name}"] = constraint.excesses(values)
        return frame

    def measures(self) -> dict[str, str]:
        """Return the metrics and the measured costs, such as `peak_memory_bytes`, with units."""
        units = {metric.name: metric.unit for metric in self.metrics.values()}
        return units | {COST: "s"} | self._measures

    def configurations(self) -> pd.DataFrame:
        """Return the table's configurations: `config_id` and one column for each axis."""
        return self._frame(self._lookup.configs)

    def identity(self, metrics: Sequence[str] = ()) -> dict[str, str]:
        """Return version, density and sum. See `Benchmark.identity`."""
        metadata = self.table.metadata
        return {
            "kind": f"table {metadata.version}",
            "configurations": self.density,
            "sha256": metadata.table_sha256,
        }

    def noise(self, metric: str) -> Noise:
        """Return the noise of a good run in full in two parts, own units. See `seed_effects`."""
        select(self.metrics, (metric,), self.name)
        return self._all_runs.effects[metric].noise

    def judge(self) -> "TabularBenchmark":
        """Return this table as runs in full are judged: by all of their seeds.

        Its answers in full for `seed=None` are the means over every seed that a configuration was
        run with, each metric without what the seed does to all good configurations alike (the
        two-way model of `seeds.seed_effects`), so that one seed and ten can be compared. The
        status is that of the worst run. All else is as in the table.
        """
        judge = self._other()
        judge._read = self._all_runs.read
        return judge

    def snap(
        self,
        config: Configuration,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        tried: Sequence[Configuration] = (),
    ) -> Configuration:
        """Return the configuration nearest in the unit encoding that was measured there.

        One that was not measured becomes the nearest that is not among the canonical `tried`, or
        of all if all were tried: without this, one that lies between others would hardly ever be
        reached.

        Raises:
            NotInTableError: none was measured.
        """
        level = self._level(fidelity)
        status = self._page(level, seed).status
        position = self._lookup.find(config)
        if position >= 0 and status[position] >= 0:
            return dict(self._lookup.configs[position])
        measured = status >= 0
        untried = measured.copy()
        positions = self._lookup.find_many(list(tried))
        untried[positions[positions >= 0]] = False
        among = untried if untried.any() else measured
        position = self._lookup.nearest(self.space.canonical(config), among)
        if position < 0:
            raise NotInTableError(f"{self.name}: nothing was measured{self._where(level, seed)}")
        return dict(self._lookup.configs[position])

    def _candidates(self) -> list[Configuration]:
        measured = np.flatnonzero(self._page(self._full, None).status >= 0).tolist()
        return [self._lookup.configs[position] for position in measured]

    def _level(self, fidelity: FidelityValues | None) -> Level:
        if fidelity is None:
            return self._full
        if type(fidelity) is dict and len(self.fidelities) == 1:  # the common case, at once
            value = fidelity.get(self.fidelities[0].name, float("nan"))
            if (
                len(fidelity) == 1
                and type(value) in (int, float)
                and (value,) in self._cells.levels
            ):
                return (value,)
        level = self.fidelity_levels(fidelity)
        if level not in self._cells.levels:
            for number, (axis, value) in enumerate(zip(self.fidelities, level, strict=True)):
                measured = sorted({other[number] for other in self._cells.levels})
                if value not in measured:
                    near = min(measured, key=lambda other: abs(other - value))
                    raise NotInTableError(
                        f"{self.name}: {axis.name} = {value!r} was not measured; nearest: {near} "
                        f"of {measured}"
                    )
        return level

    def _page(self, level: Level, seed: int | None) -> Page:
        checked = None if seed is None else self._seed(seed)
        if level not in self._cells.levels:
            raise NotInTableError(
                f"{self.name}: nothing was measured{self._where(level, None)}; measured at: "
                f"{', '.join(self._spell(other) for other in self._cells.levels)}"
            )
        return self._read(level, checked)

    def _seed(self, seed: int) -> int:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise ConfigurationError(
                f"{self.name}: seed: a whole number or None is expected, got {shown(seed)}"
            )
        seed = int(seed)  # a short integer of numpy overflows below
        if seed not in self.seeds:
            near = min(self.seeds, key=lambda other: abs(other - seed))
            raise NotInTableError(
                f"{self.name}: seed {shown(seed)} was not measured; measured: "
                f"{listed(self.seeds)}, nearest: {near}, or None for those that all "
                "configurations have"
            )
        return seed

    def _wanted(self, metrics: Sequence[str]) -> dict[str, int]:
        return {m.name: self._columns[m.name] for m in select(self.metrics, metrics, self.name)}

    def _absent(
        self, position: int, config: Mapping[str, object], level: Level, seed: int | None
    ) -> NotInTableError:
        if position < 0:
            canonical = self.space.canonical(config)
            near = self._lookup.nearest(
                canonical, np.ones(len(self._lookup.configs), dtype=np.bool_)
            )
            return NotInTableError(
                f"{self.name}: {canonical} was not measured; nearest: {self._lookup.configs[near]}"
            )
        seeds = self._cells.seeds_of(position)
        if seed is not None and seed not in seeds:
            more = f"; its seeds: {listed(seeds)}"
        else:
            levels = self._cells.levels_of(position, seed)
            spelled = ", ".join(self._spell(other) for other in levels if other)
            more = f"; its run was measured at {spelled}" if spelled else ""
        return NotInTableError(
            f"{self.name}: {self._lookup.configs[position]} was not measured"
            f"{self._where(level, seed)}{more}"
        )

    def _not_measured(self, name: str, level: Level) -> NotMeasuredError:
        levels = self._cells.levels_with(name)
        measured = "; ".join(
            f"{axis.name} = {sorted({other[number] for other in levels})}"
            for number, axis in enumerate(self.fidelities)
        )
        return NotMeasuredError(
            f"{self.name}: {name} was not measured{self._where(level, None)}; "
            + (f"measured at {measured}" if levels else "it was measured nowhere")
        )

    def _where(self, level: Level, seed: int | None) -> str:
        seeds = "" if seed is None else f" for seed {seed}"
        return seeds + (f" at {self._spell(level)}" if level else "")

    def _spell(self, level: Level) -> str:
        return " and ".join(
            f"{axis.name} = {value}" for axis, value in zip(self.fidelities, level, strict=True)
        )


def listed(seeds: Sequence[int]) -> str:
    """Return seeds in words; of many, the first."""
    shown = ", ".join(map(str, seeds[:MANY]))
    return f"{shown} and {len(seeds) - MANY} more" if len(seeds) > MANY else shown


def _config_at(
    configs: Sequence[Mapping[str, object]] | pd.DataFrame | NDArray[np.integer], row: int
) -> Mapping[str, object]:
    """Return a row as a mapping; empty for an array, whose positions need none."""
    if isinstance(configs, pd.DataFrame):
        return {str(k): v for k, v in configs.iloc[row].items() if k != "config_id"}
    return {} if isinstance(configs, np.ndarray) else configs[row]
