"""Find tables, surrogates and campaigns by name: the user's own, or those of the package."""

import os
import tomllib
from contextlib import suppress
from pathlib import Path

from hpobench_llm.errors import UnknownNameError

_PACKAGE = Path(__file__).parent
_MARKERS = {"tables": ("table.json",), "surrogates": ("surrogate.json", "emulator.json")}


def shelves(stage: str) -> list[Path]:
    """Return the folders that hold artefacts of a stage (`tables`, `surrogates`).

    The folder that `HPOBENCH_LLM_DATA` names comes first. A wheel carries what is shipped inside
    the package; a checkout has it beside the package.
    """
    own = os.environ.get("HPOBENCH_LLM_DATA")
    users = [Path(own), Path(own) / stage] if own else []
    return [*users, _PACKAGE / "_data" / stage, _PACKAGE.parent / stage]


def shipped(name: str) -> Path:
    """Return a file or folder that comes with the package, as `collect/bases/tiny`."""
    # A wheel has it inside the package, a checkout beside it.
    carried = _PACKAGE / "_data" / name
    return carried if carried.exists() else _PACKAGE.parent / name


def find_campaign(name: str) -> Path:
    """Return the campaign file that a table of this name was collected with.

    It is searched by its `name` below `collect` in the working folder, and among those that come
    with the package.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    campaigns: dict[str, Path] = {}
    for shelf in (Path("collect"), _PACKAGE / "_data" / "collect", _PACKAGE.parent / "collect"):
        for path in sorted(shelf.rglob("*.toml")):
            campaigns.setdefault(_stated_name(path), path)
    campaigns.pop("", None)
    if name not in campaigns:
        raise UnknownNameError("campaign", name, campaigns)
    return campaigns[name]


def _stated_name(path: Path) -> str:
    """Return the name of a campaign; empty for a file that is none."""
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("name", ""))
    except (OSError, ValueError):
        return ""


def list_artefacts(stage: str) -> dict[str, Path]:
    """Return the folder of every artefact by name; of two with one name, the first counts."""
    folders: dict[str, Path] = {}
    for shelf in shelves(stage):
        for path in sorted(p for marker in _MARKERS[stage] for p in shelf.glob(f"*/{marker}")):
            folders.setdefault(path.parent.name, path.parent)
    return folders


def find_artefact(stage: str, name: str | Path) -> Path:
    """Return the folder of an artefact given by name or by path.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    with suppress(OSError, TypeError, ValueError):  # it may be anything but a path
        if any((Path(name) / marker).is_file() for marker in _MARKERS[stage]):
            return Path(name)
    folders = list_artefacts(stage)
    if str(name) not in folders:
        raise UnknownNameError(stage.removesuffix("s"), str(name), folders)
    return folders[str(name)]
