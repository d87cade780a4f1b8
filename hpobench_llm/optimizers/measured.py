"""What an optimizer's suggestions cost, as `benchmarks/suggestions.py` measured it.

The file lies in the package, an entry a name: `seconds` of `ask` and `tell` a trial, and all that
they depend on. They hold for the library version that was measured, and for no other.
"""

import json
from functools import cache
from pathlib import Path
from typing import TypedDict

from hpobench_llm.optimizers.entry import Entry

FILE = Path(__file__).with_name("suggestion_seconds.json")


class Measurement(TypedDict):
    """An entry of the file."""

    seconds: float
    most: float
    seeds: int
    trials: int
    workers: int
    threads: int
    benchmark: str
    objectives: int
    sources: list[str]
    library: dict[str, str | None]
    versions: dict[str, str]
    processor: str


@cache
def measurements() -> dict[str, Measurement]:
    """Return every measurement, by the optimizer's name; none where nothing was measured."""
    if not FILE.exists():
        return {}
    by_optimizer: dict[str, Measurement] = json.loads(FILE.read_text(encoding="utf-8"))
    return by_optimizer


def suggestion_seconds(name: str, entry: Entry) -> float | None:
    """Return the seconds a suggestion; None: not measured, or with another library version."""
    measurement = measurements().get(name)
    # Of another version it may cost something else.
    if measurement is None or measurement["library"] != {entry.distribution: entry.installed}:
        return None
    return float(measurement["seconds"])
