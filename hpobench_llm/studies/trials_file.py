"""`trials.csv`: a row for each trial on a live benchmark, written as soon as the trial has ended.

A line is appended and flushed to disk at once; the next start takes off a line that a kill cut
short. A replay that begins again does not write its trials twice: what was measured anew, such as
a cost, takes the place of the trial's old line.
"""

import csv
import fcntl
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.errors import HpobenchError, SpecError
from hpobench_llm.evaluation import STATUSES
from hpobench_llm.metrics import Metric
from hpobench_llm.replaying.columns import CONFIG, FIDELITY, METRIC
from hpobench_llm.replaying.trajectory import Trajectory
from hpobench_llm.studies.study import StudyCell

FILE = "trials.csv"
KEYS = ("benchmark", "optimizer", "seed", "trial")
BEST = "best"  # of the first objective, in this replay, so far
_BEFORE = ("time", *KEYS)
_AFTER = ("cost_seconds", "finished_seconds", BEST)
Row = dict[str, str]


class TrialsFile:
    """The trials of a study; several processes append to it.

    Args:
        path: the file.
        columns: its columns, see `columns_of`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, list(columns)

    def begin(self) -> str:
        """Make the file, or go on with it, before anybody appends; returns what was wrong with it.

        A file that is damaged, or is none of ours, is set aside as `trials.csv.damaged`; the lines
        that are whole trials stay. Columns may be added.

        Raises:
            HpobenchError: it cannot be written.
        """
        damage = ""
        try:
            rows: list[Row] = []
            if self.path.exists():
                try:
                    rows = read_rows(self.path)
                except ValueError as error:
                    aside = self.path.with_name(f"{self.path.name}.damaged")
                    rows = _undamaged(self.path.read_bytes())
                    self.path.replace(aside)
                    damage = f"{self.path}: {error}; it was set aside as {aside.name}"
                    damage += f", and {len(rows)} whole trials are kept" if rows else ""
            text = _csv([self.columns]) + self._csv(rows)
            if not self.path.exists() or self.path.read_text(encoding="utf-8") != text:
                write_atomically(self.path, text)
            with self.path.open("a"):  # tells now, not after the first trial, if it can be written
                pass
        except OSError as error:
            raise self._unwritable(error) from None
        return damage

    def append(self, row: Row) -> None:
        """Write a row and wait until it is on disk.

        Raises:
            HpobenchError: it cannot be written.
        """
        line = self._csv([row]).encode()
        try:
            with self._alone() as descriptor:
                written = os.write(descriptor, line)
                if written < len(line):  # the disk is full: half a line is none
                    os.truncate(descriptor, os.fstat(descriptor).st_size - written)
                    os.write(descriptor, line)  # raises why
                os.fsync(descriptor)
        except OSError as error:
            raise self._unwritable(error) from None

    def replace(self, row: Row) -> None:
        """Write a row in the place of that of the same trial, or append it if there is none.

        Raises:
            HpobenchError: it cannot be written; the old row is still there.
        """
        try:
            with self._alone():
                rows = {_key(other): other for other in read_rows(self.path)}
                rows[_key(row)] = row
                write_atomically(self.path, _csv([self.columns]) + self._csv(rows.values()))
        except OSError as error:
            raise self._unwritable(error) from None
        except ValueError as error:
            raise HpobenchError(
                f"{self.path}: {error}; it was changed while the study ran: start again, which "
                "sets it aside"
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Open the file to append to it, while no other process writes it."""
        while True:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Another process may have replaced the file while we waited for the lock.
                if os.fstat(descriptor).st_nlink:
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _csv(self, rows: Iterable[Row]) -> str:
        return _csv([row.get(column, "") for column in self.columns] for row in rows)

    def _unwritable(self, error: OSError) -> HpobenchError:
        return HpobenchError(
            f"{self.path}: cannot be written: {error.strerror}; runs that have ended are kept: "
            "make room and start again"
        )


