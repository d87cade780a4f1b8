"""Weights & Biases' exports as a proposed spec: the runs table, and histories of the runs.

The runs table is the CSV export of its page, or the one of the API's documentation, whose columns
`config` and `summary` hold dictionaries as Python writes them. A history is `run.history()` as
CSV, one file a run, named by the run's name or id.
"""

import ast
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpobench_llm.errors import DataError
from hpobench_llm.plain import Toml
from hpobench_llm.tables.importers.generic.cells import is_blank, number
from hpobench_llm.tables.importers.presets.proposal import (
    Proposal,
    Run,
    Section,
    free_names,
    hyperparameter,
    in_order,
    like_a_metric,
    like_a_seed,
    metric,
    refuse_without,
    seed_of,
    varying,
)

_STATES = {
    "finished": "ok",
    "failed": "failed",
    "crashed": "failed",
    "killed": "drop",
    "running": "drop",
    "preempted": "drop",
    "preempting": "drop",
    "pending": "drop",
}
_OF_THE_PAGE = (  # columns on the run itself, not on its configuration or results
    "name id state notes user tags created runtime sweep group job type hostname description "
    "commit github entity project path url agent updated heartbeat end time start time os python "
    "gpu type gpu count cpu count command host git"
)
_LONGEST_CELL = 2**20


def propose_wandb(runs_file: Path, histories: Path | None = None) -> Proposal:
    """Return a proposal for a table of runs, with their histories where a folder has them.

    Raises:
        DataError: a file is no such export.
    """
    rows = _csv(runs_file)
    split = bool(rows) and {"config", "summary"} <= set(rows[0])
    runs = [_split(row, runs_file, i) if split else _plain(row) for i, row in enumerate(rows, 2)]
    columns = list(dict.fromkeys(column for run in runs for column in run))
    logged = [c for c in columns if not c.startswith("run.")]
    measured = [c for c in logged if _measured(runs, c, split)]
    steps: list[str] = []
    if histories is not None:
        steps = _add_histories(runs, histories)
    ends = [c for c in measured if c.removeprefix("summary.") not in steps]
    metrics = in_order({*ends, *steps} - {"_runtime"})
    params = varying(runs, [c for c in logged if c not in measured and c not in steps])
    seeds = [c for c in params if like_a_seed(c.removeprefix("config."))]
    axes = [c for c in params if c not in seeds]
    refuse_without(runs, metrics, axes, runs_file)
    names = free_names(metrics, "summary.", ["step"])
    names |= free_names(axes, "config.", [*names.values(), "step"])
    sections = [
        hyperparameter(runs, c, [o for o in axes if o != c], {"name": names[c]}) for c in axes
    ]
    if steps:
        sections.append(Section(key=("fidelities", "step"), values={"unit": "steps"}))
    metrics.sort(key=lambda m: m not in steps)  # the main one is a curve where there are any
    sections += [metric(m, names[m], per_run=bool(steps) and m not in steps) for m in metrics]
    if any("run.state" in run for run in runs):
        values: dict[str, Toml] = {"column": "run.state", "values": _STATES}
        sections.append(Section(key=("status",), values=values))
    if "_runtime" in steps:
        sections.append(Section(key=("costs", "_runtime"), values={"counts": "so_far"}))
    elif any(not is_blank(run.get("run.runtime")) for run in runs):
        sections.append(Section(key=("costs", "run.runtime"), values={"counts": "whole_run"}))
    settings = {"duplicates": "repeats"} | ({"layout": "pairs"} if steps else {})
    seed, notes = seed_of(runs, seeds)
    settings |= seed
    constant = [c for c in logged if c not in metrics and c not in params]
    return Proposal(
        description=f"{len(runs)} runs of Weights & Biases.",
        source=f"Weights & Biases, {runs_file.name}",
        runs=runs,
        settings=settings,
        sections=sections,
        notes=[
            *notes,
            *([] if split else ["Which columns are metrics was guessed from their names."]),
            *(
                [f"Columns that never vary are left out: {', '.join(constant)}."]
                if constant
                else []
            ),
        ],
    )


def _csv(path: Path) -> list[dict[str, str]]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True, restkey="")
            return [{k: v for k, v in row.items() if k} for row in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _plain(row: dict[str, str]) -> Run:
    """Name the page's own columns `run.<name>`, and leave empty cells out."""
    own = _OF_THE_PAGE.split()
    return {
        f"run.{name.lower()}" if all(word in own for word in name.lower().split()) else name: cell
        for name, cell in row.items()
        if cell is not None and cell != ""
    }


def _split(row: dict[str, str], path: Path, line: int) -> Run:
    run = {f"run.{k.lower()}": v for k, v in row.items() if k not in ("config", "summary")}
    for column in ("config", "summary"):
        try:
            values = _python(ast.parse(row[column].strip(), mode="eval").body)
            if not isinstance(values, dict):
                raise ValueError("a dictionary is expected")
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}, row {line}: `{column}`: {reason}") from None
        run |= _flat(values, f"{column}.")
    return run


def _flat(values: Mapping[str, object], prefix: str) -> Run:
    flat: Run = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None and not str(key).startswith("_"):
            flat[f"{prefix}{key}"] = value
    return flat


def _python(node: ast.expr) -> Any:
    """Return the value of a literal as `repr` writes it, nan and inf too; nothing is run."""
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return node.value
        case ast.Name(id="nan" | "inf"):
            return float(node.id)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _python(operand)
            if isinstance(value, int | float):
                return -value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_python(part) for part in parts]
        case ast.Dict(keys=keys, values=values):
            return {
                str(_python(key)): _python(value)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
    raise ValueError("is no dictionary of plain values as Python writes it")


def _measured(runs: list[Run], column: str, split: bool) -> bool:
    """Tell whether a column is a metric: numbers, in `summary` or with the name of one."""
    if not (column.startswith("summary.") if split else like_a_metric(column)):
        return False
    try:
        return any(number(run.get(column)) is not None for run in runs)
    except ValueError:
        return False


def _add_histories(runs: list[Run], folder: Path) -> list[str]:
    """Add the curves of each run as pairs of step and value; return their columns."""
    names: dict[str, None] = {}
    for run in runs:
        labels = [str(run[key]) for key in ("run.name", "run.id") if key in run]
        # The last part alone: a run's name must not lead out of the folder.
        files = [folder / f"{Path(label).name}.csv" for label in labels]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise DataError(f"{folder}: has no history {' or '.join(labels) or '?'} with .csv")
        for number_of_row, row in enumerate(_csv(file)):
            step = row.get("_step") or row.get("step") or row.get("Step") or str(number_of_row)
            for name, cell in row.items():
                if name in ("_step", "_timestamp", "step", "Step") or not _is_point(cell):
                    continue
                if not isinstance(run.get(name), list):
                    run[name] = []
                    names[name] = None
                run[name].append([step, cell])
    for run in runs:
        run |= {name: [] for name in names if not isinstance(run.get(name), list)}
    return list(names)


def _is_point(cell: str | None) -> bool:
    """Tell a number: a cell is empty where another thing was logged, a text for a picture."""
    try:
        return number(cell) is not None
    except ValueError:
        return False
