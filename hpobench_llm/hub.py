"""Tables on a hub of data sets: `hf://org/name`, fetched and sent through huggingface_hub.

What is sent is one commit: the hub has all of it, or nothing.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.errors import DataError, MissingDependencyError, shown

PREFIX = "hf://"
OURS = ("tables/", "studies/")  # the folders of a repository in which nothing else may lie
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*"
_PLACE = re.compile(
    rf"hf://(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9._/-]+?))?(?:/(?P<table>{_PART}))?"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository of data sets, at a revision (or its newest), and a table in it, if named."""

    repo: str
    revision: str | None = None
    table: str = ""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repo}{revision}{f'/{self.table}' if self.table else ''}"


def place_of(text: object) -> Place | None:
    """Return the place that a text names; None where it is no `hf://` at all.

    Raises:
        DataError: it begins so, and is not `hf://org/name`, `hf://org/name@revision` or one of
            these with `/table`.
    """
    if not str(text).startswith(PREFIX):
        return None
    match = _PLACE.fullmatch(str(text))
    if not match:
        raise DataError(f"{shown(text)}: hf://org/name[@revision][/table] is expected")
    return Place(match["repo"], match["revision"], match["table"] or "")


def fetch(place: Place) -> Path:
    """Return a folder with the tables of a place, from the cache where they are there.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        DataError: there is no such place, or it cannot be reached.
    """
    library = _library(f"{place}")
    wanted = f"tables/{place.table}/*" if place.table else "tables/*"
    try:
        folder: str = library.snapshot_download(
            place.repo,
            repo_type="dataset",
            revision=place.revision,
            allow_patterns=[wanted],
            endpoint=_endpoint(),
        )
    except Exception as error:  # the errors of its HTTP client too, whichever that is
        raise DataError(f"{place}: cannot be fetched: {_reason(error)}") from None
    return Path(folder)


def send(folder: Path, place: Place, message: str) -> str:
    """Make one commit of all files of a folder; returns the address of the commit.

    Files of an earlier commit below `OURS` that are no longer there are taken away by it.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        DataError: the hub refuses, or does not confirm; nothing of it is then half there.
    """
    library = _library(f"--to {place}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    api = library.HfApi(endpoint=_endpoint())
    try:
        api.create_repo(place.repo, repo_type="dataset", exist_ok=True)
        there = api.list_repo_files(place.repo, repo_type="dataset", revision=place.revision)
        stale = [name for name in there if name.startswith(OURS) and name not in names]
        commit = api.create_commit(
            place.repo,
            [
                *(library.CommitOperationDelete(path_in_repo=name) for name in stale),
                *(
                    library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path))
                    for name, path in zip(names, files, strict=True)
                ),
            ],
            commit_message=message,
            repo_type="dataset",
            revision=place.revision,
        )
    except Exception as error:  # the errors of its HTTP client too, whichever that is
        raise DataError(
            f"{place}: not published: {_reason(error)}; a commit is there whole or not at all, "
            f"and {folder} is kept: try again"
        ) from None
    return str(commit.commit_url)


def _library(needed_for: str) -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise MissingDependencyError("huggingface_hub", "hub", needed_for) from None
    return huggingface_hub


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _reason(error: Exception) -> str:
    """Return the status that a hub answered, or what was raised, and its first line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    said = f"the hub answers {status}" if status else type(error).__name__
    return f"{said}: {first.strip()}"
