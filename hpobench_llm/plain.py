"""Types of plain data: JSON and TOML whose shape others define.

A record of ours has a type of its own, beside the class that writes it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Toml: TypeAlias = (
    "bool | int | float | str | date | datetime | time | Sequence[Toml] | Mapping[str, Toml]"
)
