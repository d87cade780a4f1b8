"""The ledger of a collection: a folder to which finished runs are appended and nothing is lost.

`campaign.json` says what is collected; `ledger/part-K-of-N.jsonl` holds one line a finished run,
written by one process at a time (a lock on the file holds others off) and flushed to disk. A line
carries its own sum, so that one cut short by a crash is known and its run is trained again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from hpobench_llm.artefacts import canonical_json, read_json, sha256_of_text, write_json
from hpobench_llm.errors import LedgerError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Contents:
    """What a ledger holds: records by run id, and how many lines could not be used."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def open_ledger(folder: Path, header: dict[str, Any]) -> None:
    """Make `folder` the ledger of the campaign that `header` describes, or check that it is.

    Raises:
        LedgerError: it holds another campaign's runs, or the recipe has changed since.
    """
    check_ledger(folder, header)
    path = folder / "campaign.json"
    if not path.exists():
        write_json(path, {"format": FORMAT, **header})


def check_ledger(folder: Path, header: dict[str, Any]) -> None:
    """Check that `folder`, if it is a ledger at all, agrees with what `header` says so far.

    Raises:
        LedgerError: as `open_ledger`.
    """
    path = folder / "campaign.json"
    if not path.exists():
        return
    known = read_json(path)
    if known.get("format") != FORMAT:
        raise LedgerError(f"{path}: format {known.get('format')!r}, this version reads {FORMAT}")
    if known.get("campaign") != header["campaign"]:
        raise LedgerError(
            f"{folder} holds the campaign {known.get('campaign')!r}, not {header['campaign']!r}; "
            "give another --out"
        )
    for key in ("recipe_sha256", "sources"):
        if key in header and known.get(key) != header[key]:
            raise LedgerError(
                f"{path}: `{key}` has changed since the first run was collected here "
                "(base, data, scores or training differ); give another --out"
            )


def read_ledger(folder: Path) -> Contents:
    """Read all parts. A run that stands twice counts once, the first by file name and line."""
    contents = Contents()
    for path in sorted((folder / "ledger").glob("part-*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as stream:
            for number, line in enumerate(stream, start=1):
                record = _record(line)
                if record is None:
                    contents.damaged.append(f"{path.name}:{number}")
                else:
                    contents.records.setdefault(record["run_id"], record)
    return contents


def _record(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        record: dict[str, Any] = entry["record"]
        if entry["sha256"] == sha256_of_text(canonical_json(record)):
            return record
    except (ValueError, KeyError, TypeError):
        pass
    return None


@contextmanager
def part_writer(folder: Path, shard: int, shards: int) -> Iterator["PartWriter"]:
    """Lock one part of the ledger for appending.

    Raises:
        LedgerError: another process is collecting this part.
    """
    path = folder / "ledger" / f"part-{shard}-of-{shards}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(f"{path}: another process is collecting here") from None
        _end_last_line(path, stream)
        yield PartWriter(stream)


def _end_last_line(path: Path, stream: TextIO) -> None:
    """End a line that a crash cut short, so that the next record starts on its own."""
    with path.open("rb") as raw:
        if raw.seek(0, os.SEEK_END) == 0:
            return
        raw.seek(-1, os.SEEK_END)
        if raw.read(1) != b"\n":
            stream.write("\n")


class PartWriter:
    """Appends records to a locked part."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def append(self, record: dict[str, Any]) -> None:
        """Write one finished run and wait until it is on disk."""
        entry = {"sha256": sha256_of_text(canonical_json(record)), "record": record}
        self._stream.write(canonical_json(entry) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
