"""MLflow's runs as a proposed spec: `search_runs()` as CSV, an `mlruns` folder or its database.

They are read as files, so that MLflow need not be installed; versions 2 and 3 are known.
"""

import csv
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from hpobench_llm.errors import DataError
from hpobench_llm.plain import Toml
from hpobench_llm.tables.importers.presets.proposal import (
    Proposal,
    Run,
    Section,
    free_names,
    hyperparameter,
    in_order,
    like_a_seed,
    metric,
    refuse_without,
    seed_of,
    varying,
)

_PARAMS, _METRICS = "params.", "metrics."
_STATES = {
    "FINISHED": "ok",
    "FAILED": "failed",
    "KILLED": "drop",
    "RUNNING": "drop",
    "SCHEDULED": "drop",
}
_FILE_STATES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_PARENT = "mlflow.parentRunId"


def propose_mlflow(source: Path) -> Proposal:
    """Return a proposal for the runs of a CSV file, a database or an `mlruns` folder.

    Raises:
        DataError: it is none of them, or holds no runs.
    """
    if source.is_dir():
        runs = list(_of_folder(source))
    elif not source.is_file():
        raise DataError(f"{source}: no such file or folder")
    else:
        with source.open("rb") as stream:
            database = stream.read(15) == b"SQLite format 3"
        runs = _of_database(source) if database else _of_csv(source)
    return _proposal(runs, source)


def _proposal(runs: list[Run], source: Path) -> Proposal:
    parents = {run["parent"] for run in runs} - {""}
    for run in runs:
        run["is_parent"] = run["run_id"] in parents
    own = [run for run in runs if not run["is_parent"]]
    columns = list(dict.fromkeys(column for run in runs for column in run))
    params = varying(own, [c for c in columns if c.startswith(_PARAMS)])
    seeds = [c for c in params if like_a_seed(c.removeprefix(_PARAMS))]
    axes = [c for c in params if c not in seeds]
    metrics = in_order(c for c in columns if c.startswith(_METRICS))
    refuse_without(own, metrics, axes, source)
    curves = any(isinstance(run.get(m), list) and len(run[m]) > 1 for run in own for m in metrics)
    if not curves:
        for run in runs:
            run |= {m: run[m][-1][1] for m in metrics if isinstance(run.get(m), list)}
    else:
        for run in runs:
            run |= {m: run.get(m, []) for m in metrics}
    names = free_names(metrics, _METRICS, ["step"])
    names |= free_names(axes, _PARAMS, [*names.values(), "step"])
    sections = [
        hyperparameter(own, c, [o for o in axes if o != c], {"name": names[c]}) for c in axes
    ]
    if curves:
        sections.append(Section(key=("fidelities", "step"), values={"unit": "steps"}))
    sections += [metric(m, names[m]) for m in metrics]
    sections.append(Section(key=("status",), values={"column": "status", "values": _STATES}))
    sections.append(Section(key=("costs", "seconds"), values={"counts": "whole_run"}))
    settings: dict[str, Toml] = {"run": "run_id", "duplicates": "repeats"}
    settings |= {"layout": "pairs"} if curves else {}
    seed, notes = seed_of(own, seeds)
    settings |= seed
    if len({run["experiment"] for run in runs}) > 1:
        settings["task"] = "experiment"
    if parents:
        sections.append(
            Section(
                key=("filters", "is_parent"),
                values={"without": ["true"]},
                comment="a run with runs below it measured nothing itself",
            )
        )
    fixed = [c.removeprefix(_PARAMS) for c in columns if c.startswith(_PARAMS) and c not in params]
    if fixed:
        notes.append(f"Parameters that never vary are left out: {', '.join(fixed)}.")
    return Proposal(
        description=f"{len(own)} MLflow runs.",
        source=f"MLflow, {source.name}",
        runs=runs,
        settings=settings,
        sections=sections,
        notes=notes,
    )


def _of_csv(path: Path) -> list[Run]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    if rows and "run_id" not in rows[0]:
        raise DataError(f"{path}: has no column `run_id`; is it search_runs() of MLflow as CSV?")
    return [
        {
            "run_id": row["run_id"],
            "experiment": row.get("experiment_id", ""),
            "status": row.get("status", ""),
            "parent": row.get(f"tags.{_PARENT}", ""),
            "name": row.get("tags.mlflow.runName", ""),
            "seconds": _between(row.get("start_time", ""), row.get("end_time", "")),
        }
        | {k: v for k, v in row.items() if k and k.startswith((_PARAMS, _METRICS)) and v != ""}
        for row in rows
    ]


