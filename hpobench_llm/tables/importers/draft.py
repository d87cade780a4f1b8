"""Rows on their way to a table, and the sealing of all tables of an import or of none."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, read_json, sha256_of_bytes
from hpobench_llm.errors import DataError, IntegrityError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.tables.card import write_card
from hpobench_llm.tables.schema import IMPORTED, METADATA_FILE, Metadata
from hpobench_llm.tables.table import Table, check_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A table to be: `rows` has the axes, fidelities, `seed`, `status` and the metrics.

    Any other column of `rows` is kept; `columns` gives unit and meaning of those, `notes` what a
    reader must know, `flagged` and `dropped` say which rows are defective or absent, and why.
    """

    name: str
    version: str
    description: str
    context: str
    licence: str
    space: Space
    metrics: Sequence[Metric]
    rows: pd.DataFrame
    importer: str
    files: Sequence[Mapping[str, Any]]
    fidelities: tuple[Fidelity, ...] = ()
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    flagged: Sequence[Mapping[str, Any]] = ()
    dropped: Sequence[Mapping[str, Any]] = ()
    family: str = ""
    task: Mapping[str, str | int | float] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """Return the rows in the order of a table's columns and keys, with their `config_id`."""
        axes = list(self.space.names)
        keys = list(self.rows[axes].itertuples(index=False, name=None))
        ids = {key: self.space.config_id(dict(zip(axes, key, strict=True))) for key in set(keys)}
        fidelities = [fidelity.name for fidelity in self.fidelities]
        first = [*axes, "seed", *fidelities, "status", *(m.name for m in self.metrics)]
        rest = [name for name in self.rows.columns if name not in first]
        frame = self.rows[[*first, *rest]].copy()
        frame.insert(0, "config_id", [ids[key] for key in keys])
        return frame.sort_values([*axes, "seed", *fidelities], kind="stable", ignore_index=True)

    def metadata(self, frame: pd.DataFrame, date: str) -> Metadata:
        """Return what `table.json` says of these rows."""
        imported = {
            "importer": self.importer,
            "date": date,
            "files": [dict(file) for file in self.files],
            "columns": {
                name: {"unit": unit, "meaning": meaning}
                for name, (unit, meaning) in self.columns.items()
            },
            "notes": list(self.notes),
            "flagged": [dict(entry) for entry in self.flagged],
            "dropped": [dict(entry) for entry in self.dropped],
        }
        return Metadata(
            name=self.name,
            version=self.version,
            description=self.description,
            context=self.context,
            licence=self.licence,
            space=self.space,
            fidelities=self.fidelities,
            metrics={metric.name: metric for metric in self.metrics},
            seeds=tuple(sorted({int(seed) for seed in frame["seed"]})),
            untrained={},
            provenance={IMPORTED: imported},
            table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
            family=self.family,
            task=dict(self.task),
        )


def noted(what: str, rows: Sequence[int], reason: str) -> dict[str, Any]:
    """Return an entry of `flagged` or `dropped`: how many, which rows of the file, and why."""
    return {"count": len(rows), "what": what, "rows": list(rows), "reason": reason}


def seal_all(drafts: Sequence[Draft], shelf: Path) -> list[Table]:
    """Write every draft as a table in a folder of `shelf`, or none of them.

    The tables are written and read back in a hidden folder first. A table of an earlier import by
    the same importer is replaced.

    Raises:
        DataError: two drafts have one name, or something else stands at a table's place.
        IntegrityError: rows break the schema.
    """
    date = datetime.now(UTC).date().isoformat()
    names = [draft.name for draft in drafts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"two tables would be named {twice[0]!r}; give their tasks other names")
    ready = []
    for draft in drafts:
        _refuse_occupied(shelf / draft.name, draft)
        frame = draft.frame()
        metadata = draft.metadata(frame, date)
        check_rows(frame, metadata, draft.name)
        ready.append((metadata, frame))
    shelf.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=shelf, prefix=".importing-"))
    try:
        tables = []
        for metadata, frame in ready:
            table = Table.load(Table.write(staging / metadata.name, metadata, frame))
            write_card(table)
            tables.append(replace(table, folder=shelf / metadata.name))
        for table in tables:
            if table.folder.exists():
                table.folder.rename(staging / f".old-{table.folder.name}")
            (staging / table.folder.name).rename(table.folder)
    finally:
        shutil.rmtree(staging)
    return tables


def _refuse_occupied(place: Path, draft: Draft) -> None:
    if not place.exists():
        return
    try:
        found = read_json(place / METADATA_FILE)["provenance"][IMPORTED]["importer"]
    except (IntegrityError, KeyError, TypeError):
        found = None
    if found != draft.importer:
        raise DataError(
            f"{place}: exists and is no import by {draft.importer!r}; give another --out, or move "
            "it away"
        )
