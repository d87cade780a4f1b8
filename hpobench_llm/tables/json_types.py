"""Check the types in a `table.json`, on which its readers rely: a stranger may have written it."""

from math import isfinite
from typing import Any

from hpobench_llm.tables.baselines import BASELINES, baselines_of
from hpobench_llm.tables.figures import FIGURES, check_figures
from hpobench_llm.tables.publication import DATA_NOTES, RETRAINING, Publication

_TEXTS = ("version", "description", "context", "licence")
_TYPES: dict[str, type] = {
    "space": list,
    "fidelities": list,
    "metrics": list,
    "seeds": list,
    "untrained": dict,
    "provenance": dict,
    "sha256": dict,
}
_IMPORTED_TYPES: dict[str, type] = {
    "importer": str,
    "date": str,
    "files": list,
    "notes": list,
    "flagged": list,
    "dropped": list,
}


def check_types(raw: Any) -> None:
    """Check that the values of a `table.json` have the types that its readers rely on.

    Raises:
        TypeError, KeyError, ValueError, OverflowError: a value has another type or is absent, or
            two entries have one name.
    """
    _expect(raw, dict.fromkeys(_TEXTS, str) | _TYPES)
    # An optional key is checked against a default that has the right type.
    _expect({"family": "", "task": {}} | raw, {"family": str, "task": dict})
    axes = [entry for entry in raw["space"] if not _is_simplex(entry)]
    # A simplex lists the names of its axes, and has no values of its own.
    for entry in filter(_is_simplex, raw["space"]):
        _expect(entry, {"name": str, "axes": list})
        _expect_all(entry["axes"], str)
    for entry in [*axes, *raw["fidelities"], *raw["metrics"]]:
        _expect(entry, {"name": str, "unit": str})
    provenance = raw["provenance"]
    Publication.of(provenance)
    for key in ("without_signal", DATA_NOTES):
        _expect({key: {}} | provenance, {key: dict})
        _expect_all(list(provenance.get(key, {}).values()), str)
    _expect({"defaults": {}, RETRAINING: ""} | provenance, {"defaults": dict, RETRAINING: str})
    _expect({BASELINES: [], FIGURES: []} | provenance, {BASELINES: list, FIGURES: list})
    baselines_of(provenance)
    check_figures(provenance.get(FIGURES, []))
    for entry in axes:
        if entry.get("kind") == "categorical":
            _expect_all(entry["values"], str)
        else:
            _numbers([entry[key] for key in ("low", "high") if key in entry])
            _numbers(entry.get("values", []))
    for entry in raw["fidelities"]:
        _numbers(entry["values"])
    for entry in raw["metrics"]:
        _numbers([entry["worst"], *(entry[key] for key in ("low", "high") if key in entry)])
        _expect({"stderr": ""} | entry, {"stderr": str})
    for key in ("fidelities", "metrics"):
        names = [entry["name"] for entry in raw[key]]
        if len(set(names)) < len(names) or not raw["metrics"]:
            raise ValueError(f"`{key}`: a metric, and each name once, are expected; got {names}")
    _numbers([*raw["seeds"], *raw["untrained"].values()])
    _expect_all(raw["seeds"], int)


def check_imported(imported: Any) -> None:
    """Check the types in an import's record.

    Raises:
        TypeError, KeyError: a value has another type, or is absent.
    """
    _expect(imported, _IMPORTED_TYPES)
    _expect_all(imported["notes"], str)
    for entry in [*imported["flagged"], *imported["dropped"]]:
        _expect(entry, {"count": int, "what": str, "reason": str})
    _expect_all(imported["files"], dict)


def check_columns(columns: Any) -> None:
    """Check the types in a table's columns.

    Raises:
        TypeError, KeyError: a value has another type, or is absent.
    """
    _expect({"columns": columns}, {"columns": dict})
    for entry in columns.values():
        _expect(entry, {"unit": str, "meaning": str})
        _expect({"measure": False} | entry, {"measure": bool})


def _is_simplex(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("kind") == "simplex"


def _expect(raw: Any, types: dict[str, type]) -> None:
    for key, kind in types.items():
        if not isinstance(raw, dict) or not isinstance(raw[key], kind):
            raise TypeError(f"`{key}` must be a {kind.__name__}")


def _expect_all(values: Any, kind: type) -> None:
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise TypeError(f"a list of {kind.__name__} is expected, got {values!r:.60}")


def _numbers(values: Any) -> None:
    if not isinstance(values, list) or any(isinstance(value, bool) for value in values):
        raise TypeError(f"a list of numbers is expected, got {values!r:.60}")
    if not all(isinstance(value, int | float) and isfinite(value) for value in values):
        raise TypeError(f"finite numbers are expected, got {values!r:.60}")
