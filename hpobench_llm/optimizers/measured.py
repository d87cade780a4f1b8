"""What an optimizer's suggestions cost, as `benchmarks/suggestions.py` measured it.

The file lies in the package, an entry a name: `seconds` of `ask` and `tell` a trial, and all that
they depend on. They hold for the library version that was measured, and for no other.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from hpobench_llm.optimizers.entry import Entry

FILE = Path(__file__).with_name("suggestion_seconds.json")


@cache
def measurements() -> dict[str, dict[str, Any]]:
    """Return every measurement, by the optimizer's name; none where nothing was measured."""
    if not FILE.exists():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def suggestion_seconds(name: str, entry: Entry) -> float | None:
    """Return the seconds a suggestion; None: not measured, or with another library version."""
    found = measurements().get(name)
    if found is None or found["library"] != {entry.distribution: entry.installed}:
        return None
    return float(found["seconds"])
