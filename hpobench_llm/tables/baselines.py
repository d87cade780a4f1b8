"""Baselines: what was measured beside a table's rows and is no configuration of its space.

A network that was pruned, say, beside a table of sub-networks: what a search has to beat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypedDict

BASELINES: Final = "baselines"  # the key of a table's provenance


class BaselineRecord(TypedDict):
    """A `Baseline` as plain JSON."""

    method: str
    what: str
    values: Mapping[str, int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One of the points of a method: what it is, and its metrics by the table's names."""

    method: str
    what: str
    values: Mapping[str, int | float]

    def to_json(self) -> BaselineRecord:
        """Return plain JSON values."""
        return {"method": self.method, "what": self.what, "values": dict(self.values)}

    @staticmethod
    def from_json(raw: Any) -> "Baseline":
        """Rebuild what `to_json` made.

        Raises:
            TypeError, KeyError: something is missing or not of its kind.
        """
        method, what, values = raw["method"], raw["what"], raw["values"]
        texts = all(isinstance(text, str) for text in (method, what, *values))
        if not texts or not all(map(_is_number, values.values())):
            raise TypeError(f"a method, what it is, and finite numbers are expected: {raw!r:.80}")
        return Baseline(method=method, what=what, values=dict(values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def baselines_of(provenance: Mapping[str, Any]) -> tuple[Baseline, ...]:
    """Return the baselines that a table's provenance holds, none of most tables."""
    return tuple(map(Baseline.from_json, provenance.get(BASELINES, ())))
