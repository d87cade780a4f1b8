"""Read the columns that a spec names from CSV, JSONL or Parquet, within its limits."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from hpobench_llm.errors import DataError, nearest
from hpobench_llm.tables.importers.generic.cells import Records
from hpobench_llm.tables.importers.generic.spec import ImportSpec, Limits
from hpobench_llm.tables.parquet import check_parquet

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LONGEST_CELL = 16 * 2**20


def read_records(path: Path, spec: ImportSpec) -> tuple[Records, dict[str, dict[str, float]]]:
    """Return the columns of the file, and of each metric with a `*` its columns' values of it.

    Raises:
        DataError: a column is absent, a line is broken, or the file passes a limit of the spec;
            the message names file, line and column.
    """
    kind = spec.format if spec.format != "auto" else _kind(path)
    try:
        if kind == "parquet":
            return _read_parquet(path, spec)
        with _decoded(path, spec.limits) as lines:
            if kind == "csv":
                return _read_csv(path, spec, lines)
            return _read_jsonl(path, spec, lines)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _kind(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes[-2:] if suffix != ".gz"]
    kind = _SUFFIXES.get(suffixes[-1].lower()) if suffixes else None
    if kind is None:
        raise DataError(
            f"{path}: the suffix does not tell the format; `format` in the spec may be csv, jsonl "
            "or parquet"
        )
    return kind


class _Limited(io.RawIOBase):
    """A stream that ends in an error once more bytes than allowed have come out of it."""

    def __init__(self, stream: Any, path: Path, limit: int) -> None:
        self._stream, self._path, self._limit, self._left = stream, path, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"{self._path}: holds more than {self._limit} bytes when decoded; if that is "
                "meant, raise `limits.decoded_bytes` in the spec"
            )
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def _decoded(path: Path, limits: Limits) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        limited = io.BufferedReader(_Limited(stream, path, limits.decoded_bytes))
        yield io.TextIOWrapper(limited, encoding="utf-8-sig", newline="")


class _Collector:
    """Gathers rows of the wanted columns and counts them against the limits."""

    def __init__(self, path: Path, spec: ImportSpec, names: Iterable[str]) -> None:
        self._path, self._limits = path, spec.limits
        self.patterns = _resolve(path, spec, list(names))
        wanted = [*spec.plain_columns(), *(c for p in self.patterns.values() for c in p)]
        self.columns: dict[str, list[object]] = {name: [] for name in dict.fromkeys(wanted)}
        self.places: list[int] = []
        self._cells = 0

    def add(self, place: int, cells: dict[str, object]) -> None:
        for name, column in self.columns.items():
            cell = cells.get(name)
            column.append(cell)
            self._cells += _size(cell)
        self.places.append(place)
        _check_limits(self._path, self._limits, rows=len(self.places), cells=self._cells)

    def records(self, unit: str) -> tuple[Records, dict[str, dict[str, float]]]:
        if not self.places:
            raise DataError(f"{self._path}: holds no rows")
        return Records(str(self._path), self.columns, self.places, unit), self.patterns


def _size(cell: object) -> int:
    return len(cell) if isinstance(cell, list) else 1


def _check_limits(path: Path, limits: Limits, **counts: int) -> None:
    for name, count in counts.items():
        if count > getattr(limits, name):
            raise DataError(
                f"{path}: holds more than {getattr(limits, name)} {name}; if that is meant, raise "
                f"`limits.{name}` in the spec"
            )


def _resolve(path: Path, spec: ImportSpec, found: list[str]) -> dict[str, dict[str, float]]:
    """Check that every column is there; return the columns behind each `*` and their values."""
    for name in spec.plain_columns():
        if name not in found:
            raise DataError(f"{path}: column `{name}` of the spec is absent{nearest(name, found)}")
    patterns: dict[str, dict[str, float]] = {}
    for key in spec.metrics:
        if "*" not in key:
            continue
        head, _, tail = key.partition("*")
        levels = {}
        for name in found:
            fits = name.startswith(head) and name.endswith(tail)
            if fits and len(name) > len(head) + len(tail):
                try:
                    levels[name] = float(name[len(head) : len(name) - len(tail)])
                except ValueError:
                    continue  # another column that looks alike: val_loss_best
        if not levels:
            raise DataError(f"{path}: no column is `{key}` with a number for the star")
        patterns[key] = levels
    return patterns


def _read_csv(
    path: Path, spec: ImportSpec, lines: TextIO
) -> tuple[Records, dict[str, dict[str, float]]]:
    before = csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=spec.delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise DataError(f"{path}, line 1: column {twice[0]!r} stands twice")
        collector = _Collector(path, spec, header)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(header)} cells are expected as in the "
                    f"header, got {len(cells)}; mend or remove the line"
                )
            collector.add(reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: broken CSV: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, after line {reader.line_num}: not UTF-8: {error}") from None
    finally:
        csv.field_size_limit(before)
    return collector.records("line")


def _read_jsonl(
    path: Path, spec: ImportSpec, lines: TextIO
) -> tuple[Records, dict[str, dict[str, float]]]:
    rows: list[tuple[int, dict[str, object]]] = []
    names: dict[str, None] = {}
    plain = set(spec.plain_columns())
    stars = [key.split("*") for key in spec.metrics if "*" in key]
    number, cells = 0, 0
    try:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: broken JSON: {error}") from None
            if not isinstance(value, dict):
                raise DataError(f"{path}, line {number}: an object is expected, got {line[:40]!r}")
            flat = _flatten(value)
            names |= dict.fromkeys(flat)
            kept = {
                name: cell
                for name, cell in flat.items()
                if name in plain or any(name.startswith(head) for head, *_ in stars)
            }
            rows.append((number, kept))
            cells += sum(_size(cell) for cell in kept.values())
            _check_limits(path, spec.limits, rows=len(rows), cells=cells)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, after line {number}: not UTF-8: {error}") from None
    # An object may leave out what it does not have, so the columns are known at the end alone.
    collector = _Collector(path, spec, names if rows else spec.plain_columns())
    for place, flat in rows:
        collector.add(place, flat)
    return collector.records("line")


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, object]:
    """Name nested values with dots; a list of objects becomes a list for each of their keys."""
    flat: dict[str, object] = {}
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, list) and inner and all(isinstance(entry, dict) for entry in inner):
            keys = dict.fromkeys(key for entry in inner for key in entry)
            inner = {key: [entry.get(key) for entry in inner] for key in keys}
        if isinstance(inner, dict):
            flat |= _flatten(inner, f"{name}.")
        else:
            flat[name] = inner
    return flat


def _read_parquet(path: Path, spec: ImportSpec) -> tuple[Records, dict[str, dict[str, float]]]:
    with path.open("rb") as stream:
        try:
            check_parquet(stream, spec.limits.decoded_bytes, columns=())
            file = pq.ParquetFile(stream)
            collector = _Collector(path, spec, file.schema_arrow.names)
            wanted = list(collector.columns)
            values = _values(file.metadata, wanted)
            _check_limits(path, spec.limits, rows=file.metadata.num_rows, cells=values)
            for name in wanted:
                _refuse_type(path, name, file.schema_arrow.field(name).type)
            check_parquet(stream, spec.limits.decoded_bytes, columns=wanted)
            place = 0
            for batch in pq.ParquetFile(stream).iter_batches(8192, columns=wanted):
                for cells in batch.to_pylist():
                    place += 1
                    collector.add(place, cells)
        except ValueError as error:
            hint = "; if that is meant, raise `limits.decoded_bytes` in the spec"
            raise DataError(f"{path}: {error}{hint if 'at most' in str(error) else ''}") from None
        except pa.ArrowException as error:
            raise DataError(f"{path}: damaged Parquet file: {error}") from None
    return collector.records("row")


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


def _refuse_type(path: Path, name: str, kind: Any) -> None:
    inner = kind
    while pa.types.is_list(inner) or pa.types.is_large_list(inner):
        inner = inner.value_type
    simple = (
        pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
    )
    simple = simple or pa.types.is_null(inner) or pa.types.is_decimal(inner)
    text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    if pa.types.is_dictionary(kind):
        text = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    if not simple and not (text and inner is kind):
        raise DataError(
            f"{path}: column `{name}` has the type {kind}; numbers, texts and lists of numbers "
            "are read: write it as one of these first"
        )
