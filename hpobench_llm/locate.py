"""Find tables and surrogates by name: the user's own, or those that come with the package."""

import os
from contextlib import suppress
from pathlib import Path

from hpobench_llm.errors import UnknownNameError

_PACKAGE = Path(__file__).parent
_MARKERS = {"tables": "table.json", "surrogates": "surrogate.json"}


def shelves(stage: str) -> list[Path]:
    """Return the folders that hold artefacts of a stage (`tables`, `surrogates`).

    The folder that `HPOBENCH_LLM_DATA` names comes first. A wheel carries what is shipped inside
    the package; a checkout has it beside the package.
    """
    own = os.environ.get("HPOBENCH_LLM_DATA")
    found = [Path(own), Path(own) / stage] if own else []
    return [*found, _PACKAGE / "_data" / stage, _PACKAGE.parent / stage]


def list_artefacts(stage: str) -> dict[str, Path]:
    """Return the folder of every artefact by name; where a name stands twice, the first wins."""
    found: dict[str, Path] = {}
    for shelf in shelves(stage):
        for path in sorted(shelf.glob(f"*/{_MARKERS[stage]}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def find_artefact(stage: str, name: str | Path) -> Path:
    """Return the folder of an artefact given by name or by path.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    with suppress(OSError, TypeError, ValueError):  # it may be anything but a path
        if (Path(name) / _MARKERS[stage]).is_file():
            return Path(name)
    known = list_artefacts(stage)
    if str(name) not in known:
        raise UnknownNameError(stage.removesuffix("s"), str(name), known)
    return known[str(name)]
