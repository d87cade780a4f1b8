"""Where a ledger lies: a folder, or a place that fsspec reaches by URL (`s3://...`)."""

import os
from pathlib import Path
from typing import Any, Protocol

from hpobench_llm.artefacts import remove_strays, write_atomically
from hpobench_llm.errors import LedgerError, MissingDependencyError
from hpobench_llm.tables.schema import (
    CARD_FILE,
    CROISSANT_FILE,
    EXAMPLES_FILE,
    METADATA_FILE,
    TABLE_FILE,
)


class Storage(Protocol):
    """Named files; each is whole or absent. Every method may raise OSError."""

    location: str
    lock_file: Path | None
    """The file that `Claims` locks, or None where locks are not to be had."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, none if there is no such folder."""

    def read(self, name: str) -> bytes:
        """Return a file's content."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file; when this returns it survives a crash of the machine."""

    def set_aside(self, name: str) -> None:
        """Rename a file to `<name>.damaged`."""

    def clean(self) -> None:
        """Remove what processes that were killed while writing have left behind."""


def open_storage(location: str | Path) -> Storage:
    """Return the storage at a path or URL.

    Raises:
        LedgerError, MissingDependencyError: the URL's protocol is unknown or needs a library.
    """
    if isinstance(location, str) and "://" in location:
        return RemoteStorage(location)
    return FolderStorage(Path(location))


class FolderStorage:
    """A folder of this machine, or one that several machines mount."""

    def __init__(self, root: Path) -> None:
        self._root, self.location = root, str(root)
        self.lock_file: Path | None = root / "ledger" / "claims"

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without temporary ones."""
        try:
            with os.scandir(self._root / folder) as entries:
                # A name that begins with a dot is a file that is being written.
                return [entry.name for entry in entries if entry.name[0] != "."]
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside its place, flush it, rename it, and flush the folder."""
        path = self._root / name
        write_atomically(path, content)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # else a crash of the machine could undo the rename
        finally:
            os.close(descriptor)

    def set_aside(self, name: str) -> None:
        """Rename a file to `<name>.damaged`."""
        (self._root / name).replace(self._root / f"{name}.damaged")

    def clean(self) -> None:
        """Remove the temporary files of dead writers, those of a seal in the same folder too."""
        sealed = TABLE_FILE, METADATA_FILE, EXAMPLES_FILE, CARD_FILE, CROISSANT_FILE
        for name in ("campaign.json", *sealed, "*.svg"):
            remove_strays(self._root, name)
        remove_strays(self._root / "ledger", "*.json")


class RemoteStorage:
    """A place that fsspec reaches by URL.

    An object store writes a file whole or not at all; elsewhere its sum shows that one is cut
    short. There are no locks: collectors that share a URL must be given disjoint shards.
    """

    lock_file: Path | None = None

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingDependencyError(str(error.name), "collect", "--ledger URL") from None
        self.location = url.rstrip("/")
        try:
            files, root = url_to_fs(self.location)
        except (ImportError, ValueError, OSError) as error:  # s3fs missing, protocol unknown
            raise LedgerError(f"--ledger {url}: {error}") from None
        self._files: Any = files
        self._root: str = root

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, as they are now."""
        where = f"{self._root}/{folder}"
        self._files.invalidate_cache(where)  # fsspec would repeat its last listing
        try:
            paths = self._files.ls(where, detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rpartition("/")[2] for path in paths]

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        content: bytes = self._files.cat_file(f"{self._root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        path = f"{self._root}/{name}"
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, content)

    def set_aside(self, name: str) -> None:
        """Rename a file to `<name>.damaged`."""
        self._files.mv(f"{self._root}/{name}", f"{self._root}/{name}.damaged")

    def clean(self) -> None:
        """Do nothing: there are no temporary files."""