def _between(start: str, end: str) -> float | None:
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _of_database(path: Path) -> list[Run]:
    try:
        # Read-only, since MLflow may be writing to it.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return _of_tables(database)
    except (sqlite3.Error, ValueError, TypeError) as error:  # SQLite keeps any type in a column
        raise DataError(f"{path}: cannot be read as MLflow's database: {error}") from None


def _of_tables(database: sqlite3.Connection) -> list[Run]:
    runs: dict[str, Run] = {}
    query = (
        "SELECT run_uuid, runs.name, status, start_time, end_time, experiments.name FROM runs "
        "JOIN experiments USING (experiment_id) WHERE runs.lifecycle_stage = 'active' "
        "ORDER BY start_time, run_uuid"
    )
    for run_id, name, status, start, end, experiment in database.execute(query):
        runs[run_id] = _run(run_id, name, status, start, end, experiment)
    for key, value, run_id in database.execute("SELECT key, value, run_uuid FROM params"):
        if run_id in runs:
            runs[run_id][f"{_PARAMS}{key}"] = value
    points = database.execute(
        "SELECT key, CASE WHEN is_nan THEN 'nan' ELSE value END, run_uuid, step FROM metrics "
        "ORDER BY step, timestamp"
    )
    for key, value, run_id, step in points:
        if run_id in runs:
            _add_point(runs[run_id], key, step, value)
    tags = database.execute("SELECT value, run_uuid FROM tags WHERE key = ?", (_PARENT,))
    for value, run_id in tags:
        if run_id in runs:
            runs[run_id]["parent"] = value
    return list(runs.values())


def _of_folder(folder: Path) -> Iterator[Run]:
    """Read the files `<experiment>/<run>/{meta.yaml, params/*, metrics/*, tags/*}`."""
    for meta in sorted(folder.glob("*/*/meta.yaml")):
        try:
            fields = _fields(meta)
            if fields.get("lifecycle_stage", "active") != "active":
                continue
            run = _run(
                fields.get("run_id", meta.parent.name),
                fields.get("run_name", ""),
                _FILE_STATES.get(fields.get("status", ""), fields.get("status", "")),
                _milliseconds(fields.get("start_time")),
                _milliseconds(fields.get("end_time")),
                _fields(meta.parent.parent / "meta.yaml").get("name", meta.parent.parent.name),
            )
            for file in _files(meta.parent / "params"):
                name = file.relative_to(meta.parent / "params").as_posix()
                run[f"{_PARAMS}{name}"] = file.read_text(encoding="utf-8")
            for file in _files(meta.parent / "metrics"):
                name = file.relative_to(meta.parent / "metrics").as_posix()
                for line in file.read_text(encoding="utf-8").splitlines():
                    _, value, *step = line.split()
                    _add_point(run, name, int(step[0]) if step else 0, value)
            parent = meta.parent / "tags" / _PARENT
            run["parent"] = parent.read_text(encoding="utf-8").strip() if parent.is_file() else ""
        except (OSError, ValueError) as error:
            raise DataError(f"{meta.parent}: cannot be read as a run of MLflow: {error}") from None
        yield run


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fields(path: Path) -> dict[str, str]:
    """Return the plain `key: value` lines of a YAML file that MLflow wrote."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (re.fullmatch(r"(\w+): *(.*)", line) for line in lines)
    return {match[1]: match[2].strip("'\"") for match in pairs if match}


def _milliseconds(field: str | None) -> int | None:
    return int(field) if field and field.isdigit() else None


def _run(
    run_id: str, name: str, status: str, start: int | None, end: int | None, experiment: str
) -> Run:
    return {
        "run_id": run_id,
        "experiment": experiment,
        "status": status,
        "parent": "",
        "name": name,
        "seconds": None if start is None or end is None else (end - start) / 1000,
    }


def _add_point(run: Run, key: str, step: int, value: object) -> None:
    """Add a point to a curve; a step that was logged again counts as last logged."""
    curve = run.setdefault(f"{_METRICS}{key}", [])
    if curve and curve[-1][0] == step:
        curve.pop()
    curve.append([step, value if isinstance(value, float | int) else str(value)])
