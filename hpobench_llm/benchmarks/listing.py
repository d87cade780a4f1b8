"""Benchmarks as people read them: kind, size, fidelities, metrics, axes."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Required, TypedDict

from hpobench_llm.benchmarks.catalogue import TOYS
from hpobench_llm.errors import IntegrityError
from hpobench_llm.locate import list_artefacts
from hpobench_llm.measured import DENSE
from hpobench_llm.metrics import objective_of
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import density_of

_NAME = 16  # columns of a name; a longer one has a line of its own


class Listed(TypedDict, total=False):
    """A benchmark's entry, as plain JSON values; a closed form has its kinds alone."""

    kinds: Required[list[str]]
    version: str
    axes: list[str]
    configurations: int
    density: str
    runs: int
    fidelities: dict[str, list[int | float]]
    objective: str
    metrics: list[str]
    folder: str


def columns() -> tuple[dict[str, Listed], list[IntegrityError]]:
    """Return the entry of each benchmark, as plain JSON values, and the tables' errors."""
    entries: dict[str, Listed] = {}
    errors = []
    fitted = list_artefacts("surrogates")
    for name, folder in list_artefacts("tables").items():
        try:
            entries[name] = _table(Table.load(folder), folder, surrogate=name in fitted)
        except IntegrityError as error:
            errors.append(error)
    entries |= {name: {"kinds": ["closed form, for tests"]} for name in TOYS}
    return entries, errors


def _table(table: Table, folder: Path, *, surrogate: bool) -> Listed:
    metadata = table.metadata
    runs = table.frame.drop_duplicates(["config_id", "seed"])
    return {
        "kinds": ["table", *(["surrogate"] if surrogate else [])],
        "version": metadata.version,
        "axes": list(metadata.space.names),
        "configurations": int(runs["config_id"].nunique()),
        "density": density_of(table),
        "runs": len(runs),
        "fidelities": {axis.name: list(axis.values) for axis in metadata.fidelities},
        "objective": objective_of(metadata.metrics).name,
        "metrics": list(metadata.metrics),
        "folder": str(folder),
    }


def lines(benchmarks: Mapping[str, Listed], width: int) -> list[str]:
    """Return `columns` as text, no line wider than `width`."""
    text: list[str] = []
    for name, entry in benchmarks.items():
        head = f"  {name.ljust(_NAME)}  "
        indent = " " * (_NAME + 4)
        if len(name) > _NAME:
            text += wrap(name, width - 2, initial_indent="  ", subsequent_indent="  ")
            head = indent
        text += wrap(_words(entry), width, initial_indent=head, subsequent_indent=indent)
    return text


def _words(entry: Listed) -> str:
    first, *others = entry["kinds"]
    if "version" not in entry:
        return str(first)
    kinds = ", ".join([f"{first} {entry['version']}", *others])
    kind = DENSE if entry["density"].startswith(DENSE) else entry["density"].partition(":")[0]
    fidelities = [f"{len(values)} {axis}" for axis, values in entry["fidelities"].items()]
    more = len(entry["metrics"]) - 1
    return (
        f"{kinds}; {entry['runs']} runs of {entry['configurations']} "
        f"configurations, {kind}; fidelities: {', '.join(fidelities) or 'none'}; metrics: "
        f"{entry['objective']}{f' and {more} more' if more else ''}; axes: "
        f"{', '.join(entry['axes'])}"
    )
