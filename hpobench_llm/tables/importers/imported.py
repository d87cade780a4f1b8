"""Tables from other people's files; an import seals all of its tables or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hpobench_llm.artefacts import read_json
from hpobench_llm.errors import DataError, IntegrityError
from hpobench_llm.tables.draft import Draft
from hpobench_llm.tables.importers.staging import staging
from hpobench_llm.tables.provenance import AboutAxis, ImportRecord, Noted, TableProvenance
from hpobench_llm.tables.publication import PUBLICATION, Publication
from hpobench_llm.tables.schema import IMPORTED, METADATA_FILE
from hpobench_llm.tables.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDraft(Draft):
    """A draft of rows that `importer` took from `files`.

    `publication` says whose they are, `axes` has what the space cannot hold of an axis (when it
    exists, the names of its levels), `notes` are for readers, `flagged` and `dropped` list rows
    that are defective or absent, with reasons.
    """

    importer: str
    files: Sequence[Mapping[str, str | int]]
    publication: Publication = field(default_factory=Publication)
    axes: Mapping[str, AboutAxis] = field(default_factory=dict)
    notes: Sequence[str] = ()
    flagged: Sequence[Noted] = ()
    dropped: Sequence[Noted] = ()

    def origin(self) -> TableProvenance:
        """Return the provenance of an import that is made today (UTC)."""
        imported: ImportRecord = {
            "importer": self.importer,
            "date": datetime.now(UTC).date().isoformat(),
            "files": [dict(file) for file in self.files],
            "axes": dict(self.axes),
            "notes": list(self.notes),
            "flagged": list(self.flagged),
            "dropped": list(self.dropped),
        }
        stated = self.publication.to_json()
        origin: TableProvenance = {IMPORTED: imported}
        return {**origin, PUBLICATION: stated} if stated else origin


def noted(kind: str, rows: Sequence[int | str], reason: str) -> Noted:
    """Return an entry of `flagged` or `dropped`: how many, which rows of the file, and why."""
    return {"count": len(rows), "what": kind, "rows": list(rows), "reason": reason}


def seal_all(drafts: Sequence[ImportedDraft], shelf: Path) -> list[Table]:
    """Write every draft as a table in a folder of `shelf`, or none of them.

    The tables are written and read back in a hidden folder first. A table of an earlier import by
    the same importer is replaced.

    Raises:
        DataError: two drafts have one name, something else has a table's name in the shelf,
            another import is writing there, or a file cannot be written.
        IntegrityError: rows break the schema.
    """
    names = [draft.name for draft in drafts]
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise DataError(f"two tables would be named {shared[0]!r}; give their tasks other names")
    # All are checked before any is written.
    ready = [draft.checked() for draft in drafts]
    try:
        with staging(shelf) as stage:
            for draft in drafts:
                _refuse_occupied(shelf / draft.name, draft)
            tables = [checked.seal(stage.folder / checked.metadata.name) for checked in ready]
            for name in names:
                stage.publish(name)
    except OSError as error:
        raise DataError(f"{error.filename or shelf}: cannot be written: {error}") from None
    return [replace(table, folder=shelf / table.metadata.name) for table in tables]


def _refuse_occupied(path: Path, draft: ImportedDraft) -> None:
    if not path.exists():
        return
    try:
        importer = read_json(path / METADATA_FILE)["provenance"][IMPORTED]["importer"]
    except (IntegrityError, KeyError, TypeError):
        importer = None
    if importer != draft.importer:
        raise DataError(
            f"{path}: exists and is no import by {draft.importer!r}; give another --out, or move "
            "it away"
        )
