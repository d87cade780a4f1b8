"""The parts of a study that runs: one file for each replay that is done, which knows its own sum.

A part's first line says, as JSON, of which study, replay and code it is, and the sum of that and
of all that follows: the trials as Parquet. So a part that was cut, emptied or changed, or is
another study's, is known before anything in it is used.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from hpobench_llm.artefacts import canonical_json, read_file, sha256_of_bytes, write_atomically
from hpobench_llm.errors import IntegrityError
from hpobench_llm.studies.study import Cell, StudySpec

FORMAT = 1
LONGEST_LINE = 4096  # bytes


class Parts:
    """The parts in a folder.

    Args:
        folder: where they lie; it is made with the first.
        spec: the study.
        fingerprint: what all of its replays follow from, as a sum.
        code: the sum of each optimizer's code.
    """

    def __init__(
        self, folder: Path, spec: StudySpec, fingerprint: str, code: dict[str, str]
    ) -> None:
        self.folder, self._spec = folder, spec
        self._fingerprint, self._code = fingerprint, code

    def path(self, cell: Cell) -> Path:
        """Return the file of a replay; a benchmark may be a path, so its number stands for it."""
        number = self._spec.benchmarks.index(cell.benchmark)
        return self.folder / f"{number}-{quote(cell.optimizer, safe='')}-{cell.seed}.part"

    def write(self, cell: Cell, trials: bytes) -> None:
        """Write a replay's trials."""
        head = {
            "format": FORMAT,
            "study": self._fingerprint,
            "replay": [cell.benchmark, cell.optimizer, cell.seed],
            "code": self._code[cell.optimizer],
        }
        line = canonical_json({**head, "sha256": _sum(head, trials)})
        write_atomically(self.path(cell), line.encode() + b"\n" + trials)

    def read(self, cell: Cell) -> bytes:
        """Return a replay's trials.

        Raises:
            IntegrityError: the part is missing, damaged, or another study's; says what it is.
            OtherCodeError: it is whole, but the optimizer's code has changed since.
        """
        path = self.path(cell)
        try:
            line, _, trials = read_file(path).partition(b"\n")
            head = json.loads(line[:LONGEST_LINE])
            fits = head.pop("sha256") == _sum(head, trials) and head["format"] == FORMAT
            origin = (head["study"], head["replay"])
        except OSError as error:
            raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise IntegrityError(f"{path}: empty, cut short or garbled") from None
        if not fits:
            raise IntegrityError(f"{path}: changed: it does not fit its sum")
        if origin != (self._fingerprint, [cell.benchmark, cell.optimizer, cell.seed]):
            raise IntegrityError(f"{path}: of another study")
        if head["code"] != self._code[cell.optimizer]:
            raise OtherCodeError(f"{path}: {cell.optimizer}'s code has changed since")
        return trials

    def strangers(self, cells: Iterable[Cell]) -> list[Path]:
        """Return the files that are the part of none of these replays."""
        ours = {self.path(cell) for cell in cells}
        return sorted(path for path in self.folder.glob("*") if path not in ours)


class OtherCodeError(IntegrityError):
    """A replay that is whole, but of an optimizer whose code was another one."""


def _sum(head: dict[str, object], trials: bytes) -> str:
    return sha256_of_bytes(canonical_json(head).encode() + b"\n" + trials)
