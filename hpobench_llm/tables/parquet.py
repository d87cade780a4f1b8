"""Check a stranger's Parquet before it is decoded: its sizes, and that its values are its own."""

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_INDEX_WIDTH = 4
_BATCH_ROWS = 65_536


def check_parquet(source: BinaryIO, limit_bytes: int, columns: Sequence[str] | None = None) -> int:
    """Check that columns of a Parquet file take at most `limit_bytes` when decoded.

    Dictionaries and run lengths make a column of any length small on disk. So the number of values
    counts, times their width, and for texts the length of the text of each index. `columns` are
    all by default; the file is left at its beginning. Returns the decoded size.

    Raises:
        ValueError: they take more, a column's values lie in another file, or it is no Parquet
            file; the message names the column.
    """
    try:
        file = pq.ParquetFile(source)
        size = _check_metadata(file, limit_bytes, columns)
        texts = [
            entry.name
            for entry in file.schema_arrow
            if (columns is None or entry.name in columns) and _is_text(entry.type)
        ]
        if texts:
            # As dictionaries, so that repeated texts take no memory before their size is known.
            source.seek(0)
            dictionaries = pq.ParquetFile(source, read_dictionary=texts)
            size += _check_texts(dictionaries, texts, limit_bytes)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot be read as Parquet: {one_line(error)}") from None
    finally:
        source.seek(0)
    return size


def one_line(error: Exception) -> str:
    """Return a library's error on one line: some have several."""
    return " ".join(str(error).split())


def _check_metadata(file: Any, limit_bytes: int, columns: Sequence[str] | None) -> int:
    sizes: dict[str, int] = {}
    for group in range(file.metadata.num_row_groups):
        for index in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(index)
            if chunk.file_path:
                raise ValueError(
                    f"the values of column `{chunk.path_in_schema}` are said to lie in another "
                    f"file, {chunk.file_path!r}; a file that holds its own values is expected"
                )
            name = chunk.path_in_schema
            if columns is None or name in columns or name.partition(".")[0] in columns:
                width = _WIDTHS.get(chunk.physical_type, _INDEX_WIDTH)
                size = max(chunk.num_values * width, chunk.total_uncompressed_size)
                sizes[name] = sizes.get(name, 0) + size
    for name, size in sizes.items():
        if size > limit_bytes:
            raise ValueError(_too_large(f"column `{name}` takes {size}", limit_bytes))
    if sum(sizes.values()) > limit_bytes:
        raise ValueError(_too_large(f"the columns take {sum(sizes.values())}", limit_bytes))
    return sum(sizes.values())


def _check_texts(file: Any, texts: list[str], limit_bytes: int) -> int:
    decoded = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=texts):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            lengths = pc.binary_length(column.dictionary)
            decoded += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
            if decoded > limit_bytes:
                raise ValueError(
                    _too_large(f"texts up to column `{name}` take {decoded}", limit_bytes)
                )
    return decoded


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):  # what pandas writes of a categorical column
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _too_large(subject: str, limit_bytes: int) -> str:
    return f"{subject} bytes when decoded, at most {limit_bytes} are read"
