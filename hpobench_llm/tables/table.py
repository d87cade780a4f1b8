"""A sealed table: loaded whole, its sums verified, never changed and never interpolated."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpobench_llm.artefacts import (
    frame_to_parquet,
    read_file,
    read_json,
    sha256_of_bytes,
    write_atomically,
    write_json,
)
from hpobench_llm.errors import ConfigurationError, IntegrityError
from hpobench_llm.evaluation import OUTCOMES, STATUSES
from hpobench_llm.space import Categorical, config_id
from hpobench_llm.tables import format_1
from hpobench_llm.tables.columns import KEYS
from hpobench_llm.tables.parquet import check_parquet, one_line
from hpobench_llm.tables.schema import EXAMPLES_FILE, METADATA_FILE, TABLE_FILE, Metadata

ITEM_COLUMNS = ("config_id", "seed", "column", "item_id", "value", "tokens")
LARGEST_BYTES = 4 * 2**30  # of a table's rows when decoded; the sum in table.json proves no size


@dataclass(frozen=True, slots=True)
class Table:
    """The rows and the metadata of a table; `frame` is not to be written to."""

    metadata: Metadata
    frame: pd.DataFrame
    folder: Path

    @staticmethod
    def load(folder: str | Path) -> "Table":
        """Read and verify the table in `folder`.

        Raises:
            IntegrityError: a file is missing or damaged, a sum differs, or a row breaks the
                schema; the message names file, column or row.
        """
        folder = Path(folder)
        raw = read_json(folder / METADATA_FILE)
        metadata = Metadata.from_json(raw, folder / METADATA_FILE)
        path = folder / TABLE_FILE
        frame = _read_parquet(path, metadata.table_sha256)
        if raw["format"] == 1:
            metadata = format_1.with_columns(metadata, frame)
        check_rows(frame, metadata, path)
        return Table(metadata, frame, folder)

    def examples(self) -> pd.DataFrame:
        """Return the values of single items for the runs that keep them, in full.

        Columns: `config_id`, `seed`, `column` (the metric that is made of the items), `item_id` (a
        hash or a number, never text), `value`, and `tokens`, the label tokens over which a value
        is summed (empty for a mean or a margin). There are no rows if none were kept.

        Raises:
            IntegrityError: the file is missing or damaged.
        """
        if not self.metadata.examples_sha256:
            return pd.DataFrame(columns=list(ITEM_COLUMNS))
        path = self.folder / EXAMPLES_FILE
        frame = format_1.examples(_read_parquet(path, self.metadata.examples_sha256))
        if list(frame.columns) != list(ITEM_COLUMNS):
            raise IntegrityError(f"{path}: columns {', '.join(ITEM_COLUMNS)} are expected")
        return frame

    @staticmethod
    def write(
        folder: Path, metadata: Metadata, frame: pd.DataFrame, examples: bytes = b""
    ) -> Path:
        """Write rows, items and metadata, whose sums must be those of the files.

        The metadata are written last: a table without them is no table yet.
        """
        content = frame_to_parquet(frame)
        check_rows(frame, metadata, folder / TABLE_FILE)
        if examples:
            write_atomically(folder / EXAMPLES_FILE, examples)
        write_atomically(folder / TABLE_FILE, content)
        write_json(folder / METADATA_FILE, metadata.to_json())
        return folder


def _read_parquet(path: Path, expected: str) -> pd.DataFrame:
    try:
        content = read_file(path)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    digest = sha256_of_bytes(content)
    if digest != expected:
        raise IntegrityError(
            f"{path}: sha256 is {digest}, but {METADATA_FILE} says {expected}; "
            "the file was changed or only partly copied"
        )
    # The same bytes that were summed: the file may change meanwhile.
    stream = io.BytesIO(content)
    try:
        check_parquet(stream, LARGEST_BYTES)
        frame: pd.DataFrame = pq.read_table(stream).to_pandas()
    except (pa.ArrowException, OSError) as error:  # a lack of memory or of threads, too
        raise IntegrityError(f"{path}: cannot be read as Parquet: {one_line(error)}") from None
    except ValueError as error:
        raise IntegrityError(f"{path}: {one_line(error)}") from None
    return frame


def check_rows(frame: pd.DataFrame, metadata: Metadata, where: object) -> None:
    """Check columns, statuses, keys and configurations.

    Raises:
        IntegrityError: naming the column or the row.
    """
    _check_columns(frame, metadata, where)
    axes = list(metadata.space.names)
    fidelities = [fidelity.name for fidelity in metadata.fidelities]
    unknown = set(frame["status"].unique()) - set(STATUSES)
    if unknown:
        raise IntegrityError(f"{where}: unknown status {sorted(unknown)}")
    key = ["config_id", "seed", *fidelities]
    repeated = np.flatnonzero(frame.duplicated(key))
    if len(repeated):
        raise IntegrityError(f"{where}: row {repeated[0]} repeats the key {key} of another row")
    # Hashing is slow, and a configuration has many rows.
    distinct = frame[["config_id", *axes]].drop_duplicates()
    columns = {name: distinct[name].tolist() for name in axes}
    try:
        configs = metadata.space.canonical_rows(columns)
    except ConfigurationError as error:
        raise IntegrityError(f"{where}: {error}") from None
    for config, stated in zip(configs, distinct["config_id"].tolist(), strict=True):
        if (expected := config_id(config)) != stated:
            raise IntegrityError(
                f"{where}: config_id {stated} stands beside {config}, whose id is {expected}"
            )


def _holds_texts(column: "pd.Series[Any]") -> bool:
    if isinstance(column.dtype, pd.StringDtype):
        return not column.hasnans
    return pd.api.types.infer_dtype(column, skipna=False) == "string"


def _check_columns(frame: pd.DataFrame, metadata: Metadata, where: object) -> None:
    """Check that the needed columns exist, and hold numbers or texts as they must."""
    if not len(frame) or not frame.columns.is_unique:
        raise IntegrityError(f"{where}: rows, and columns of different names, are expected")
    metrics = metadata.metrics.values()
    for name in OUTCOMES:
        if name in metadata.metrics:
            raise IntegrityError(
                f"{where}: a metric `{name}` could not be told from the {name} of an evaluation; "
                "call it otherwise (an import's spec: `name`)"
            )
    names = [d.name for d in metadata.space if isinstance(d, Categorical)]
    numbers = [d.name for d in metadata.space if d.name not in names]
    numbers += [axis.name for axis in metadata.fidelities]
    numbers += [*metadata.metrics, *(metric.stderr for metric in metrics if metric.stderr)]
    for name in [*KEYS, *names, *numbers, *metadata.columns]:
        if name not in frame.columns:
            raise IntegrityError(f"{where}: column `{name}` is missing")
    for name in frame.columns:
        if name not in metadata.columns:
            raise IntegrityError(f"{where}: {METADATA_FILE} does not say what `{name}` holds")
    numbers += [name for name, column in metadata.columns.items() if column.measure]
    for name in ("config_id", "status", *names):
        if not _holds_texts(frame[name]):
            raise IntegrityError(f"{where}: column `{name}` must hold texts, in every row")
    for name in dict.fromkeys(numbers):
        kind = frame[name].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
            raise IntegrityError(f"{where}: column `{name}` must be double")
    if not pd.api.types.is_signed_integer_dtype(frame["seed"]):
        raise IntegrityError(f"{where}: column `seed` must be int64")
