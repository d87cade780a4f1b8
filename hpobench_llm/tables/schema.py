"""The form of a table on disk: the names of its files, and the keys of `table.json`."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, NotRequired, TypedDict

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import Fidelity, FidelityRecord, Metric, MetricRecord
from hpobench_llm.space import AxisRecord, Space
from hpobench_llm.tables.columns import Column, ColumnRecord
from hpobench_llm.tables.json_types import check_columns, check_imported, check_types
from hpobench_llm.tables.provenance import TableProvenance

FORMAT = 2
READABLE = (1, FORMAT)
TABLE_FILE, METADATA_FILE, CARD_FILE = "table.parquet", "table.json", "CARD.md"
EXAMPLES_FILE, CROISSANT_FILE = "examples.parquet", "croissant.json"
IMPORTED: Final = "imported"  # the key of an imported table's provenance
LICENCE_NOT_STATED = "not stated"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.))*")


def check_name(name: object) -> str:
    """Return a table's name if it can name a folder, and no other folder than its own.

    Raises:
        ValueError: it is empty or holds a slash, `..` or another odd character.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a table: letters, digits and single . _ + - are allowed, "
            "a letter or digit first"
        )
    return name


class TableRecord(TypedDict):
    """`table.json` as plain JSON; the last key is a sum over all the others."""

    format: int
    name: str
    version: str
    description: str
    context: str
    licence: str
    space: list[AxisRecord]
    fidelities: list[FidelityRecord]
    metrics: list[MetricRecord]
    columns: dict[str, ColumnRecord]
    seeds: list[int]
    untrained: dict[str, float]
    provenance: TableProvenance
    sha256: dict[str, str]
    family: NotRequired[str]
    task: NotRequired[dict[str, str | int | float]]
    metadata_sha256: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """`table.json`: everything about a table that is not a row.

    `fidelities` may be empty: every row is then a run in full. Tables of one `family` measure the
    same space on related tasks; `task` says what this one's is (a model's name and size, say).
    `columns` has unit and meaning of every column; format 1 lacks them (see `format_1`).
    """

    name: str
    version: str
    description: str
    context: str
    licence: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    seeds: tuple[int, ...]
    untrained: dict[str, float]
    provenance: TableProvenance
    table_sha256: str
    columns: dict[str, Column] = field(default_factory=dict)
    examples_sha256: str = ""
    family: str = ""
    task: dict[str, str | int | float] = field(default_factory=dict)

    def to_json(self) -> TableRecord:
        """Return plain JSON values, closed by a sum over all the others."""
        body: TableRecord = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "context": self.context,
            "licence": self.licence,
            "space": self.space.to_json(),
            "fidelities": [fidelity.to_json() for fidelity in self.fidelities],
            "metrics": [metric.to_json() for metric in self.metrics.values()],
            "columns": {name: column.to_json() for name, column in self.columns.items()},
            "seeds": list(self.seeds),
            "untrained": self.untrained,
            "provenance": self.provenance,
            "sha256": {TABLE_FILE: self.table_sha256}
            | ({EXAMPLES_FILE: self.examples_sha256} if self.examples_sha256 else {}),
        }
        if self.family:
            body = {**body, "family": self.family, "task": self.task}
        return {**body, "metadata_sha256": sha256_of_text(canonical_json(body))}

    @staticmethod
    def from_json(raw: Any, where: object) -> "Metadata":
        """Rebuild and check the metadata that the file `where` holds.

        Raises:
            IntegrityError: it has another format, was changed, or is not complete.
        """
        version = raw.get("format") if isinstance(raw, dict) else raw
        # `type`, since True is an int and equals 1.
        if not isinstance(raw, dict) or type(version) is not int or version not in READABLE:
            readable = " and ".join(map(str, READABLE))
            raise IntegrityError(f"{where}: format {version!r}, this version reads {readable}")
        body = {key: value for key, value in raw.items() if key != "metadata_sha256"}
        try:
            digest = sha256_of_text(canonical_json(body))
        except (ValueError, RecursionError) as error:  # NaN, half a surrogate pair, deep nesting
            raise IntegrityError(f"{where}: no JSON that can be summed: {error}") from None
        if raw.get("metadata_sha256") != digest:
            raise IntegrityError(
                f"{where}: was changed after the table was sealed: its own sum says "
                f"{raw.get('metadata_sha256')}, its content gives {digest}"
            )
        try:
            check_types(raw)
            if IMPORTED in raw["provenance"]:
                check_imported(raw["provenance"][IMPORTED])
            if version == FORMAT:
                check_columns(raw["columns"])
            elif IMPORTED in raw["provenance"]:
                check_columns(raw["provenance"][IMPORTED]["columns"])
            metrics = [Metric.from_json(metric) for metric in raw["metrics"]]
            return Metadata(
                name=check_name(raw["name"]),
                version=raw["version"],
                description=raw["description"],
                context=raw["context"],
                licence=raw["licence"],
                space=Space.from_json(raw["space"]),
                fidelities=tuple(Fidelity.from_json(f) for f in raw["fidelities"]),
                metrics={metric.name: metric for metric in metrics},
                seeds=tuple(raw["seeds"]),
                untrained=raw["untrained"],
                provenance=raw["provenance"],
                table_sha256=raw["sha256"][TABLE_FILE],
                columns={n: Column(**about) for n, about in raw.get("columns", {}).items()},
                examples_sha256=raw["sha256"].get(EXAMPLES_FILE, ""),
                family=raw.get("family", ""),
                task=raw.get("task", {}),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise IntegrityError(f"{where}: not complete: {error!r}") from None
