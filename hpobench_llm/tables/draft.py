"""The one door into a table: rows and the meaning of columns, checked, written, read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes
from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.tables.columns import MEASURES, Column, described
from hpobench_llm.tables.documents import write_documents
from hpobench_llm.tables.provenance import TableProvenance
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.table import Table, check_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A table to be: `rows` has the axes, fidelities, `seed`, `status` and the metrics.

    Any other column of `rows` is kept; `columns` has the unit and meaning of those, and of any
    whose role in the table does not say enough. `provenance` says where the rows come from,
    `untrained` has the metrics before any training, `examples` the values of single items: see
    `Table.examples`.
    """

    name: str
    version: str
    description: str
    context: str
    licence: str
    space: Space
    metrics: Sequence[Metric]
    rows: pd.DataFrame
    fidelities: tuple[Fidelity, ...] = ()
    columns: Mapping[str, Column | tuple[str, str]] = field(default_factory=dict)
    provenance: TableProvenance = field(default_factory=lambda: TableProvenance())
    untrained: Mapping[str, float] = field(default_factory=dict)
    examples: pd.DataFrame | None = None
    family: str = ""
    task: Mapping[str, str | int | float] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """Return the rows in the order of a table's columns and keys, with their `config_id`."""
        axes = list(self.space.names)
        keys = list(self.rows[axes].itertuples(index=False, name=None))
        # A hash for each configuration, of which a table has far fewer than rows.
        ids = {key: self.space.config_id(dict(zip(axes, key, strict=True))) for key in set(keys)}
        fidelities = [fidelity.name for fidelity in self.fidelities]
        first = [*axes, "seed", *fidelities, "status", *(m.name for m in self.metrics)]
        rest = [name for name in self.rows.columns if name not in first]
        frame = self.rows[[*first, *rest]].copy()
        frame.insert(0, "config_id", [ids[key] for key in keys])
        # So that equal rows give equal bytes, in whichever order they came.
        return frame.sort_values([*axes, "seed", *fidelities], kind="stable", ignore_index=True)

    def origin(self) -> TableProvenance:
        """Return the `provenance` for `table.json`."""
        return self.provenance.copy()

    def checked(self) -> "Checked":
        """Return the finished table, still in memory.

        Raises:
            DataError: a column has no meaning.
            IntegrityError: rows break the schema.
        """
        frame = self.frame()
        stated = {
            name: column if isinstance(column, Column) else Column(*column, name in MEASURES)
            for name, column in self.columns.items()
        }
        names = map(str, frame.columns)
        columns = described(names, self.space, self.fidelities, self.metrics, stated)
        unknown = [name for name, column in columns.items() if not column.meaning]
        if unknown:
            raise DataError(f"{self.name}: nothing says what column `{unknown[0]}` holds")
        items = b"" if self.examples is None else frame_to_parquet(self.examples)
        metadata = Metadata(
            name=self.name,
            version=self.version,
            description=self.description,
            context=self.context,
            licence=self.licence,
            space=self.space,
            fidelities=self.fidelities,
            metrics={metric.name: metric for metric in self.metrics},
            seeds=tuple(sorted({int(seed) for seed in frame["seed"]})),
            untrained=dict(self.untrained),
            provenance=self.origin(),
            table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
            columns=columns,
            examples_sha256=sha256_of_bytes(items) if items else "",
            family=self.family,
            task=dict(self.task),
        )
        check_rows(frame, metadata, self.name)
        return Checked(metadata, frame, items)


@dataclass(frozen=True, slots=True)
class Checked:
    """A table in memory that keeps the schema; `items` are the bytes of its single items."""

    metadata: Metadata
    frame: pd.DataFrame
    items: bytes

    def seal(self, folder: Path) -> Table:
        """Write the table and its documents into a folder, and return it as it is read back.

        Raises:
            OSError: a file cannot be written.
            IntegrityError: the files that were written cannot be read back.
        """
        table = Table.load(Table.write(folder, self.metadata, self.frame, self.items))
        write_documents(table)
        return table