class TrialsOfReplay:
    """Writes the trials of one replay, each once, with the best so far.

    `order` has the numbers of the trials that are in the file, as they ended.
    """

    def __init__(self, file: TrialsFile, cell: StudyCell, benchmark: str, metric: Metric) -> None:
        self._file, self._metric = file, metric
        self._best = math.inf
        replay = (benchmark, cell.optimizer, str(cell.seed))
        rows = read_rows(file.path) if file.path.exists() else []
        self._recorded = {
            row["trial"]: row for row in rows if tuple(row[key] for key in KEYS[:3]) == replay
        }
        self.order = [int(number) for number in self._recorded]

    def add(self, trial: Trajectory) -> None:
        """Write a trial that has ended, unless the file has it as it is."""
        row = _row(trial)
        if row["status"] == "ok" and (value := row.get(self._metric.name, "")):
            self._best = min(self._best, self._metric.to_loss(float(value)))
        if math.isfinite(self._best):
            row[BEST] = repr(self._metric.from_loss(self._best))
        row = {name: row.get(name, "") for name in self._file.columns if name != "time"}
        recorded = self._recorded.get(row["trial"])
        # A replay that begins again must not add its trials twice, but their times differ.
        if recorded is not None and all(recorded.get(key) == row[key] for key in row):
            return
        write = self._file.append if recorded is None else self._file.replace
        write({"time": datetime.now(UTC).isoformat(timespec="seconds"), **row})


def columns_of(
    axes: Iterable[str], fidelities: Iterable[str], metrics: Iterable[str], path: object
) -> list[str]:
    """Return the columns of a file for trials with these hyperparameters, fidelities and metrics.

    Raises:
        SpecError: a name would stand for two columns.
    """
    own = [*dict.fromkeys(axes), *dict.fromkeys(fidelities), "status", *dict.fromkeys(metrics)]
    columns = [*_BEFORE, *own, *_AFTER]
    if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        raise SpecError(path, "benchmarks", f"{FILE} would have two columns called {twice[0]!r}")
    return columns


def read_rows(path: Path) -> list[Row]:
    """Return the whole rows of a file; of a trial that was written twice, the last row.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    text = path.read_bytes()
    # What follows the last line break was cut short, or is being written by another process.
    return rows_of(text[: text.rfind(b"\n") + 1])


def rows_of(content: bytes) -> list[Row]:
    """Return the rows of whole lines, the first of which names the columns.

    Raises:
        ValueError: they are not those of a `trials.csv`.
    """
    reader = csv.reader(StringIO(content.decode("utf-8"), newline=""), strict=True)
    try:
        lines = list(reader)
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from None
    if not lines:
        return []
    columns = lines[0]
    if not {*_BEFORE, "status", *_AFTER} <= {*columns}:
        raise ValueError(f"its columns are not those of {FILE}")
    rows: dict[tuple[str, ...], Row] = {}
    for line in lines[1:]:
        row = dict(zip(columns, line, strict=False))
        if len(line) != len(columns) or not _is_trial(row, columns):
            raise ValueError(f"a line that is no trial: {','.join(line)[:80]!r}")
        rows[_key(row)] = row
    return [*rows.values()]


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[key] for key in KEYS)


def _is_trial(row: Row, columns: Sequence[str]) -> bool:
    """Whether a row is one that we write: numbers, or nothing, follow its status."""
    if row["status"] not in STATUSES or not row["trial"].isdecimal():
        return False
    try:
        for name in columns[columns.index("status") + 1 :]:
            float(row[name] or 0)
    except ValueError:
        return False
    return True


def _undamaged(content: bytes) -> list[Row]:
    """Return the rows of a damaged file that are not damaged, none if its columns are."""
    header, *lines = content.splitlines(keepends=True) or [b""]
    whole = [header]
    for line in lines:
        with suppress(ValueError):
            rows_of(header + line)
            whole.append(line)
    try:
        return rows_of(b"".join(whole))
    except ValueError:
        return []


def _row(trial: Trajectory) -> Row:
    """Return a trial's columns as text; what is not known is empty."""
    row: Row = {}
    for column, value in trial.frame.iloc[0].items():
        kind, _, name = str(column).partition(".")
        named = f"{kind}." in (CONFIG, FIDELITY, METRIC) and name  # by the benchmark
        key = name if named else str(column)
        if named or key in (*KEYS, "status", *_AFTER):
            row[key] = "" if isinstance(value, float) and math.isnan(value) else str(value)
    return row


def _csv(lines: Iterable[Sequence[str]]) -> str:
    stream = StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()
