"""What a table's `provenance` holds: the types of what `table.json` says of where rows come from.

They are plain JSON. A collected table has `sources`, and what its family adds; an imported one
`imported`; either may say whose it is.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from hpobench_llm.plain import Json
from hpobench_llm.space import Value
from hpobench_llm.tables.columns import ColumnRecord
from hpobench_llm.tables.publication import PublicationRecord

Sources = Mapping[str, Json]
"""What runs are made of, by name: base, data, scores; each says its files and sums."""


class Noted(TypedDict):
    """Rows of a file that are doubtful or left out: how many, which, and why."""

    count: int
    what: str
    rows: list[int | str]
    reason: str


class AboutAxis(TypedDict, total=False):
    """What a space cannot hold of an axis: when it exists, and the names of its levels."""

    only_if: Mapping[str, Sequence[Value | bool]]
    otherwise: Value | bool | None
    names: list[str]


class ImportRecord(TypedDict):
    """What an import says of itself; `columns` stands there in a table of format 1 alone."""

    importer: str
    date: str
    files: list[dict[str, str | int]]
    axes: dict[str, AboutAxis]
    notes: list[str]
    flagged: list[Noted]
    dropped: list[Noted]
    columns: NotRequired[dict[str, ColumnRecord]]


class TableProvenance(TypedDict, total=False):
    """All of it. What no kind of table must say is left out where it is not said."""

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
