"""Where a result came from: the code's revision, the libraries, the machine."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict


class Revision(TypedDict):
    """A commit, None outside a checkout, and whether the package's code differs from it."""

    commit: str | None
    dirty: bool | None


def git_revision() -> Revision:
    """Return the commit of the checkout this package runs from, and whether it was changed.

    Outside a checkout (an installed wheel) `commit` is None. `dirty` is about the package's code
    alone: a table that is written elsewhere in the repository does not change the code that ran.
    """
    folder = Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    # An installed package may lie inside somebody else's repository.
    if commit is None or _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--", "."))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def versions(*distributions: str) -> dict[str, str]:
    """Return the versions of Python and of those distributions that are installed."""
    installed = {"python": platform.python_version()}
    for name in distributions:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def processor() -> str:
    """Return the processor's name, as far as the operating system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
