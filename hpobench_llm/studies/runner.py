"""Run one cell of a study after another, in a process here or on a node of a cluster."""

import sys
from dataclasses import dataclass, field

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import select
from hpobench_llm.optimizers.registry import build, entry
from hpobench_llm.provenance import versions
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.design import initial_design
from hpobench_llm.replaying.replay import replay
from hpobench_llm.replaying.sources import sources_of
from hpobench_llm.replaying.trajectory import Trajectory, trials_to_parquet
from hpobench_llm.studies.code import code_of
from hpobench_llm.studies.live_folder import LiveFolder
from hpobench_llm.studies.study import NONE, StudyCell, StudySpec


def identity(spec: StudySpec, benchmarks: list[Benchmark]) -> dict[str, dict[str, str]]:
    """Return what a study's replays follow from beside the study itself.

    These are the sums of its tables, surrogates and campaigns, the versions of its libraries, and
    the sums of its optimizers' code.
    """
    libraries = {entry(name).distribution for name in spec.optimizers} - {""}
    return {
        "tables": {b.name: b.sha256 for b in benchmarks if b.sha256 is not None},
        "versions": versions("hpobench-llm", "numpy", *sorted(libraries)),
        "optimizers": {name: code_of(name) for name in spec.optimizers},
    }


def reach(modules: str) -> None:
    """Let this process import modules from a folder, unless another module has their name."""
    if modules and modules not in sys.path:
        sys.path.append(modules)


@dataclass(slots=True)
class Runner:
    """Replays cells of one study; a benchmark is opened once.

    `expected` is the `identity` that the study began with: another table, library or code in the
    process that runs a cell, on another machine perhaps, is an error. `modules` is the last folder
    in which modules of optimizers are looked for: see `reach`. `live` is where the runs and
    trials of live benchmarks are kept.
    """

    spec: StudySpec
    expected: dict[str, dict[str, str]] | None = None
    modules: str = ""
    live: LiveFolder | None = None
    _opened: dict[str, Benchmark] = field(default_factory=dict)

    def replay(self, cell: StudyCell) -> bytes:
        """Return a cell's trajectory as Parquet, `optimizer_seconds` included.

        Raises:
            IntegrityError: a table, a library or code differs from `expected`.
            HpobenchError: as `replay`.
        """
        return trials_to_parquet(self._replay(cell).frame)

    def _replay(self, cell: StudyCell) -> Trajectory:
        spec, benchmark = self.spec, self._open(cell.benchmark)
        checkpoint = spec.checkpoint_seconds
        trials = None
        if self.live is not None and isinstance(benchmark, LiveBenchmark):
            trials = self.live.trials_of(cell, benchmark, spec.objectives_of(cell.benchmark)[0])
        return replay(
            benchmark,
            cell.optimizer,
            budget=spec.budget,
            seed=cell.seed,
            workers=spec.workers,
            objectives=spec.objectives_of(cell.benchmark),
            initial=initial_design(benchmark, spec.initial, cell.seed, spec.table_seed),
            sources=self._sources(cell),
            table_seed=spec.table_seed,
            checkpoint_seconds=None if checkpoint == NONE else checkpoint,
            count_optimizer_seconds=spec.count_optimizer_seconds,
            on_trial=trials.add if trials else None,
            order=trials.order if trials else (),
        )

    def in_full(self, cell: StudyCell) -> float:
        """Return how many runs in full a cell's trials come to."""
        spec, benchmark = self.spec, self._open(cell.benchmark)
        return self._replay(cell).in_full(
            benchmark.fidelities, checkpoints=spec.checkpoint_seconds != NONE
        )

    def build(self, cell: StudyCell) -> None:
        """Build a cell's optimizer, to see whether it takes the benchmark's space.

        Raises:
            HpobenchError: it does not.
        """
        spec, benchmark = self.spec, self._open(cell.benchmark)
        objectives = select(benchmark.metrics, spec.objectives_of(cell.benchmark), benchmark.name)
        limit = Budget.of(spec.budget, benchmark.fidelities)
        build(
            cell.optimizer,
            space=benchmark.space,
            objectives=objectives,
            fidelities=benchmark.fidelities,
            budget=limit.trials(benchmark.fidelities, in_part=entry(cell.optimizer).fidelity),
            seed=cell.seed,
            sources=sources_of(benchmark, self._sources(cell), objectives),
            constraints=benchmark.constraints,
        ).close()

    def _sources(self, cell: StudyCell) -> list[Benchmark]:
        """Return what a cell's optimizer may learn from: nothing, unless it transfers."""
        if not entry(cell.optimizer).transfer:
            return []
        return [self._open(name) for name in self.spec.sources_of(cell.benchmark)]

    def _open(self, name: str) -> Benchmark:
        reach(self.modules)
        if name in self._opened:
            return self._opened[name]
        benchmark = self.spec.load(name)
        if self.expected is not None:
            self._compare(benchmark)
        if self.live is not None and isinstance(benchmark, LiveBenchmark):
            benchmark = self.live.keeping(benchmark, self.spec.objectives_of(name)[0])
        self._opened[name] = benchmark
        return benchmark

    def _compare(self, benchmark: Benchmark) -> None:
        for key, values in identity(self.spec, [benchmark]).items():
            for name, value in values.items():
                then = (self.expected or {})[key].get(name)
                if value != then:
                    raise IntegrityError(
                        f"{name}: the study began with {then}, the process that runs the replay "
                        f"has {value}"
                    )
