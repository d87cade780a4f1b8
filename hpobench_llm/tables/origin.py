"""The section of `CARD.md` on the origin of a table's rows: collected here, or imported."""

import re
from collections.abc import Mapping

from hpobench_llm.errors import IntegrityError
from hpobench_llm.tables.markdown import plain
from hpobench_llm.tables.schema import IMPORTED, METADATA_FILE, Metadata
from hpobench_llm.tables.table import Table

_MARK = re.compile(r" *- ")  # of a list's entry, or of one in it
FILES = 20  # in a card; table.json names all


def origin_section(table: Table) -> list[str]:
    """Return the origin of the rows, the code and devices, and what was done to them.

    Raises:
        IntegrityError: the provenance is not complete.
    """
    metadata = table.metadata
    try:
        text = _imported(metadata) if IMPORTED in metadata.provenance else _collected(metadata)
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{table.folder / METADATA_FILE}: `provenance` is not complete: {error!r}"
        ) from None
    lines = ["## Where it comes from", ""]
    for line in text:
        match = _MARK.match(line)
        mark = match[0] if match else ""
        lines.append(mark + plain(line.removeprefix(mark)))
    return lines


def _collected(metadata: Metadata) -> list[str]:
    origin = metadata.provenance
    if not origin:
        return [f"- table.parquet sha256 {metadata.table_sha256}"]
    sources = origin["sources"]
    return [
        *(line for name, source in sources.items() if source for line in _nested(name, source)),
        *(f"- {note}" for note in [*origin.get("notes", ()), origin.get("split", "")] if note),
        f"- code: {', '.join(origin['commits'])}",
        f"- device: {', '.join(origin['devices'])}; {_listed(origin['versions'])}",
        f"- recipe sha256 {origin['recipe_sha256']}",
        f"- table.parquet sha256 {metadata.table_sha256}",
    ]


def _nested(name: str, source: object, depth: int = 0) -> list[str]:
    """Return a source as a list: plain values on its own line, mappings below it."""
    if not isinstance(source, Mapping):
        raise TypeError(f"the source {name!r} is no mapping")
    plain = {key: value for key, value in source.items() if not isinstance(value, Mapping)}
    parts = [(key, value) for key, value in source.items() if isinstance(value, Mapping)]
    lines = [f"{'  ' * depth}- {name}: {_listed(plain)}".rstrip()]
    for key, value in parts:
        lines += _nested(key, value, depth + 1) if value else [f"{'  ' * depth}  - {key}: none"]
    return lines


def _imported(metadata: Metadata) -> list[str]:
    origin = metadata.provenance[IMPORTED]
    lines = [f"Imported by `{origin['importer']}` on {origin['date']} (UTC).", ""]
    files = origin["files"]
    lines += [f"- {_listed({k: v for k, v in file.items() if v})}" for file in files[:FILES]]
    lines += [f"- and {len(files) - FILES} files more"] if len(files) > FILES else []
    lines += [f"- table.parquet sha256 {metadata.table_sha256}"]
    lines += [f"- {note}" for note in origin["notes"]]
    for title in ("flagged", "dropped"):
        for entry in origin[title]:
            lines.append(f"- {title}: {entry['count']} {entry['what']}: {entry['reason']}")
    if metadata.family:
        task = ", ".join(f"{key} {value}" for key, value in metadata.task.items())
        lines.append(f"- one of the related tables `{metadata.family}`: {task}")
    return lines


def _listed(mapping: Mapping[str, object]) -> str:
    parts = [
        f"{key} ({_listed(value) or 'none'})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in mapping.items()
    ]
    return ", ".join(parts)
