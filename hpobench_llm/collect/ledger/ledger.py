"""The ledger of a collection: finished tasks, one file each, of which nothing is lost.

`campaign.json` says what is collected; `ledger/<task_id>.json` holds the records of one finished
task and their sum. A file appears whole and never changes. One that does not fit its sum (a bad
disk, a bad copy) is known as damaged, and its runs are trained again.
"""

import json
from dataclasses import replace
from typing import Any

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.ledger.storage import Storage
from hpobench_llm.errors import LedgerError

FORMAT = 2
HEADER = "campaign.json"
FOLDER = "ledger"
Record = dict[str, Any]


class Ledger:
    """The records of a campaign in a storage.

    `identity` is the campaign's: files of another campaign or recipe count as damaged. `records`
    and `solo` hold the records of both kinds by run id, `damaged` the files that are not used,
    with the reason. A run that stands in two files counts once, as in the first file by name.
    """

    def __init__(self, storage: Storage, identity: dict[str, str]) -> None:
        self.storage, self._identity = storage, identity
        self.records: dict[str, Record] = {}
        self.solo: dict[str, Record] = {}
        self.damaged: dict[str, str] = {}
        self._files: dict[str, dict[str, str]] = {"runs": {}, "solo": {}}  # where a run stands
        self._read: set[str] = set()

    @property
    def place(self) -> str:
        """Where the ledger lies, for messages."""
        return self.storage.place

    def header(self) -> dict[str, Any] | None:
        """Return what `campaign.json` says, None before a collector has written it.

        One that is damaged counts as not written: each file of the ledger names its campaign too.

        Raises:
            LedgerError: it cannot be read, or is of another format, campaign or recipe.
        """
        where = f"{self.place}/{HEADER}"
        try:
            known = json.loads(self.storage.read(HEADER))
        except FileNotFoundError:
            return None
        except ValueError:  # cut short or garbled: the next collector writes it again
            return None
        except OSError as error:
            raise LedgerError(f"{where}: cannot be read: {error}") from None
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            found = known.get("format") if isinstance(known, dict) else None
            raise LedgerError(
                f"{where}: format {found!r}, this version reads {FORMAT}; give another --out"
            )
        if known.get("campaign") != self._identity["campaign"]:
            raise LedgerError(
                f"{self.place} holds the campaign {known.get('campaign')!r}, "
                f"not {self._identity['campaign']!r}; give another --out"
            )
        self._compare(known, self._identity, "recipe_sha256")
        return known

    def _compare(self, known: dict[str, Any], ours: dict[str, Any], key: str) -> None:
        if known.get(key) != ours[key]:
            raise LedgerError(
                f"{self.place}/{HEADER}: `{key}` has changed since the first run was collected "
                "here (base, data, scores or training differ); give another --out"
            )

    def open(self, header: dict[str, Any]) -> None:
        """Make this the ledger of what `header` describes, or check that it is.

        Collectors that start together write the same bytes.

        Raises:
            LedgerError: as `header`, or `sources` differ, or it cannot be written.
        """
        known = self.header()
        if known is None:
            text = json.dumps({"format": FORMAT, **header}, indent=2, allow_nan=False)
            self._write(HEADER, f"{text}\n")
        else:
            self._compare(known, header, "sources")
        self.storage.clean()

    def refresh(self) -> None:
        """Read the files that have come since the last time, and the damaged ones once more.

        Raises:
            LedgerError: the storage cannot be listed.
        """
        try:
            names = self.storage.names(FOLDER)
        except OSError as error:
            raise LedgerError(f"{self.place}/{FOLDER}: cannot be read: {error}") from None
        self.damaged = {}
        for name in sorted(set(names) - self._read):
            if name.endswith(".json"):
                try:
                    self._take(name, self._body(self.storage.read(f"{FOLDER}/{name}")))
                except FileNotFoundError:
                    pass  # another collector has just set it aside
                except (OSError, ValueError) as error:
                    self.damaged[name] = str(error)

    def _body(self, content: bytes) -> dict[str, Any]:
        """Return what a file says; raises ValueError with what is wrong with it."""
        try:
            entry = json.loads(content)
            body, known = entry["body"], entry["format"] == FORMAT
            fits = entry["sha256"] == sha256_of_text(canonical_json(body))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("cut short or garbled") from None
        if not known:
            raise ValueError(f"format {entry['format']!r}, this version reads {FORMAT}")
        if not fits:
            raise ValueError("changed: it does not fit its sum")
        if any(body.get(key) != value for key, value in self._identity.items()):
            raise ValueError("of another campaign or recipe")
        return dict(body)

    def _take(self, name: str, body: dict[str, Any]) -> None:
        records = self.solo if body["kind"] == "solo" else self.records
        files = self._files[body["kind"]]
        for record in body["records"]:
            run_id = record["run_id"]
            if run_id not in files or name < files[run_id]:
                files[run_id], records[run_id] = name, record
        self._read.add(name)

    def damage(self) -> str:
        """Return how many files are damaged, and what is wrong with the first."""
        name, reason = min(self.damaged.items())
        count = len(self.damaged)
        return f"{self.place}/{FOLDER}: {count} damaged files ({name}: {reason})"

    def missing(self, task: Task) -> Task | None:
        """Return a task of the runs that are not there yet, None if all are."""
        there = self.solo if task.kind == "solo" else self.records
        runs = tuple(run for run in task.runs if run.run_id not in there)
        return replace(task, runs=runs) if runs else None

    def is_done(self, task: Task) -> bool:
        """Whether all runs of a task are there."""
        return self.missing(task) is None

    def append(self, task: Task, records: list[Record]) -> None:
        """Write the records of a finished task and wait until they are on disk.

        A damaged file in its place is kept beside it as `<name>.damaged`.

        Raises:
            LedgerError: it cannot be written; what was there before stays.
        """
        name = f"{task.task_id}.json"
        body = self._identity | {
            "kind": task.kind,
            "engine": task.engine,
            "task_id": task.task_id,
            "records": records,
        }
        text = canonical_json(body)
        entry = f'{{"format":{FORMAT},"sha256":"{sha256_of_text(text)}","body":{text}}}\n'
        self._write(f"{FOLDER}/{name}", entry, aside=self.damaged.pop(name, "") != "")
        self._take(name, json.loads(text))

    def _write(self, name: str, text: str, *, aside: bool = False) -> None:
        try:
            if aside:
                self.storage.set_aside(name)
            self.storage.write(name, text.encode())
        except OSError as error:
            raise LedgerError(
                f"{self.place}/{name}: cannot be written: {error.strerror or error}; what was "
                "finished before is kept: make room and start again"
            ) from None
