"""Follow a live study while it runs: its page, and the trackers that log each trial."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.errors import HpobenchError
from hpobench_llm.replaying.budget import EVALUATIONS
from hpobench_llm.report.live_page import FILE, FollowedBenchmark, best_of, write_live_page
from hpobench_llm.report.words import number
from hpobench_llm.studies.joining import amount_of
from hpobench_llm.studies.live_folder import LiveFolder
from hpobench_llm.studies.study import OpenStudy
from hpobench_llm.studies.trials_file import KEYS, Row, read_rows

SECONDS_BETWEEN_PAGES = 10.0


class Tracker(Protocol):
    """Logs each trial, such as TensorBoard."""

    def add(
        self,
        replay: str,
        step: int,
        hyperparameters: Mapping[str, float | str],
        scalars: Mapping[str, float],
        *,
        is_new: bool,
    ) -> None:
        """Log the trial that ended as the `step`-th of a replay; `is_new`: since this start."""

    def close(self) -> None:
        """Log no more."""


class LiveStudy:
    """Follows the trials that a study's processes write; use as a context manager.

    Nothing is read or written before `begin` is called: until then the folder may be another
    study's, or another process's.

    Args:
        study: a study with a live benchmark.
        out: its folder.
        trackers: log each trial.
    """

    def __init__(self, study: OpenStudy, out: Path, trackers: Sequence[Tracker] = ()) -> None:
        folder = LiveFolder.of(study, out)
        if folder is None:
            raise HpobenchError(f"{study.spec.name}: no benchmark is live; see `kind`")
        spec = study.spec
        self.page = out / FILE
        self._file, self._title, self._trackers = folder.trials.path, spec.title, trackers
        self._benchmarks: dict[str, FollowedBenchmark] = {}
        for name in spec.optimized:
            benchmark = study.benchmark(name)
            if isinstance(benchmark, LiveBenchmark):
                metric = benchmark.metrics[spec.objectives_of(name)[0]]
                axes = tuple(benchmark.space.names)
                runs = len(benchmark.seeds) if spec.table_seed is None else 1
                best = folder.folder_of(benchmark.name) / "best"
                self._benchmarks[benchmark.name] = FollowedBenchmark(
                    benchmark.name, metric, axes, best, runs
                )
        budget, replays = amount_of(spec), len(spec.optimizers) * spec.seeds
        self._trials = math.nan
        if budget.unit == EVALUATIONS:
            self._trials = budget.amount * replays * len(self._benchmarks)
        self._rows: list[Row] = []
        self._state, self._drawn = (0, 0, 0), -math.inf
        self._steps: Counter[str] = Counter()
        self._logged: set[tuple[str, ...]] = set()
        self._begun = False

    def __enter__(self) -> "LiveStudy":
        return self

    def begin(self) -> None:
        """Log the trials that exist already, and draw the first page.

        Raises:
            HpobenchError: the page or a tracker's files cannot be written.
        """
        self._begun = True
        self._read(is_new=False)
        self._draw(running=True)

    def __exit__(self, *_: object) -> None:
        try:
            if self._begun:
                self._read(is_new=True)
                self._draw(running=False)
        finally:
            for tracker in self._trackers:
                tracker.close()

    def look(self) -> None:
        """Log new trials, and draw the page if the last one is old enough.

        Raises:
            HpobenchError: the page or a tracker's files cannot be written.
        """
        self._read(is_new=True)
        if len(self._rows) and time.monotonic() - self._drawn >= SECONDS_BETWEEN_PAGES:
            self._draw(running=True)

    def best(self) -> str:
        """Return the best so far in a few words, of one benchmark; empty where none is."""
        if len(self._benchmarks) > 1:
            return ""
        (benchmark,) = self._benchmarks.values()
        best = best_of(benchmark, self._rows)
        if best is None:
            return f"{len(self._rows)} trials"
        name = benchmark.metric.name
        return f"{len(self._rows)} trials, best {name} {number(float(best[name]))}"

    def lines(self) -> list[str]:
        """Return where page, trials and the best adapters are, for people."""
        adapters = {b.best: b.adapter() for b in self._benchmarks.values() if b.best.is_dir()}
        return [
            f"trials: {self._file}",
            f"page: {self.page}",
            *(f"best adapter: {folder}, {of}" for folder, of in adapters.items()),
        ]

    def _read(self, *, is_new: bool) -> None:
        try:
            status = self._file.stat()
        except OSError:
            return  # no trial yet
        state = status.st_ino, status.st_mtime_ns, status.st_size
        if state == self._state:
            return
        try:
            rows = read_rows(self._file)
        except ValueError:  # damaged: the next start of the study sets the file aside
            return
        self._state, self._rows = state, rows
        for row in rows:
            key = tuple(row[name] for name in KEYS)  # a cost that is measured anew is no new trial
            if key not in self._logged and row["benchmark"] in self._benchmarks:
                self._logged.add(key)
                self._log(row, is_new=is_new)

    def _log(self, row: Row, *, is_new: bool) -> None:
        benchmark = self._benchmarks[row["benchmark"]]
        replay = f"{row['benchmark']}-{row['optimizer']}-{row['seed']}"
        step = self._steps[replay]
        self._steps[replay] += 1
        scalars = {
            name: float(row[name])
            for name in (benchmark.metric.name, "best", "cost_seconds")
            if row[name]
        }
        hyperparameters = {axis: _plain(row[axis]) for axis in benchmark.axes}
        for tracker in self._trackers:
            tracker.add(replay, step, hyperparameters, scalars, is_new=is_new)

    def _draw(self, *, running: bool) -> None:
        self._drawn = time.monotonic()
        rows = [row for row in self._rows if row["benchmark"] in self._benchmarks]
        try:
            write_live_page(
                self.page,
                self._title,
                [*self._benchmarks.values()],
                rows,
                trials=self._trials,
                running=running,
            )
        except OSError as error:
            raise HpobenchError(
                f"{self.page}: cannot be written: {error.strerror}; runs that have ended are "
                "kept: make room and start again"
            ) from None


def _plain(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
