"""The columns that a family's records fill, with their types in a table."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from hpobench_llm.tables.columns import MEASURES, Column


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column of records: its Arrow type, unit and meaning.

    The values of metrics, costs and counters stand in a record's checkpoints, those of settings
    and constants beside them.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str

    def described(self) -> Column:
        """Return what the table says of it."""
        return Column(self.unit, self.meaning, self.name in MEASURES)


def number(name: str, unit: str, meaning: str) -> RunColumn:
    """Return a column of floating point numbers."""
    return RunColumn(name, pa.float64(), unit, meaning)


# What every record says of the code and the machine that made it.
PROVENANCE = (
    RunColumn("device", pa.string(), "", "processor or GPU"),
    RunColumn("threads", pa.int64(), "", "CPU threads of the process"),
    RunColumn("git_commit", pa.string(), "", "revision of this package that trained the row"),
    RunColumn("git_dirty", pa.bool_(), "", "whether the package differed from that revision"),
    RunColumn("versions", pa.string(), "", "library versions as JSON"),
)


def names_of(columns: Iterable[RunColumn]) -> list[str]:
    """Return the names of columns."""
    return [column.name for column in columns]
