"""Files of rows: a JSON array or JSON lines, of a bounded size."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hpobench_llm.errors import DataError

LARGEST_BYTES = 4 * 2**30  # of a file when unpacked
LARGEST_LINE_BYTES = 8 * 2**20  # a parsed line takes up to 200 times its bytes
_BLOCK = 2**20


def read_rows(path: Path) -> list[Any]:
    """Read a JSON array or JSON lines in UTF-8, gzipped where the name ends in .gz.

    Lines end at newlines alone: a line separator of Unicode may stand inside a string.

    Raises:
        DataError: the file is empty, broken or too large; the message names the line.
    """
    try:
        text = _unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from None
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    # A row is an object, so a bracket can only open an array of all rows.
    if not text.lstrip().startswith("["):
        return list(_json_lines(text, path))
    if len(text) > LARGEST_LINE_BYTES * 8:
        raise DataError(
            f"{path}: a JSON array of {len(text)} characters is read as a whole, at most "
            f"{LARGEST_LINE_BYTES * 8} are; write it as JSON lines"
        )
    try:
        rows: list[Any] = _value(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    return rows


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as packed:
            if path.suffix != ".gz":
                return _bounded(packed, path)
            with gzip.open(packed) as stream:
                return _bounded(stream, path)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _bounded(stream: BinaryIO, path: Path) -> bytes:
    content = io.BytesIO()
    while block := stream.read(_BLOCK):
        content.write(block)
        if content.tell() > LARGEST_BYTES:
            raise DataError(f"{path}: takes more than {LARGEST_BYTES} bytes when unpacked")
    return content.getvalue()


def _value(text: str) -> Any:
    """Return a JSON value; raises ValueError too where it holds half of a letter."""
    value = json.loads(text)
    if "\\ud" in text.lower():  # no tokenizer takes it, and nothing can be written with it
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _json_lines(text: str, path: Path) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > LARGEST_LINE_BYTES:
            raise DataError(
                f"{path}: line {number}: {len(line)} characters, at most {LARGEST_LINE_BYTES} "
                "are read"
            )
        if line.strip():
            try:
                yield _value(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: not valid JSON: {error}") from None
