"""Files of a repository at one commit: from a folder of the user's, or from a download."""

import lzma
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from hpobench_llm.errors import DataError

ARCHIVES = "https://codeload.github.com"
LARGEST_BYTES = 2 * 2**30  # of all files that are taken, and of what is downloaded
SECONDS_OF_SILENCE = 60
_BLOCK = 2**20
_PACKED = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")


class Files:
    """Upstream files by the pattern that their paths match, bounded in what they take."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.by_pattern: dict[str, dict[str, bytes]] = {pattern: {} for pattern in patterns}
        self._left = LARGEST_BYTES

    def add_folder(self, folder: Path) -> None:
        """Take the files of a folder that match, also those inside its tar archives.

        Raises:
            DataError: the folder or an archive cannot be read, or they take too much.
        """
        if not folder.is_dir():
            raise DataError(f"--from {folder}: not a folder")
        try:
            for path in sorted(folder.rglob("*")):
                if not path.is_file():
                    continue
                with path.open("rb") as stream:
                    if path.name.endswith(_PACKED):
                        self.add_archive(stream, str(path))
                    else:
                        self._take(path.relative_to(folder).as_posix(), stream)
        except OSError as error:
            raise DataError(f"{folder}: cannot be read: {error}") from None

    def add_archive(self, packed: IO[bytes], where: str) -> None:
        """Take the files of a tar archive that match; nothing is unpacked onto the disk.

        Raises:
            DataError: it cannot be read, or takes too much.
        """
        try:
            with tarfile.open(fileobj=packed) as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isfile() else None
                    if stream is not None:
                        self._take(member.name, stream)
        except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            raise DataError(f"{where}: cannot be read as a tar archive: {error}") from None

    def _take(self, path: str, stream: IO[bytes]) -> None:
        """Keep a file under the patterns that its path matches."""
        matching = [p for p in self.by_pattern if PurePosixPath(path).match(p)]
        if not matching:
            return
        content = bytearray()
        while block := stream.read(_BLOCK):
            content += block
            # Counted as it is read: the header of an archive may state any size.
            self._left -= len(block)
            if self._left < 0:
                raise DataError(f"{path}: more than {LARGEST_BYTES} bytes in all")
        for pattern in matching:
            self.by_pattern[pattern][path] = bytes(content)


@contextmanager
def downloaded(repository: str, commit: str) -> Iterator[IO[bytes]]:
    """Yield the archive of a repository at a commit, as a file that is gone afterwards.

    Raises:
        DataError: it cannot be fetched.
    """
    url = f"{ARCHIVES}/{repository}/tar.gz/{commit}"
    with tempfile.TemporaryFile() as archive:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS_OF_SILENCE) as answer:
                while block := answer.read(_BLOCK):
                    archive.write(block)
                    if archive.tell() > LARGEST_BYTES:
                        raise DataError(f"{url}: more than {LARGEST_BYTES} bytes")
        except OSError as error:  # an HTTP error is one too
            raise DataError(
                f"{url}: cannot be fetched: {error}; fetch it by hand and give its folder with "
                "--from"
            ) from None
        archive.seek(0)
        yield archive
