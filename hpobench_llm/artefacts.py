"""Write files so that they are whole or absent, and recognize them by their SHA-256."""

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hpobench_llm.errors import HpobenchError, IntegrityError

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1 << 30  # bytes of a file that is read whole
LARGEST_JSON = 1 << 28


def make_folder(folder: Path, option: str) -> None:
    """Make a folder, and check that files can be written into it, before any work is done for it.

    Raises:
        HpobenchError: they cannot; it names the `option` that gave the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise HpobenchError(f"{option} {folder}: is a file; a folder is expected") from None
    except OSError as error:
        raise HpobenchError(
            f"{option} {folder}: no folder that can be written: {error.strerror}"
        ) from None


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Return the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the hexadecimal SHA-256 of a text in UTF-8."""
    return sha256_of_bytes(text.encode())


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file beside its place, flush it to disk and rename it: never half a file.

    Raises:
        OSError: it cannot be written; `filename` is `path`.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(path, data)
    except OSError as error:  # a full disk names no file, and the temporary one says little
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_and_rename(path: Path, data: bytes) -> None:
    temporary, stream = _temporary_file(path)
    try:
        with stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary_file(path: Path) -> tuple[Path, BinaryIO]:
    """Make a file beside `path`, locked so that `remove_strays` leaves it while we live."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        stream = os.fdopen(descriptor, "wb")
        if not _lock(stream) or os.fstat(stream.fileno()).st_nlink:
            return Path(name), stream
        stream.close()  # `remove_strays` of another process was faster than our lock


def remove_strays(folder: Path, name: str) -> None:
    """Remove the temporary files of killed writers of the file `name` from a folder."""
    for path in folder.glob(f".{name}.????????"):
        with suppress(OSError), path.open("rb") as stream:  # a neighbour cleans too
            if _lock(stream):
                path.unlink()


def _lock(stream: BinaryIO) -> bool:
    """Lock an open file until it is closed; False if another has, or there are no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_file(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it cannot be read, has more than `largest` bytes, or is no regular file: a pipe
            would be waited for, and a device never ends.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading a folder fails by itself
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size  # `read` allocates as much as it is asked for
        content = stream.read(min(size, largest) + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"more than {largest:,} bytes", str(path))
    return content


def read_json(path: Path) -> Any:
    """Read a JSON artefact.

    Raises:
        IntegrityError: it is missing, larger than any that we write, or no JSON.
    """
    try:
        return json.loads(read_file(path, LARGEST_JSON).decode())
    except FileNotFoundError:
        raise IntegrityError(f"{path}: no such file") from None
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise IntegrityError(f"{path}: not readable as JSON: {error}") from None
    except RecursionError:
        raise IntegrityError(f"{path}: not readable as JSON: brackets too deep") from None


def frame_to_parquet(frame: "pd.DataFrame", metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a frame as Parquet, with `metadata` in its schema; equal frames give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(metadata)
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
