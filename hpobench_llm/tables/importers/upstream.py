"""Files of a public source at a pinned revision: downloaded or local, checked by their sums."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hpobench_llm.artefacts import sha256_of_bytes
from hpobench_llm.errors import DataError, IntegrityError
from hpobench_llm.tables.importers.download import download

LARGEST_BYTES = 64 * 2**20  # the largest pinned file has 3.6 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One file of a public repository at one commit.

    `excerpts` are the sums of known parts of the file, by file name; an importer reads a part as
    it reads the file.
    """

    repository: str
    commit: str
    path: str
    sha256: str
    licence: str
    excerpts: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the file."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


@dataclass(frozen=True, slots=True)
class Original:
    """A file of a source: its text, path and entry in the provenance."""

    text: str
    path: Path
    provenance: dict[str, str | int]


def original(upstream: Upstream, folder: Path | None, *, allow_changed: bool) -> Original:
    """Read a file of a source: from `folder`, or fetched from its pinned address.

    In the folder the file has its own name, its path in the repository, or the name of an excerpt.

    Raises:
        DataError: the folder has no such file, it is too large or not UTF-8.
        IntegrityError: its sum is not the pinned one, nor that of a known excerpt, and
            `allow_changed` is not set.
    """
    path = _find(upstream, folder) if folder else download(upstream.url, upstream.sha256)
    if path.stat().st_size > LARGEST_BYTES:
        raise DataError(f"{path}: has {path.stat().st_size} bytes, at most {LARGEST_BYTES}")
    content = path.read_bytes()
    digest = sha256_of_bytes(content)
    forms = {upstream.sha256: "as pinned"}
    forms |= {digest: f"excerpt {name}" for name, digest in upstream.excerpts.items()}
    if digest not in forms and not allow_changed:
        raise IntegrityError(
            f"{path}: sha256 is {digest}, but that of {upstream.repository} {upstream.path} at "
            f"{upstream.commit[:12]} is {upstream.sha256}; get that revision, or import the "
            "changed file with --allow-changed (the table then says so)"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from None
    return Original(
        text,
        path,
        {
            "repository": upstream.repository,
            "commit": upstream.commit,
            "path": upstream.path,
            "sha256": digest,
            "pinned_sha256": upstream.sha256,
            "form": forms.get(digest, "changed, allowed by hand"),
            "licence": upstream.licence,
        },
    )


def _find(upstream: Upstream, folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"--from {folder}: no such folder")
    names = [upstream.path, PurePosixPath(upstream.path).name, *upstream.excerpts]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"--from {folder}: none of {', '.join(names)} is there")
