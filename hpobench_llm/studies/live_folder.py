"""What a study keeps of its live benchmarks while it runs: `trials.csv`, and `live/<benchmark>/`.

In `live/<benchmark>/` are the records of all runs that have ended, and in its `best/` the best
adapter: see `LiveBenchmark.kept_in`.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.studies.study import OpenStudy, StudyCell
from hpobench_llm.studies.trials_file import FILE, TrialsFile, TrialsOfReplay, columns_of

FOLDER = "live"


@dataclass(frozen=True, slots=True)
class LiveFolder:
    """A study's folder, and the columns of its trials; it is sent to the processes that replay."""

    out: Path
    columns: tuple[str, ...]

    @staticmethod
    def of(study: OpenStudy, out: Path) -> "LiveFolder | None":
        """Return the live folder of a study; None if the study trains nothing.

        Raises:
            SpecError: two columns of the trials would have one name.
        """
        names = study.spec.optimized
        opened = {name: study.benchmark(name) for name in names}
        live = {name: b for name, b in opened.items() if isinstance(b, LiveBenchmark)}
        if not live:
            return None
        columns = columns_of(
            (axis for benchmark in live.values() for axis in benchmark.space.names),
            (axis.name for benchmark in live.values() for axis in benchmark.fidelities),
            (metric for name in live for metric in study.spec.objectives_of(name)),
            out,
        )
        return LiveFolder(out.resolve(), tuple(columns))

    @property
    def trials(self) -> TrialsFile:
        """The file of all trials."""
        return TrialsFile(self.out / FILE, self.columns)

    def begin(self) -> str:
        """Prepare the file before the first replay; returns what was wrong with it.

        Raises:
            HpobenchError: it cannot be written.
        """
        return self.trials.begin()

    def folder_of(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's runs; its name may hold any character."""
        return self.out / FOLDER / quote(benchmark, safe=" ")

    def keeping(self, benchmark: LiveBenchmark, objective: str) -> LiveBenchmark:
        """Return a benchmark whose runs are kept, the best by this metric."""
        return benchmark.kept_in(self.folder_of(benchmark.name), objective)

    def trials_of(
        self, cell: StudyCell, benchmark: LiveBenchmark, objective: str
    ) -> TrialsOfReplay:
        """Return the writer of a replay's trials."""
        return TrialsOfReplay(self.trials, cell, benchmark.name, benchmark.metrics[objective])
