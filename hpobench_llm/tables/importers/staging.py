"""The hidden folder in which tables are made before they move into their shelf.

A folder cannot replace another in one step: the earlier table is moved into the hidden folder,
then the new one out of it. An import that is killed between the two loses nothing: the next import
of the shelf, which holds its lock, moves earlier tables back and removes the rests of killed
imports.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpobench_llm.errors import DataError

PREFIX = ".importing-"
_EARLIER = ".earlier-"


@dataclass(frozen=True, slots=True)
class Stage:
    """A hidden folder of `shelf` in which tables are written under their names."""

    shelf: Path
    folder: Path

    def publish(self, name: str) -> None:
        """Move a table into the shelf; an earlier one of its name makes room."""
        if (self.shelf / name).exists():
            (self.shelf / name).rename(self.folder / f"{_EARLIER}{name}")
        (self.folder / name).rename(self.shelf / name)


@contextmanager
def staging(shelf: Path) -> Iterator[Stage]:
    """Yield a stage, and remove it in the end, whatever happened.

    Raises:
        DataError: another import is writing to the shelf.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    with _locked(shelf):
        for abandoned in shelf.glob(f"{PREFIX}*"):
            _clear(shelf, abandoned)
        folder = Path(tempfile.mkdtemp(dir=shelf, prefix=PREFIX))
        try:
            yield Stage(shelf, folder)
        finally:
            _clear(shelf, folder)


@contextmanager
def _locked(shelf: Path) -> Iterator[None]:
    lock = os.open(shelf, os.O_RDONLY)  # the folder itself, so that no file is left in it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DataError(f"{shelf}: another import is writing there; wait until it ends") from None
    try:
        yield
    finally:
        os.close(lock)


def _clear(shelf: Path, folder: Path) -> None:
    """Move earlier tables back if the shelf lacks them, and remove the rest."""
    for earlier in folder.glob(f"{_EARLIER}*"):
        path = shelf / earlier.name.removeprefix(_EARLIER)
        if not path.exists():
            earlier.rename(path)
    shutil.rmtree(folder)
