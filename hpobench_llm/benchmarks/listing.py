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

_NAME = 16  # columns of a name; what is longer has a line of its own


class Listed(TypedDict, total=False):
    """What is known of a benchmark, as plain JSON values; of a closed form its kinds alone."""

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
    """Return what is known of each benchmark, as plain JSON values, and the tables' errors."""
    found: dict[str, Listed] = {}
    errors = []
    fitted = list_artefacts("surrogates")
    for name, folder in list_artefacts("tables").items():
        try:
            found[name] = _table(Table.load(folder), folder, surrogate=name in fitted)
        except IntegrityError as error:
            errors.append(error)
    found |= {name: {"kinds": ["closed form, for tests"]} for name in TOYS}
    return found, errors


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
    found: list[str] = []
    for name, shown in benchmarks.items():
        head = f"  {name.ljust(_NAME)}  "
        indent = " " * (_NAME + 4)
        if len(name) > _NAME:
            found += wrap(name, width - 2, initial_indent="  ", subsequent_indent="  ")
            head = indent
        found += wrap(_said(shown), width, initial_indent=head, subsequent_indent=indent)
    return found


def _said(shown: Listed) -> str:
    first, *others = shown["kinds"]
    if "version" not in shown:
        return str(first)
    kinds = ", ".join([f"{first} {shown['version']}", *others])
    kind = DENSE if shown["density"].startswith(DENSE) else shown["density"].partition(":")[0]
    fidelities = [f"{len(values)} {axis}" for axis, values in shown["fidelities"].items()]
    more = len(shown["metrics"]) - 1
    return (
        f"{kinds}; {shown['runs']} runs of {shown['configurations']} "
        f"configurations, {kind}; fidelities: {', '.join(fidelities) or 'none'}; metrics: "
        f"{shown['objective']}{f' and {more} more' if more else ''}; axes: "
        f"{', '.join(shown['axes'])}"
    )
