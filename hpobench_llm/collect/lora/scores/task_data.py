"""Read the data of lm-eval tasks from local files, in the formats that their authors publish."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import sha256_of_file, sha256_of_text
from hpobench_llm.collect.lora.data.files import read_rows
from hpobench_llm.collect.training.checksum import checked_sum
from hpobench_llm.errors import DataError

Row = dict[str, Any]  # an item as its authors publish it: each set has fields of its own
MMLU_FIELDS = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """Items that share their examples: a subject of MMLU, a task of BBH, or a whole file.

    `shots` are the examples that the data set itself puts aside; empty where it has none.
    """

    name: str
    shots: list[Row]
    items: list[Row]

    def divided(self, count: int) -> tuple[list[Row], list[Row]]:
        """Return `count` examples and the items to be scored.

        Without examples of its own, a group gives its first items, which are then not scored.

        Raises:
            DataError: there are too few.
        """
        pool = self.shots or self.items[:-1]
        if len(pool) < count:
            raise DataError(f"{count} examples wanted, {len(pool)} there")
        return pool[:count], self.items if self.shots else self.items[count:]


def _json(path: Path) -> list[ItemGroup]:
    """JSON lines or one JSON array, gzipped where the name ends in .gz: one group."""
    return [ItemGroup(path.name, [], _rows(read_rows(path), path))]


def _bbh(folder: Path) -> list[ItemGroup]:
    """BBH: a JSON file a task, its `examples` of `input` and `target`."""
    groups = []
    for path in _files(folder, "*.json"):
        try:
            contents = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid JSON: {error}") from None
        examples = contents.get("examples") if isinstance(contents, dict) else None
        if not isinstance(examples, list) or not examples:
            raise DataError(f"{path}: a list `examples` is expected")
        groups.append(ItemGroup(path.stem, [], _rows(examples, path)))
    return groups


def _mmlu(folder: Path) -> list[ItemGroup]:
    """MMLU: `dev/<subject>_dev.csv` and `test/<subject>_test.csv`."""
    groups = []
    for path in _files(folder, "test/*_test.csv"):
        subject = path.name.removesuffix("_test.csv")
        examples = _mmlu_rows(folder / "dev" / f"{subject}_dev.csv", subject)
        groups.append(ItemGroup(subject, examples, _mmlu_rows(path, subject)))
    return groups


def _mmlu_rows(path: Path, subject: str) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    headed = lines[:1] == [MMLU_FIELDS]
    answers = "0123" if headed else "ABCD"  # without a header: as MMLU's authors publish it
    first = 1 if headed else 0
    rows = []
    for number, line in enumerate(lines[first:], start=1 + first):
        if len(line) != len(MMLU_FIELDS) or line[-1] not in tuple(answers):
            header = "" if headed else f", or the header {','.join(MMLU_FIELDS)}"
            raise DataError(
                f"{path}: row {number}: question, four choices and an answer ({answers[0]} to "
                f"{answers[-1]}) are expected{header}"
            )
        rows.append(
            {
                "subject": subject.replace("_", " "),
                "question": line[0],
                "choices": line[1:-1],
                "answer": answers.index(line[-1]),
            }
        )
    return rows


def _labelled_lines(path: Path) -> list[ItemGroup]:
    """SST-2: a line a sentence, its label (a digit) in front; one group."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    rows = []
    # Newlines alone end a line: a sentence may hold a separator of Unicode.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        label, _, text = line.partition(" ")
        if not label.isdecimal() or not text.strip():
            raise DataError(f"{path}: line {number}: a digit, a space and a text are expected")
        rows.append({"label": int(label), "text": text.strip()})
    return [ItemGroup(path.name, [], rows)]


READERS: dict[str, Callable[[Path], list[ItemGroup]]] = {
    "json": _json,
    "bbh": _bbh,
    "mmlu": _mmlu,
    "labelled-lines": _labelled_lines,
}
PARTS = {"bbh": ("*.json",), "mmlu": ("dev/*_dev.csv", "test/*_test.csv")}  # folders' files


def read_groups(reader: str, path: Path) -> list[ItemGroup]:
    """Return the groups of a file or folder, in the order of the file's lines or file names.

    Raises:
        DataError: it is not in the format; the message names the file and the row.
    """
    if path.is_dir() != (reader in PARTS):
        expected = "folder" if reader in PARTS else "file"
        raise DataError(f"{path}: a {expected} is expected (data format {reader})")
    groups = READERS[reader](path)
    if not any(group.items for group in groups):
        raise DataError(f"{path}: no item in it")
    return groups


def checked_data_sum(reader: str, path: Path, expected: str, file: object) -> str:
    """Return the SHA-256 of a data file, or of a folder's list of sums.

    That list has a line `<name> <sha256>` for each file that is read, sorted by name.

    Raises:
        DataError: it is not the one that the spec `file` gives.
    """
    if path.is_file():
        return checked_sum(path, expected, file)
    names = sorted(
        file_path.relative_to(path).as_posix()
        for pattern in PARTS.get(reader, ())
        for file_path in path.glob(pattern)
    )
    digest = sha256_of_text("".join(f"{name} {sha256_of_file(path / name)}\n" for name in names))
    if expected and digest != expected:
        raise DataError(
            f"{path}: the sha256 of its list of sums is {digest}, but {file} says {expected}"
        )
    return digest


def _files(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise DataError(f"{folder}: no file {pattern} in it")
    return paths


def _rows(rows: list[Any], path: Path) -> list[Row]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{path}: row {number}: an object is expected")
    return [dict(row) for row in rows]
