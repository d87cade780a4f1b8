"""Replay an optimizer against a benchmark on an event-driven, simulated clock.

The clock jumps from one finished trial to the next and is fed by the benchmark's costs alone, so
equal arguments give equal trajectories, whatever else the machine is doing. A trial whose cost is
not known (NaN, as in a table without columns of seconds) takes one unit of time.
"""

import heapq
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.errors import ConfigurationError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric, select
from hpobench_llm.optimizers.base import Optimizer, Trial
from hpobench_llm.optimizers.registry import build
from hpobench_llm.studies.trajectory import MEASURED, Trajectory

_UNKNOWN_COST = 1.0  # units of time


def replay(
    benchmark: str | Benchmark,
    optimizer: str,
    *,
    budget: int,
    seed: int,
    workers: int = 1,
    objectives: Sequence[str] = ("val_loss",),
    table_seed: int | None = None,
) -> Trajectory:
    """Run one optimizer for `budget` trials and return its trajectory.

    A suggestion is snapped to the nearest configuration that the benchmark can evaluate, and the
    optimizer is told of that one. A configuration that is suggested again is a trial like any
    other: it costs and counts, and gets the same answer. An optimizer that ends early leaves a
    shorter trajectory. Where costs are not known, each trial takes one unit of time: its
    `cost_seconds` stays NaN, and `started_seconds` and `finished_seconds` count these units.

    Args:
        benchmark: a benchmark, or the name of one.
        optimizer: a name in the registry.
        budget: how many trials.
        seed: the optimizer's only source of randomness.
        workers: how many trials run at a time on the simulated clock.
        objectives: the metrics that the optimizer is told.
        table_seed: None: each trial answers with the mean over the benchmark's seeds; an integer:
            with that seed's run.

    Raises:
        UnknownNameError: there is no such benchmark, optimizer or metric.
        ConfigurationError: a budget or a number of workers below one.
        OptimizerError: the optimizer failed.
    """
    for name, value in (("budget", budget), ("workers", workers)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"`{name}`: a whole number of at least 1, got {value!r}")
    problem = load(benchmark) if isinstance(benchmark, str) else benchmark
    chosen = select(problem.metrics, tuple(objectives), problem.name)
    solver = build(
        optimizer,
        space=problem.space,
        objectives=chosen,
        fidelities=problem.fidelities,
        budget=budget,
        seed=seed,
    )
    try:
        clock = _Clock(problem, solver, chosen, budget, workers, table_seed)
        rows = clock.run()
    finally:
        solver.close()
    if not rows:
        raise OptimizerError(f"{optimizer} suggested nothing")
    frame = pd.DataFrame(rows)
    frame.insert(0, "benchmark", problem.name)
    frame.insert(1, "optimizer", optimizer)
    frame.insert(2, "seed", seed)
    return Trajectory(frame)


@dataclass(order=True, slots=True)
class _Running:
    """A trial on a worker; the earliest to finish comes first, then the earliest to start."""

    finished: float
    order: int
    worker: int = field(compare=False)
    started: float = field(compare=False)
    trial: Trial = field(compare=False)
    evaluation: Evaluation = field(compare=False)
    asking_seconds: float = field(compare=False)


class _Clock:
    def __init__(
        self,
        problem: Benchmark,
        solver: Optimizer,
        objectives: tuple[Metric, ...],
        budget: int,
        workers: int,
        table_seed: int | None,
    ) -> None:
        self._problem, self._solver, self._objectives = problem, solver, objectives
        self._names = [metric.name for metric in objectives]
        self._budget, self._table_seed = budget, table_seed
        self._idle = list(range(workers))  # a heap: the lowest number works first
        self._running: list[_Running] = []
        self._asked = 0
        self._now = 0.0

    def run(self) -> list[dict[str, Any]]:
        """Return one row a trial, in the order in which they finished."""
        rows: list[dict[str, Any]] = []
        while True:
            while self._idle and self._asked < self._budget and self._start():
                pass
            if not self._running:
                return rows
            done = heapq.heappop(self._running)
            self._now = done.finished
            heapq.heappush(self._idle, done.worker)
            started = time.perf_counter()
            self._solver.tell(done.trial, done.evaluation)
            seconds = done.asking_seconds + time.perf_counter() - started
            rows.append(self._row(done, seconds))

    def _start(self) -> bool:
        started = time.perf_counter()
        trial = self._solver.ask()
        seconds = time.perf_counter() - started
        if trial is None:
            return False
        config = self._problem.snap(trial.config, fidelity=trial.fidelity, seed=self._table_seed)
        snapped = Trial(trial.number, config, trial.fidelity)
        evaluation = self._problem.query(
            config, fidelity=trial.fidelity, seed=self._table_seed, metrics=self._names
        )
        worker = heapq.heappop(self._idle)
        cost = evaluation.cost_seconds
        finished = self._now + (_UNKNOWN_COST if math.isnan(cost) else cost)
        running = _Running(finished, self._asked, worker, self._now, snapped, evaluation, seconds)
        heapq.heappush(self._running, running)
        self._asked += 1
        return True

    def _row(self, done: _Running, seconds: float) -> dict[str, Any]:
        fidelity = self._problem.fidelity_levels(done.trial.fidelity)
        axes = [axis.name for axis in self._problem.fidelities]
        metrics = done.evaluation.metrics
        return {
            "trial": done.trial.number,
            "worker": done.worker,
            "config_id": self._problem.space.config_id(done.trial.config),
            **done.trial.config,
            **dict(zip(axes, fidelity, strict=True)),
            "status": done.evaluation.status,
            **{name: metrics.get(name, float("nan")) for name in self._names},
            "cost_seconds": done.evaluation.cost_seconds,
            "tokens": done.evaluation.tokens,
            "started_seconds": done.started,
            "finished_seconds": done.finished,
            MEASURED: seconds,
        }
