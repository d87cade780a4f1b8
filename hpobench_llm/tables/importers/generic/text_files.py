"""CSV, JSON and JSON lines, gzipped or not, decoded no further than the spec's limit."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from hpobench_llm.errors import DataError, nearest
from hpobench_llm.tables.importers.generic.cells import short
from hpobench_llm.tables.importers.generic.columns import Block, Collector

_LONGEST_CELL = 16 * 2**20
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # Excel's "Unicode text"


def read_text(collector: Collector, kind: str) -> Block:
    """Read a file of kind csv, json or jsonl.

    Raises:
        DataError: it is broken, or not UTF-8.
    """
    read = {"csv": _read_csv, "json": _read_json, "jsonl": _read_jsonl}[kind]
    with _decoded(collector) as lines:
        return read(collector, lines)


class _Limited(io.RawIOBase):
    """A stream that counts the bytes that are read from it."""

    def __init__(self, stream: Any, collector: Collector) -> None:
        self._stream, self._collector = stream, collector

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        # Bytes after decompression: a small archive must not fill the memory.
        self._collector.counts.add(self._collector.path, decoded_bytes=len(content))
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def _decoded(collector: Collector) -> Iterator[TextIO]:
    path = collector.path
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        limited = io.BufferedReader(_Limited(stream, collector))
        encoding = _BYTE_ORDER_MARKS.get(limited.peek(2)[:2], "utf-8-sig")
        yield io.TextIOWrapper(limited, encoding=encoding, newline="")


def _read_csv(collector: Collector, lines: TextIO) -> Block:
    path = collector.path
    before = csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=collector.spec.delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        wanted = {*collector.start(header)}
        repeated = [name for name in header if header.count(name) > 1 and name in wanted]
        if repeated:
            raise DataError(f"{path}, line 1: two columns are called {repeated[0]!r}")
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
    except UnicodeError as error:
        raise DataError(f"{path}, after line {reader.line_num}: not UTF-8: {error}") from None
    finally:
        csv.field_size_limit(before)
    return collector.block("line")


def _read_jsonl(collector: Collector, lines: TextIO) -> Block:
    rows: list[tuple[int, dict[str, object]]] = []
    names: dict[str, None] = {}
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{collector.path}, line {number}"
                row = _row(collector, _parsed(line, where), where, names)
                rows.append((number, row))
    except UnicodeError as error:
        raise DataError(f"{collector.path}, after line {number}: not UTF-8: {error}") from None
    return _gathered(collector, rows, names, "line")


def _read_json(collector: Collector, lines: TextIO) -> Block:
    """Read a file that is one value: a list of objects, or an object that is one row."""
    path = collector.path
    try:
        value = _parsed(lines.read(), str(path))
    except UnicodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from None
    for key in collector.spec.records.split(".") if collector.spec.records else ():
        if not isinstance(value, dict) or key not in value:
            keys = list(value) if isinstance(value, dict) else []
            raise DataError(
                f"{path}: `records` of the spec is {collector.spec.records!r}, but {key!r} is not "
                f"there{nearest(key, keys)}"
            )
        value = value[key]
    entries = value if isinstance(value, list) else [value]
    names: dict[str, None] = {}
    rows = [
        (row, _row(collector, entry, f"{path}, row {row}", names))
        for row, entry in enumerate(entries, start=1)
    ]
    return _gathered(collector, rows, names, "row")


def _parsed(content: str, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: broken JSON: {error}") from None


def _row(
    collector: Collector, value: object, where: str, names: dict[str, None]
) -> dict[str, object]:
    """Return the cells of an object that may be wanted, and add its keys to `names`."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: an object is expected, got {short(value)}")
    try:
        cells = _flatten(value)
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply") from None
    names |= dict.fromkeys(cells)
    return {name: cell for name, cell in cells.items() if collector.wants(name)}


def _gathered(
    collector: Collector,
    rows: list[tuple[int, dict[str, object]]],
    names: dict[str, None],
    unit: str,
) -> Block:
    # An object may leave keys out, so the columns are known only at the end.
    if rows:
        collector.start(names)
    for position, row in rows:
        collector.add(position, row)
    return collector.block(unit)


def _flatten(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
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
