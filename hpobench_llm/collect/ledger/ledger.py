"""The ledger of a collection: a file for each finished task, and none is ever lost.

`campaign.json` says what is collected; `ledger/<task_id>.json` holds the records of one finished
task. Each file carries its own sum, appears whole and never changes. A file that does not fit its
sum (a bad disk, a bad copy) counts as damaged, and its runs are trained again. Every file repeats
what `campaign.json` says, so that it can be written again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.collect.campaign.identity import Identity
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.ledger.storage import Storage
from hpobench_llm.collect.record import FORMAT, READABLE, RunRecord
from hpobench_llm.errors import LedgerError

HEADER = "campaign.json"
FOLDER = "ledger"


class Ledger:
    """The records of a campaign in a storage.

    `identity` is the campaign's: files of another recipe count as damaged. `records` and `solo`
    hold the records of both kinds by run id, `damaged` the files that are not used, with the
    reason. A run that stands in two files counts once, as in the first file by name.
    """

    def __init__(self, storage: Storage, identity: Identity) -> None:
        self.storage, self._identity = storage, identity
        self.records: dict[str, RunRecord] = {}
        self.solo: dict[str, RunRecord] = {}
        self.damaged: dict[str, str] = {}
        self._files: dict[str, dict[str, str]] = {"runs": {}, "solo": {}}  # a run's file, by id
        self._read: set[str] = set()
        self._header: Header | None = None  # the fullest that stands in a file of the ledger

    @property
    def location(self) -> str:
        """Where the ledger lies, for messages."""
        return self.storage.location

    def header(self) -> Header | None:
        """Return what all runs share, None before a collector has begun.

        Where `campaign.json` is missing or damaged, it is what the ledger's own files say.

        Raises:
            LedgerError: it cannot be read, or is of another format or recipe.
        """
        written = self._written_header()
        return self._header if written is None else written

    def _written_header(self) -> Header | None:
        where = f"{self.location}/{HEADER}"
        try:
            raw = _loaded(self.storage.read(HEADER))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerError(f"{where}: cannot be read: {error}") from None
        except (ValueError, RecursionError):  # cut short or garbled
            return None
        if not isinstance(raw, dict) or raw.get("format") not in READABLE:
            version = raw.get("format") if isinstance(raw, dict) else None
            raise LedgerError(
                f"{where}: format {version!r}, this version reads {_listed()}; give another --out"
            )
        # In format 2 it had no sum, and its keys stood at the top.
        body = raw if raw["format"] == 2 else raw.get("body")
        if raw["format"] != 2 and _sum(body) != raw.get("sha256"):
            return None
        if not isinstance(body, dict) or not self._identity.is_of(body):
            name = body.get("campaign") if isinstance(body, dict) else body
            raise LedgerError(
                f"{where}: the recipe has changed since the first run was collected here (base, "
                f"data, scores or training of {name!r} differ from those of "
                f"{self._identity.campaign!r}); give another --out"
            )
        try:
            return Header.from_json(body)
        except ValueError:
            return None

    def open(self, header: Header) -> None:
        """Make this the ledger of what `header` describes, or check that it is.

        Collectors that start together write the same bytes.

        Raises:
            LedgerError: as `header`, or the sources differ, or it cannot be written.
        """
        existing = self.header()
        if existing is not None and existing.sources != header.sources:
            raise LedgerError(
                f"{self.location}/{HEADER}: the sources (base, data or scores) have changed since "
                "the first run was collected here; give another --out"
            )
        # How it was cut stays as it began; more items may be kept than when it began.
        self._header = (
            header if existing is None else replace(header, pack_size=existing.pack_size)
        )
        if self._written_header() is None:
            body = self._identity.to_json() | self._header.to_json()
            entry = {"format": FORMAT, "sha256": _sum(body), "body": body}
            # Sorted as the other files are: a table is then the same whichever it is read from.
            text = json.dumps(entry, indent=2, sort_keys=True, allow_nan=False)
            self._write(HEADER, f"{text}\n")
        self.storage.clean()

    def refresh(self) -> None:
        """Read the files that have come since the last time, and the damaged ones once more.

        Raises:
            LedgerError: the storage cannot be listed.
        """
        try:
            names = self.storage.names(FOLDER)
        except OSError as error:
            raise LedgerError(f"{self.location}/{FOLDER}: cannot be read: {error}") from None
        self.damaged = {}
        # A file never changes, so one that was read is not read again.
        for name in sorted(set(names) - self._read):
            if name.endswith(".json"):
                try:
                    self._take(name, *self._body(self.storage.read(f"{FOLDER}/{name}")))
                except FileNotFoundError:
                    pass  # another collector has just set it aside
                except (OSError, ValueError) as error:
                    self.damaged[name] = str(error)

    def _body(self, content: bytes) -> tuple[Mapping[str, Any], int]:
        """Return what a file says and its format; raises ValueError with what is wrong."""
        try:
            entry = _loaded(content)
            body, version = entry["body"], entry["format"]
            fits = entry["sha256"] == _sum(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("cut short or garbled") from None
        if version not in READABLE:
            raise ValueError(f"format {version!r}, this version reads {_listed()}")
        if not fits:
            raise ValueError("changed: it does not fit its sum")
        if not self._identity.is_of(body):
            raise ValueError("of another recipe")
        return dict(body), version

    def _take(self, name: str, body: Mapping[str, Any], version: int) -> None:
        kind, raw_records = body.get("kind"), body.get("records")
        # A tuple, since a kind that came from a broken file may not be hashable.
        if kind not in tuple(self._files) or not isinstance(raw_records, list):
            raise ValueError("its kind, or its records, are none of a ledger's")
        # All of it is parsed before any is taken: a file counts whole or not at all.
        parsed = [RunRecord.from_json(raw, version=version) for raw in raw_records]
        header = Header.from_json(body["header"]) if "header" in body else None
        records = self.solo if kind == "solo" else self.records
        files = self._files[kind]
        for record in parsed:
            run_id = record.run_id
            # The first file by name wins, in whatever order the storage lists them.
            if run_id not in files or name < files[run_id]:
                files[run_id], records[run_id] = name, record
        if header and (not self._header or len(header.items) > len(self._header.items)):
            self._header = header
        self._read.add(name)

    def damage(self) -> str:
        """Return how many files are damaged, and what is wrong with the first."""
        name, reason = min(self.damaged.items())
        count = len(self.damaged)
        return f"{self.location}/{FOLDER}: {count} damaged files ({name}: {reason})"

    def missing(self, task: Task) -> Task | None:
        """Return a task of the runs that are not there yet, None if all are."""
        present = self.solo if task.kind == "solo" else self.records
        runs = tuple(run for run in task.runs if run.run_id not in present)
        return replace(task, runs=runs) if runs else None

    def is_done(self, task: Task) -> bool:
        """Whether all runs of a task are there."""
        return self.missing(task) is None

    def append(self, task: Task, records: Sequence[RunRecord]) -> None:
        """Write the records of a finished task and wait until they are on disk.

        A damaged file in its place is kept beside it as `<name>.damaged`.

        Raises:
            LedgerError: it cannot be written, or nobody has opened the ledger; what was there
                before stays.
        """
        if self._header is None:
            raise LedgerError(f"{self.location}: nothing can be appended before it is opened")
        with_items = any(record.items for record in records)
        header = self._header if with_items else self._header.without_items()
        name = f"{task.task_id}.json"
        body = self._identity.to_json() | {
            "kind": task.kind,
            "engine": task.engine,
            "task_id": task.task_id,
            "header": header.to_json(),
            "records": [record.to_json() for record in records],
        }
        text = canonical_json(body)
        entry = f'{{"format":{FORMAT},"sha256":"{sha256_of_text(text)}","body":{text}}}\n'
        self._write(f"{FOLDER}/{name}", entry, aside=self.damaged.pop(name, "") != "")
        # Taken from the text that was written: what is in memory is what a restart would read.
        self._take(name, json.loads(text), FORMAT)

    def _write(self, name: str, text: str, *, aside: bool = False) -> None:
        try:
            if aside:
                self.storage.set_aside(name)
            self.storage.write(name, text.encode())
        except OSError as error:
            raise LedgerError(
                f"{self.location}/{name}: cannot be written: {error.strerror or error}; what was "
                "finished before is kept: make room and start again"
            ) from None


def _loaded(content: bytes) -> Any:
    """Return the JSON value; raises ValueError, RecursionError where there is none."""
    value = json.loads(content)
    if b"\\ud" in content.lower():  # perhaps half of a letter, which no table can hold
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _sum(body: object) -> str:
    return sha256_of_text(canonical_json(body))


def _listed() -> str:
    return " and ".join(map(str, READABLE))
