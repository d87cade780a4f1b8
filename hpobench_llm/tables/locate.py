"""Find a table by name: in `HPOBENCH_LLM_DATA`, or among those that come with the package."""

import os
from pathlib import Path

from hpobench_llm.errors import UnknownNameError
from hpobench_llm.tables.schema import METADATA_FILE

_PACKAGE = Path(__file__).parents[1]


def shelves() -> list[Path]:
    """Return the folders that hold tables, the user's own first.

    A wheel carries the shipped tables inside the package; a checkout has them beside it.
    """
    own = os.environ.get("HPOBENCH_LLM_DATA")
    found = [Path(own)] if own else []
    return [*found, _PACKAGE / "_data" / "tables", _PACKAGE.parent / "tables"]


def list_tables() -> dict[str, Path]:
    """Return every sealed table by name; where a name stands twice, the first shelf wins."""
    found: dict[str, Path] = {}
    for shelf in shelves():
        for path in sorted(shelf.glob(f"*/{METADATA_FILE}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def find_table(name: str, where: str = "") -> Path:
    """Return the folder of a table given by name or by path.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    if (Path(name) / METADATA_FILE).is_file():
        return Path(name)
    tables = list_tables()
    if name not in tables:
        raise UnknownNameError("benchmark", name, tables, where)
    return tables[name]
