"""Data files are identified by their sums."""

import gzip
import hashlib
import zlib
from pathlib import Path

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.inputs.catalogue import SAME_CONTENT
from hpobench_llm.errors import DataError


def checked_sum(path: Path, expected: str, file: object) -> str:
    """Return a data file's SHA-256.

    A packed file counts as the shipped one where the content is the same, however it was packed.

    Raises:
        DataError: it cannot be read, or is not the one that the spec `file` gives.
    """
    try:
        digest = sha256_of_file(path)
        if not expected or digest == expected:
            return digest
        if expected in SAME_CONTENT and _sum_unpacked(path) == SAME_CONTENT[expected]:
            return expected
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    raise DataError(f"{path}: its sha256 is {digest}, but {file} says {expected}")


def _sum_unpacked(path: Path) -> str:
    """Return the sum of what a gzipped file holds; empty where it is none."""
    try:
        with gzip.open(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return ""
