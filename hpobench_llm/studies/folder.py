"""A study's folder while its replays run: what is done, what is missing, and the merged results.

`study.json` says what the study is (see `StudyHeader`). While it runs, `parts/` holds a file for
each replay (see `Parts`). At the end `trajectories.parquet` has the trials of all replays that
worked, with the optimizers' measured seconds beside it, and `failures.json` lists the others, if
any failed; in that case `parts/` stays, so that another start runs the failed ones alone.
`study.json` has the sums of these files.

A file that does not fit its sum, or is another study's, is set aside as `<name>.damaged` and made
anew. A replay runs again if the code of its optimizer has changed since. A study may grow:
finished replays stay (see `joining`), and one with a larger budget has to begin as the shorter.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpobench_llm.artefacts import sha256_of_file, write_json
from hpobench_llm.errors import IntegrityError, SpecError
from hpobench_llm.provenance import git_revision
from hpobench_llm.replaying.columns import CONFIG, FIDELITY, KINDS, METRIC
from hpobench_llm.replaying.trajectory import MEASURED, save_trials, trials_to_parquet
from hpobench_llm.studies.header import FORMAT, STUDY, StudyHeader
from hpobench_llm.studies.joining import amount_of, hindrance, origin
from hpobench_llm.studies.parts import BeginningError, OtherCodeError, Parts
from hpobench_llm.studies.results import FAILURES, SECONDS, TRAJECTORIES
from hpobench_llm.studies.runner import identity
from hpobench_llm.studies.study import OpenStudy, StudyCell, StudySpec


class StudyFolder:
    """The folder of one study, which no other process uses.

    Args:
        path: the folder.
        study: the study.
        on_note: called with a line for whatever was damaged, and for optimizers with other code.

    Raises:
        SpecError: the folder holds a study that this one does not go on from: names the key.
    """

    def __init__(
        self, path: Path, study: OpenStudy, on_note: Callable[[str], None] = lambda _: None
    ) -> None:
        spec = study.spec
        self.path, self.spec, self._note = path, spec, on_note
        self._benchmarks = benchmarks = {n: study.benchmark(n) for n in spec.benchmarks}
        self._names = {name: benchmark.name for name, benchmark in benchmarks.items()}
        related = [study.benchmark(name) for name in spec.related()]
        self.identity = identity(spec, [*benchmarks.values(), *related])
        self._header = StudyHeader(
            study=spec,
            tables=self.identity["tables"],
            versions=self.identity["versions"],
            optimizers=self.identity["optimizers"],
            benchmarks=benchmarks,
            code=git_revision(),
        )
        self._parts = Parts(
            path / "parts",
            cache(lambda cell: origin(study, cell, self._header.versions)),
            amount_of(spec),
            self._header.optimizers,
        )
        self._clean()
        self._complete = self._open()
        self._missing = [] if self._complete else self._lacking()

    def missing(self) -> list[StudyCell]:
        """Return the replays that are not done."""
        return list(self._missing)

    def keep(self, cell: StudyCell, trajectory: bytes) -> None:
        """Write the trajectory of a replay that is done.

        Raises:
            IntegrityError: the folder has it with a smaller budget, and its trials differ.
        """
        before = self._parts.beginning(cell)
        if before is not None and (column := _changed(before, trajectory)):
            raise IntegrityError(
                f"`budget`: it begins otherwise than with the smaller budget, of which the folder "
                f"holds it (column `{column}`); give another --out"
            )
        self._parts.write(cell, trajectory)

    def merge(self, failed: dict[StudyCell, str]) -> None:
        """Write the study's results; every replay is either done or has `failed`."""
        if not self._complete:
            written = self._write([cell for cell in self.spec.cells() if cell not in failed])
            if failed:
                written.append(self._list(failed))
            sums = {path.name: sha256_of_file(path) for path in written}
            for name in {TRAJECTORIES, SECONDS, FAILURES} - sums.keys():
                (self.path / name).unlink(missing_ok=True)
            # Last: a header with sums says that the files they are of are whole.
            self._header.with_results(sums).write(self.path / STUDY)
        if not failed:
            shutil.rmtree(self._parts.folder, ignore_errors=True)

    def _write(self, done: list[StudyCell]) -> list[Path]:
        """Write the trials of these replays, and return the files."""
        if not done:
            return []
        parts = [_table(self._parts.read(cell)) for cell in done]
        # Benchmarks have axes of their own: where one lacks a column it is empty.
        trials = pa.concat_tables(parts, promote_options="permissive").to_pandas()
        return [save_trials(trials, self.path / TRAJECTORIES), self.path / SECONDS]

    def _list(self, failed: dict[StudyCell, str]) -> Path:
        listed = [
            {
                "benchmark": self._names[cell.benchmark],
                "optimizer": cell.optimizer,
                "seed": cell.seed,
                "reason": reason,
            }
            for cell, reason in failed.items()
        ]
        write_json(self.path / FAILURES, {"failures": listed})
        return self.path / FAILURES

    def _clean(self) -> None:
        """Remove what a process that was killed while it wrote has left behind."""
        names = (STUDY, TRAJECTORIES, SECONDS, FAILURES)
        for name in names:
            for path in self.path.glob(f".{name}.*"):
                path.unlink()
        for path in self._parts.folder.glob(".*"):
            path.unlink()

    def _open(self) -> bool:
        """Make this the folder of the study, or check that it is; return if it is complete."""
        old = self._old_header()
        if old is None:
            for name in (TRAJECTORIES, SECONDS, FAILURES):
                if (self.path / name).exists():
                    self._set_aside(self.path / name, f"{self.path / name}: of no known study")
            self._header.write(self.path / STUDY)
            return False
        intact = set()
        for name, expected in old.results.items():
            path = self.path / name
            if path.is_file() and sha256_of_file(path) == expected:
                intact.add(name)
            elif path.exists():
                self._set_aside(path, f"{path}: changed: it does not fit its sum in {STUDY}")
        more_replays = len(old.study.cells()) < len(self.spec.cells())
        grown = more_replays or amount_of(old.study) != amount_of(self.spec)
        if TRAJECTORIES not in intact or FAILURES in old.results:
            if grown:
                self._header.write(self.path / STUDY)
            return False
        now = self._header.optimizers
        changed = {name for name, code in old.optimizers.items() if now[name] != code}
        if changed or grown:
            # Without the measured seconds no replay can be taken apart again.
            again = changed if SECONDS in intact else set(old.study.optimizers)
            self._reopen(old.study, again, changed)
        return not (changed or grown)

    def _old_header(self) -> StudyHeader | None:
        """Return the header that the folder has; None if there is none or it is damaged."""
        path = self.path / STUDY
        if not path.exists():
            return None
        try:
            old = StudyHeader.read(path)
        except IntegrityError as error:
            self._set_aside(path, str(error))
            return None
        if old.format != FORMAT:
            raise SpecError(
                path,
                "format",
                f"{old.format}, this version writes {FORMAT}; give another --out",
            )
        if difference := hindrance(old, self._header):
            key, reason = difference
            raise SpecError(path, key, f"{reason}; or give another --out")
        return old

    def _reopen(self, old: StudySpec, again: set[str], changed: set[str]) -> None:
        """Take a complete study apart, as it has grown or some optimizers have other code."""
        valid = [cell for cell in old.cells() if cell.optimizer not in again]
        frame = pd.read_parquet(self.path / TRAJECTORIES)
        if valid:
            frame[MEASURED] = pd.read_parquet(self.path / SECONDS)[MEASURED]
        grouped = dict(iter(frame.groupby(["benchmark", "optimizer", "seed"], sort=False)))
        for cell in valid:
            rows = grouped[self._names[cell.benchmark], cell.optimizer, cell.seed]
            own = rows[self._columns(cell.benchmark, rows)]
            self._parts.write(cell, trials_to_parquet(own), amount_of(old))
        self._header.write(self.path / STUDY)
        for name in (TRAJECTORIES, SECONDS):
            (self.path / name).unlink(missing_ok=True)
        if changed:
            self._say_changed(changed, len(old.cells()) - len(valid))

    def _columns(self, name: str, rows: pd.DataFrame) -> list[str]:
        """Return the columns of trials on a benchmark, without those of other benchmarks."""
        benchmark = self._benchmarks[name]
        own = {f"{CONFIG}{axis}" for axis in benchmark.space.names}
        own |= {f"{FIDELITY}{axis.name}" for axis in benchmark.fidelities}
        own |= {f"{METRIC}{metric}" for metric in self.spec.objectives_of(name)}
        return [c for c in map(str, rows.columns) if c in own or not c.startswith(KINDS)]

    def _lacking(self) -> list[StudyCell]:
        """Return the replays without a usable part; note why a part is of no use."""
        missing, other_code = [], Counter[str]()
        for cell in self.spec.cells():
            path = self._parts.path(cell)
            try:
                if path.exists():
                    self._parts.read(cell)
                    continue
            except OtherCodeError:
                other_code[cell.optimizer] += 1
            except BeginningError:
                pass  # it stays until the longer one is there
            except IntegrityError as error:
                self._set_aside(path, f"{error}; its replay runs again")
            missing.append(cell)
        for path in self._parts.strangers(self.spec.cells()):
            self._set_aside(path, f"{path}: of no replay of this study")
        if other_code:
            self._say_changed(other_code, other_code.total())
        return missing

    def _say_changed(self, optimizers: Iterable[str], count: int) -> None:
        other = set(optimizers)
        names = ", ".join(name for name in self.spec.optimizers if name in other)
        self._note(f"the code of {names} has changed since: {count} replays run again")

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = self.path / f"{path.name}.damaged"
        path.replace(aside)
        self._note(f"{reason} (kept as {aside.name})")


def _table(content: bytes) -> pa.Table:
    return pq.ParquetFile(BytesIO(content)).read(use_threads=False)


def _changed(before: bytes, after: bytes) -> str | None:
    """Return a column in which a replay's trials differ from a longer one's; None: none does.

    Whether a trial is a duplicate depends on the trials that finish before it, and what the
    optimizer's time was measured: neither is compared.
    """
    short, long = (_table(trials).to_pandas().set_index("trial") for trials in (before, after))
    if not short.index.isin(long.index).all():
        return "trial"
    long = long.loc[short.index]
    for name in short.columns.drop(["duplicate", MEASURED]):
        if name not in long.columns:
            return str(name)
        old, new = short[name], long[name]
        same = (old == new) | (old.isna() & new.isna())  # NaN is no change from NaN
        if not same.fillna(False).all():
            return str(name)
    return None
