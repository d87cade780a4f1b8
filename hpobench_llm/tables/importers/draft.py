"""Rows on their way to a table, and the sealing of all tables of an import or of none."""

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
from hpobench_llm.tables.importers.staging import staging
from hpobench_llm.tables.schema import IMPORTED, METADATA_FILE, Metadata
from hpobench_llm.tables.table import Table, check_rows

_COMMON = {
    "config_id": ("", "hash of the configuration's axes"),
    "seed": ("", "seed"),
    "status": ("", "ok, diverged, out_of_memory or failed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A table to be: `rows` has the axes, fidelities, `seed`, `status` and the metrics.

    Any other column of `rows` is kept; `columns` gives unit and meaning of those, `axes` what the
    space cannot say of an axis (when it exists, the names of its levels), `notes` what a reader
    must know, `flagged` and `dropped` say which rows are defective or absent, and why.
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
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
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

    def _meaning(self, name: str) -> tuple[str, str]:
        """Return unit and meaning of a column; a table carries those of all its columns."""
        meanings = dict(_COMMON) | {
            axis.name: (axis.unit, "hyperparameter") for axis in self.space
        }
        meanings |= {axis.name: (axis.unit, "fidelity") for axis in self.fidelities}
        for metric in self.metrics:
            meanings[metric.stderr] = (metric.unit, f"standard error of {metric.name}")
            meanings[metric.name] = (metric.unit, f"metric, {metric.direction}d")
        return (meanings | dict(self.columns)).get(name, ("", ""))

    def metadata(self, frame: pd.DataFrame, date: str) -> Metadata:
        """Return what `table.json` says of these rows."""
        imported = {
            "importer": self.importer,
            "date": date,
            "files": [dict(file) for file in self.files],
            "columns": {
                name: dict(zip(("unit", "meaning"), self._meaning(name), strict=True))
                for name in frame.columns
            },
            "axes": {name: dict(about) for name, about in self.axes.items()},
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


def noted(what: str, rows: Sequence[int | str], reason: str) -> dict[str, Any]:
    """Return an entry of `flagged` or `dropped`: how many, which rows of the file, and why."""
    return {"count": len(rows), "what": what, "rows": list(rows), "reason": reason}


def seal_all(drafts: Sequence[Draft], shelf: Path) -> list[Table]:
    """Write every draft as a table in a folder of `shelf`, or none of them.

    The tables are written and read back in a hidden folder first. A table of an earlier import by
    the same importer is replaced.

    Raises:
        DataError: two drafts have one name, something else stands at a table's place, another
            import is writing to the shelf, or a file cannot be written.
        IntegrityError: rows break the schema.
    """
    date = datetime.now(UTC).date().isoformat()
    names = [draft.name for draft in drafts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"two tables would be named {twice[0]!r}; give their tasks other names")
    ready = []
    for draft in drafts:
        frame = draft.frame()
        metadata = draft.metadata(frame, date)
        check_rows(frame, metadata, draft.name)
        ready.append((metadata, frame))
    try:
        with staging(shelf) as stage:
            for draft in drafts:
                _refuse_occupied(shelf / draft.name, draft)
            tables = []
            for metadata, frame in ready:
                table = Table.load(Table.write(stage.folder / metadata.name, metadata, frame))
                write_card(table)
                tables.append(replace(table, folder=shelf / metadata.name))
            for name in names:
                stage.place(name)
    except OSError as error:
        raise DataError(f"{error.filename or shelf}: cannot be written: {error}") from None
    return tables


def _refuse_occupied(place: Path, draft: Draft) -> None:
    if not place.exists():
        return
    try:
        importer = read_json(place / METADATA_FILE)["provenance"][IMPORTED]["importer"]
    except (IntegrityError, KeyError, TypeError):
        importer = None
    if importer != draft.importer:
        raise DataError(
            f"{place}: exists and is no import by {draft.importer!r}; give another --out, or move "
            "it away"
        )
