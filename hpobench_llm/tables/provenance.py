"""The types of a table's `provenance`: what `table.json` says of the origin of its rows.

They are plain JSON. A collected table has `sources` and the keys of its family, an imported one
`imported`; either may have a `publication`.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from hpobench_llm.plain import Json
from hpobench_llm.space import Value
from hpobench_llm.tables.baselines import BaselineRecord
from hpobench_llm.tables.columns import ColumnRecord
from hpobench_llm.tables.figures import FigureRecord
from hpobench_llm.tables.publication import PublicationRecord

Sources = Mapping[str, Json]
"""The sources of runs by name: base, data, scores; each has its files and sums."""


class Noted(TypedDict):
    """Rows of a file that are doubtful or left out: how many, which, and why."""

    count: int
    what: str
    rows: list[int | str]
    reason: str


class AboutAxis(TypedDict, total=False):
    """Facts of an axis that a space cannot hold: when it exists, and the names of its levels."""

    only_if: Mapping[str, Sequence[Value | bool]]
    otherwise: Value | bool | None
    names: list[str]


class ImportRecord(TypedDict):
    """The record of an import; only a table of format 1 has `columns`."""

    importer: str
    date: str
    files: list[dict[str, str | int]]
    axes: dict[str, AboutAxis]
    notes: list[str]
    flagged: list[Noted]
    dropped: list[Noted]
    columns: NotRequired[dict[str, ColumnRecord]]


class TableProvenance(TypedDict, total=False):
    """The whole provenance; a key that does not apply is left out."""

    publication: PublicationRecord
    imported: ImportRecord
    # of a collection
    campaign: str
    recipe_sha256: str
    sources: Sources
    defaults: dict[str, Value]  # of hyperparameters; `axis` where it is one
    commits: list[str]
    devices: list[str]
    versions: dict[str, str]
    missing_runs: int
    without_signal: dict[str, str]  # scores that tell no configurations apart, and why
    notes: list[str]
    baselines: list[BaselineRecord]  # no configurations of the space, see `Baseline`
    figures: list[FigureRecord]
    # for readers
    retraining: str
    data_notes: dict[str, str]
    # of one family or the other
    split: str
    diverged_factor: float
    diverged_rule: str
    training: Mapping[str, Json]
    sub_networks: str
    latency: str
