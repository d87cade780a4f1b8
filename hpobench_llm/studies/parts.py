"""The parts of a study that runs: a file for each finished replay, which has its own sum.

A part's first line is JSON: what the replay follows from, its budget, its optimizer's code, and
the sum of that and of the rest of the file, the trials as Parquet. So a part that was cut, emptied
or changed, or is another study's, is recognized before anything in it is used.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from hpobench_llm.artefacts import (
    canonical_json,
    read_file,
    sha256_of_bytes,
    sha256_of_text,
    write_atomically,
)
from hpobench_llm.errors import IntegrityError
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.studies.study import StudyCell

FORMAT = 2
LONGEST_LINE = 4096  # bytes


class Parts:
    """The parts in a folder.

    Args:
        folder: where they lie; the first part makes it.
        origin: returns the sum of what a replay follows from, except the next two.
        budget: of each replay.
        code: the sum of each optimizer's code.
    """

    def __init__(
        self,
        folder: Path,
        origin: Callable[[StudyCell], str],
        budget: Budget,
        code: dict[str, str],
    ) -> None:
        self.folder, self._origin, self._budget, self._code = folder, origin, budget, code

    def path(self, cell: StudyCell) -> Path:
        """Return the file of a replay; a benchmark may be a path, so its sum stands for it."""
        benchmark = sha256_of_text(cell.benchmark)[:8]
        return self.folder / f"{benchmark}-{quote(cell.optimizer, safe='')}-{cell.seed}.part"

    def write(self, cell: StudyCell, trials: bytes, budget: Budget | None = None) -> None:
        """Write a replay's trials; `budget` is its own if that is not the study's."""
        own = budget or self._budget
        head = {
            "format": FORMAT,
            "origin": self._origin(cell),
            "budget": [own.unit, own.amount],
            "code": self._code[cell.optimizer],
        }
        line = canonical_json({**head, "sha256": _sum(head, trials)})
        write_atomically(self.path(cell), line.encode() + b"\n" + trials)

    def read(self, cell: StudyCell) -> bytes:
        """Return a replay's trials.

        Raises:
            IntegrityError: the part is missing, damaged, or another study's.
            OtherCodeError: it is whole, but the optimizer's code has changed since.
            BeginningError: it is whole, but of a smaller budget; the error has its trials.
        """
        path = self.path(cell)
        try:
            line, _, trials = read_file(path).partition(b"\n")
            # A garbled file may be one long line.
            head = json.loads(line[:LONGEST_LINE])
            fits = head.pop("sha256") == _sum(head, trials) and head["format"] == FORMAT
            origin, (unit, amount), code = head["origin"], head["budget"], head["code"]
            shorter = bool(amount < self._budget.amount)
        except OSError as error:
            raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise IntegrityError(f"{path}: empty, cut short or garbled") from None
        if not fits:
            raise IntegrityError(f"{path}: changed: it does not fit its sum")
        same = amount == self._budget.amount
        if origin != self._origin(cell) or unit != self._budget.unit or not (same or shorter):
            raise IntegrityError(f"{path}: of another study")
        if code != self._code[cell.optimizer]:
            raise OtherCodeError(f"{path}: {cell.optimizer}'s code has changed since")
        if shorter:
            raise BeginningError(trials)
        return trials

    def beginning(self, cell: StudyCell) -> bytes | None:
        """Return the trials of a replay with a smaller budget, None where there are none."""
        try:
            self.read(cell)
        except BeginningError as error:
            return error.trials
        except IntegrityError:
            pass
        return None

    def strangers(self, cells: Iterable[StudyCell]) -> list[Path]:
        """Return the files that are no part of these replays."""
        ours = {self.path(cell) for cell in cells}
        return sorted(path for path in self.folder.glob("*") if path not in ours)


class OtherCodeError(IntegrityError):
    """A replay that is whole, but of an optimizer whose code was another one."""


class BeginningError(IntegrityError):
    """A replay that is whole, but had a smaller budget: its `trials` are how it begins."""

    def __init__(self, trials: bytes) -> None:
        self.trials = trials
        super().__init__("had a smaller budget")


def _sum(head: dict[str, object], trials: bytes) -> str:
    return sha256_of_bytes(canonical_json(head).encode() + b"\n" + trials)
