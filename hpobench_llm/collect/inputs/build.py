"""Make data files again from what was published, and check that they are the same."""

import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from hpobench_llm.artefacts import sha256_of_bytes, write_atomically
from hpobench_llm.collect.inputs.catalogue import INPUTS, Input
from hpobench_llm.collect.inputs.upstream import Files, downloaded
from hpobench_llm.errors import DataError, HpobenchError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Built:
    """What came of one input: `problem` is empty if the file is there and holds what it should."""

    entry: Input
    file: Path
    problem: str = ""


def build_inputs(
    out: str | Path,
    names: Iterable[str] = (),
    *,
    given: str | Path | None = None,
    inputs: Sequence[Input] = INPUTS,
    on_done: Callable[[Built], None] = lambda _: None,
) -> list[Built]:
    """Make the data files that shipped campaigns read, below a folder.

    A file that is there and holds what it should is left alone; one that holds something else is
    neither taken nor replaced. A file is written whole or not at all, and only if its content has
    the pinned sum.

    Args:
        out: the folder that HPOBENCH_LLM_SOURCES is to name.
        names: which; all if none is named. See `Input.name`.
        given: a folder with the upstream files, as they are or in tar archives; None: each
            repository is downloaded at its pinned commit.
        inputs: what can be made.
        on_done: called with each result as it comes.

    Raises:
        UnknownNameError: there is no such input.
    """
    by_name = {entry.name: entry for entry in inputs}
    wanted = list(names) or list(by_name)
    for name in wanted:
        if name not in by_name:
            raise UnknownNameError("input", name, by_name)
    built, missing = [], []
    for entry in (by_name[name] for name in wanted):
        file = Path(out, entry.path)
        if file.exists():
            built.append(Built(entry, file, _problem_of(file, entry)))
            on_done(built[-1])
        else:
            missing.append(entry)
    if given:
        results = _from_folder(missing, Path(out), Path(given))
    else:
        results = _fetched(missing, Path(out))
    for result in results:
        built.append(result)
        on_done(result)
    return built


def _from_folder(entries: Sequence[Input], out: Path, folder: Path) -> Iterator[Built]:
    """Yield what came of the inputs, made of the files of a folder."""
    files = Files(entry.upstream for entry in entries)
    if entries:
        files.add_folder(folder)
    for entry in entries:
        yield _attempt(entry, out, files)


def _fetched(entries: Sequence[Input], out: Path) -> Iterator[Built]:
    """Yield what came of the inputs, a download for each repository."""
    origin_of = attrgetter("repository", "commit")
    # Sorted, since groupby joins neighbours alone.
    for (repository, commit), group in groupby(sorted(entries, key=origin_of), key=origin_of):
        members = list(group)
        files = Files(entry.upstream for entry in members)
        try:
            with downloaded(repository, commit) as archive:
                files.add_archive(archive, repository)
        except HpobenchError as error:
            yield from (Built(entry, out / entry.path, str(error)) for entry in members)
            continue
        for entry in members:
            yield _attempt(entry, out, files)


def _attempt(entry: Input, out: Path, files: Files) -> Built:
    """Make a file, or say why it cannot be made."""
    file = out / entry.path
    try:
        content = _content(entry, files.by_pattern[entry.upstream])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, _packed(content) if entry.packed_sha256 else content)
    except HpobenchError as error:
        return Built(entry, file, str(error))
    except OSError as error:
        return Built(entry, file, f"{file}: cannot be written: {error.strerror}")
    return Built(entry, file)


def _content(entry: Input, files: dict[str, bytes]) -> bytes:
    """Return what the input holds, made of its upstream files.

    Raises:
        DataError: there are none, or they are of another state.
    """
    origin = f"{entry.repository} at {entry.commit[:12]}"
    if not files:
        raise DataError(f"{entry.name}: no file {entry.upstream} of {origin}")
    if entry.make is None:
        for content in files.values():  # one name may stand in several folders
            if sha256_of_bytes(content) == entry.sha256:
                return content
        sums = ", ".join(f"{path} has {sha256_of_bytes(files[path])[:12]}" for path in files)
        raise DataError(
            f"{entry.name}: no file {entry.upstream} with the sha256 {entry.sha256[:12]} of "
            f"{origin}: {sums}"
        )
    try:
        content = entry.make(files)
    # What rows of another state do to `make`.
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{entry.name}: the {len(files)} files {entry.upstream} are not those of {origin}: "
            f"{type(error).__name__}: {error}"
        ) from None
    digest = sha256_of_bytes(content)
    if digest != entry.sha256:
        raise DataError(
            f"{entry.name}: made of {len(files)} files {entry.upstream} it has the sha256 "
            f"{digest[:12]}, not {entry.sha256[:12]}: they are not those of {origin}"
        )
    return content


def _packed(content: bytes) -> bytes:
    """Return it gzipped, the same bytes at any time."""
    # gzip's header would hold a name and the time.
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()


def _problem_of(file: Path, entry: Input) -> str:
    """Return what is wrong with a file that is there; empty if nothing is."""
    try:
        content = file.read_bytes()
        if entry.packed_sha256:
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        return f"{file}: cannot be read: {error}"
    digest = sha256_of_bytes(content)
    if digest == entry.sha256:
        return ""
    return (
        f"{file}: holds something else (sha256 {digest[:12]}, not {entry.sha256[:12]}); move it "
        "away to have it made"
    )
