"""A campaign as a benchmark: every query trains its runs, here and now.

torch is loaded when a benchmark is made, not with this module.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.benchmarks.cells import COST, TOKENS, Cells
from hpobench_llm.benchmarks.live_crew import LiveCrew
from hpobench_llm.benchmarks.live_runs import LiveRuns, TrainingSetup
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.families import family_of, read_campaign
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.trust import Trust
from hpobench_llm.errors import (
    ConfigurationError,
    MissingDependencyError,
    NotMeasuredError,
    UnknownNameError,
)
from hpobench_llm.evaluation import STATUSES, Evaluation
from hpobench_llm.metrics import objective_of, select
from hpobench_llm.space import Configuration
from hpobench_llm.tables.columns import COSTS


class LiveBenchmark(Benchmark):
    """Trains a campaign's configurations, each (configuration, seed) once, and keeps their rows.

    `seed=None` trains all seeds of the campaign and answers with their mean, as a table does; an
    integer from 0 up is the one seed to train with, whether the campaign names it or not. A run
    is trained to its end whichever fidelity is asked for, since its learning rate follows from
    the last step; its cost is that up to the fidelity. Runs are trained one at a time, so that
    other queries change no number. `kept_in` keeps them, and the best adapter.

    The metrics are pure: on one device with one set of library versions, equal arguments train
    equal runs. The costs are measured, so they differ in another process.

    Args:
        campaign: the file that describes it.
        engine: the training loop, by default the family's first; `packed` packs one run.
        device: `auto`, `cpu` or `cuda`.
        run_generated_code: allows scores that run code which the model wrote.

    Raises:
        SpecError, DataError: the campaign's base, data or scores cannot be used.
    """

    kind = "live"

    def __init__(
        self,
        campaign: str | Path,
        *,
        engine: str | None = None,
        device: str = "auto",
        run_generated_code: bool = False,
    ) -> None:
        file = Path(campaign)
        self.campaign = read_campaign(file)
        self.name = self.campaign.name
        self.space = self.campaign.space
        self.seeds = self.campaign.seeds
        self.fidelities = (self.campaign.fidelity,)
        family = family_of(self.campaign)
        self._engine = engine or family.engines[0]
        if self._engine not in family.engines:
            raise UnknownNameError("engine", self._engine, family.engines)
        trust = Trust(generated_code=run_generated_code)
        try:
            self._bench = family.open(self.campaign, file, device, trust)
        except MissingDependencyError as error:
            raise MissingDependencyError(
                error.distribution, error.extra, "a live benchmark"
            ) from None
        recipe = self.campaign.identity().recipe_sha256
        self._setup = TrainingSetup(self.campaign, file, self._engine, device, trust)
        self._runs = LiveRuns(self._setup, self._bench)
        # Equal sums promise equal answers, so all that decides them is in it.
        origin = [recipe, self._bench.sources, self.seeds]
        self.sha256 = sha256_of_text(canonical_json(origin))
        untrained = pd.DataFrame([self._bench.untrained])
        metrics = family.metrics(self.campaign, self._bench.header(), untrained)
        self.metrics = {metric.name: metric for metric in metrics}
        columns = family.columns(self.campaign, self._bench.untrained)
        described = {column.name: column.described() for column in columns}
        self._measures = {name: c.unit for name, c in described.items() if c.measure}

    def kept_in(self, folder: str | Path, objective: str = "") -> Self:
        """Return this benchmark with its runs kept in a folder, where other processes find them.

        A run is there as soon as it has ended, and is never trained again. `best/` has the adapter
        of the best one, in PEFT's format, and `best.json`, which says what it is.

        Args:
            folder: it is made, or holds runs of this campaign.
            objective: the metric by which the best is chosen, at the last checkpoint; by default
                the campaign's own.

        Raises:
            LedgerError: the folder holds another campaign's runs, or cannot be used.
            UnknownNameError: there is no such metric.
        """
        (metric,) = select(self.metrics, [objective or objective_of(self.metrics).name], self.name)
        other = self._other()
        other._runs = LiveRuns(self._setup, self._bench, Path(folder), metric, other._is_feasible)
        return other

    @property
    def kept(self) -> bool:
        """Whether its runs are kept in a folder."""
        return self._runs.folder is not None

    def crew(self, count: int) -> LiveCrew:
        """Return processes that train the trials of one replay at the same time."""
        return LiveCrew(self._runs, count)

    def runs_of(self, config: Mapping[str, object], seed: int | None) -> list[Run]:
        """Return the runs that an answer is made of."""
        canonical = self.space.canonical(config)
        return [Run(canonical, s) for s in self._seeds(seed)]

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Train one configuration. See `Benchmark.query`."""
        asked = select(self.metrics, metrics or self.metrics, self.name)
        level = self._level(fidelity)
        rows = pd.concat([self._rows(run) for run in self.runs_of(config, seed)])
        positions = np.zeros(len(rows), dtype=np.intp)
        columns = list(self.metrics), list(self._measures)
        cells = Cells(rows, positions, 1, self.fidelities, *columns)
        page = cells.page(level, None)
        answer = dict(zip(cells.columns, page.values[0].tolist(), strict=True))
        values = {m.name: answer[m.name] for m in asked if math.isfinite(answer[m.name])}
        return Evaluation(
            metrics=MappingProxyType(values),
            cost_seconds=answer[COST],
            status=STATUSES[page.status[0]],
            tokens=answer[TOKENS],
            constraints=self._excesses(answer),
        )

    def measures(self) -> dict[str, str]:
        """Return the metrics and the costs that are measured, with units."""
        units = {metric.name: metric.unit for metric in self.metrics.values()}
        return units | {COST: "s"} | self._measures

    def _candidates(self) -> list[Configuration]:
        """Refuse to look for an optimum or a front: only the whole campaign, trained, would tell.

        Raises:
            NotMeasuredError: always.
        """
        raise NotMeasuredError(
            f"{self.name}: the best of a live benchmark is not known; that of its table is, once "
            "`collect-grid` has made one"
        )

    def _rows(self, run: Run) -> pd.DataFrame:
        record = self._runs.record(run)
        rows = pd.DataFrame(record.rows()).assign(seed=run.seed, **record.constants)
        # A run that failed early has recorded less than one that ended.
        absent = [n for n in (*self.metrics, *self._measures) if n not in rows.columns]
        return rows.assign(**dict.fromkeys(absent, np.nan))

    def _is_feasible(self, record: RunRecord) -> bool:
        last = {**record.constants, **record.checkpoints[-1].values}
        last[COST] = sum(float(last.get(name, 0.0) or 0.0) for name in COSTS)
        measured = {name: float(last.get(name, math.nan)) for name in self.measures()}
        return all(excess <= 0 for excess in self._excesses(measured).values())

    def _seeds(self, seed: int | None) -> tuple[int, ...]:
        if seed is None:
            return self.seeds
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ConfigurationError(
                f"{self.name}: seed: a whole number from 0 up or None is expected, got {seed!r}"
            )
        return (int(seed),)

    def _level(self, fidelity: FidelityValues | None) -> tuple[int | float, ...]:
        (step,) = self.fidelity_levels(fidelity)
        if step not in self.campaign.fidelity.values:
            near = min(
                self.campaign.fidelity.values, key=lambda checkpoint: abs(checkpoint - step)
            )
            raise ConfigurationError(
                f"{self.name}: {self.fidelities[0].name} = {step!r} is no checkpoint of the "
                f"campaign; nearest: {near} of {list(self.campaign.fidelity.values)}"
            )
        return (step,)
