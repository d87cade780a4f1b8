"""Files that a spec names by their sums."""

from pathlib import Path

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.errors import DataError


def checked_sum(path: Path, expected: str, file: object) -> str:
    """Return a data file's SHA-256.

    Raises:
        DataError: it cannot be read, or is not the one that the spec `file` gives.
    """
    try:
        digest = sha256_of_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if expected and digest != expected:
        raise DataError(f"{path}: its sha256 is {digest}, but {file} says {expected}")
    return digest
