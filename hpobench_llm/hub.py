"""Tables on a hub of data sets: `hf://org/name`, fetched and sent through huggingface_hub.

All files are sent in one commit: the hub has all of them, or none.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.errors import DataError, MissingDependencyError, shown

PREFIX = "hf://"
OURS = ("tables/", "studies/")  # folders of a repository that belong to us alone
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*"
_ADDRESS = re.compile(
    rf"hf://(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9._/-]+?))?(?:/(?P<table>{_PART}))?"
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of data sets, at a revision (or its newest), and a table in it, if named."""

    repo: str
    revision: str | None = None
    table: str = ""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repo}{revision}{f'/{self.table}' if self.table else ''}"


def repository_of(text: object) -> Repository | None:
    """Return the repository that a text names; None if it does not begin with `hf://`.

    Raises:
        DataError: it does, and is not `hf://org/name`, `hf://org/name@revision` or one of these
            with `/table`.
    """
    if not str(text).startswith(PREFIX):
        return None
    match = _ADDRESS.fullmatch(str(text))
    if not match:
        raise DataError(f"{shown(text)}: hf://org/name[@revision][/table] is expected")
    return Repository(match["repo"], match["revision"], match["table"] or "")


def fetch(repository: Repository) -> Path:
    """Return a folder with the tables of a repository, from the cache if it has them.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        DataError: there is no such repository, or it cannot be reached.
    """
    library = _library(f"{repository}")
    wanted = f"tables/{repository.table}/*" if repository.table else "tables/*"
    try:
        folder: str = library.snapshot_download(
            repository.repo,
            repo_type="dataset",
            revision=repository.revision,
            allow_patterns=[wanted],
            endpoint=_endpoint(),
        )
    except Exception as error:  # the errors of its HTTP client too, whichever that is
        raise DataError(f"{repository}: cannot be fetched: {_reason(error)}") from None
    return Path(folder)


def send(folder: Path, repository: Repository, message: str) -> str:
    """Make one commit of all files of a folder; returns the address of the commit.

    The commit removes files below `OURS` that an earlier one has and this folder lacks.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        DataError: the hub refuses, or does not confirm; nothing is then half sent.
    """
    library = _library(f"--to {repository}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    api = library.HfApi(endpoint=_endpoint())
    try:
        api.create_repo(repository.repo, repo_type="dataset", exist_ok=True)
        remote = api.list_repo_files(
            repository.repo, repo_type="dataset", revision=repository.revision
        )
        stale = [name for name in remote if name.startswith(OURS) and name not in names]
        commit = api.create_commit(
            repository.repo,
            [
                *(library.CommitOperationDelete(path_in_repo=name) for name in stale),
                *(
                    library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path))
                    for name, path in zip(names, files, strict=True)
                ),
            ],
            commit_message=message,
            repo_type="dataset",
            revision=repository.revision,
        )
    except Exception as error:  # the errors of its HTTP client too, whichever that is
        raise DataError(
            f"{repository}: not published: {_reason(error)}; a commit is there whole or not at "
            f"all, and {folder} is kept: try again"
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
    """Return the status that a hub answered, or the error's name, and its first line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    kind = f"the hub answers {status}" if status else type(error).__name__
    return f"{kind}: {first.strip()}"
