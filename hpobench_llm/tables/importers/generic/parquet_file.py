"""Parquet: sizes are checked before anything is decoded, and only wanted columns are decoded."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.generic.columns import Block, Collector
from hpobench_llm.tables.parquet import check_parquet, one_line

_BATCH_ROWS = 8192


def read_parquet(collector: Collector) -> Block:
    """Read the wanted columns of a Parquet file; decimals become floats.

    Raises:
        DataError: it is damaged, too large, or has a column of another type.
    """
    path, counts = collector.path, collector.counts
    with path.open("rb") as stream:
        try:
            check_parquet(stream, counts.left("decoded_bytes"), columns=())
            file = pq.ParquetFile(stream)
            wanted = collector.start(file.schema_arrow.names)
            values = _values(file.metadata, wanted)
            counts.check(path, rows=file.metadata.num_rows, cells=values)
            for name in wanted:
                _refuse_type(path, name, file.schema_arrow.field(name).type)
            size = check_parquet(stream, counts.left("decoded_bytes"), columns=wanted)
            counts.add(path, decoded_bytes=size)
            row = 0
            for batch in pq.ParquetFile(stream).iter_batches(_BATCH_ROWS, columns=wanted):
                for cells in _plain(batch).to_pylist():
                    row += 1
                    collector.add(row, cells)
        except ValueError as error:
            hint = "; if that is meant, raise `limits.decoded_bytes` in the spec"
            raise DataError(
                f"{path}: {one_line(error)}{hint if 'at most' in str(error) else ''}"
            ) from None
        except pa.ArrowException as error:
            raise DataError(f"{path}: damaged Parquet file: {one_line(error)}") from None
    return collector.block("row")


def _plain(batch: Any) -> Any:
    """Return a batch with decimals and half floats as floats, in lists too."""
    columns = [
        column.cast(_as_float(column.type)) if _as_float(column.type) != column.type else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_float(kind: Any) -> Any:
    if _is_list(kind):
        return pa.list_(_as_float(kind.value_type))
    return pa.float64() if pa.types.is_decimal(kind) or pa.types.is_float16(kind) else kind


def _values(metadata: Any, wanted: list[str]) -> int:
    """Return how many values the wanted columns hold, those inside lists included."""
    chunks = (
        metadata.row_group(group).column(index)
        for group in range(metadata.num_row_groups)
        for index in range(metadata.num_columns)
    )
    return sum(
        chunk.num_values
        for chunk in chunks
        if chunk.path_in_schema in wanted or chunk.path_in_schema.partition(".")[0] in wanted
    )


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _refuse_type(path: Path, name: str, kind: Any) -> None:
    inner = kind
    while _is_list(inner):
        inner = inner.value_type
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    simple = (
        pa.types.is_integer(inner)
        or pa.types.is_floating(inner)
        or pa.types.is_boolean(inner)
        or pa.types.is_null(inner)
        or pa.types.is_decimal(inner)
        or pa.types.is_duration(inner)
        or pa.types.is_string(inner)
        or pa.types.is_large_string(inner)
    )
    if not simple:
        raise DataError(
            f"{path}: column `{name}` has the type {kind}; numbers, texts, durations and lists of "
            "them are read: write it as one of these first"
        )
