"""Any CSV file of tuning results as a proposed spec, which guesses the columns' roles.

A column's name tells losses and scores, seeds, seconds and steps. Any other column that varies is
a hyperparameter.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.generic.cells import number
from hpobench_llm.tables.importers.presets.proposal import (
    Proposal,
    Run,
    Section,
    Stated,
    free_names,
    hyperparameter,
    in_order,
    lacks,
    like_a_metric,
    like_a_seed,
    metric,
    refuse_without,
    seed_of,
    varying,
)

_STEPS = re.compile(r"(?:global_)?(?:step|epoch|iter|iteration|checkpoint)s?", re.I)
_SECONDS = re.compile(r"(?:.*_)?(?:seconds|secs|runtime|duration|wall_time|elapsed)(?:_s)?", re.I)
_LABELS = re.compile(r"(?:run_?)?(?:id|name|index|number|date|time|timestamp)|unnamed: 0|", re.I)
_LONGEST_CELL = 2**20


def propose_csv(file: Path) -> Proposal:
    """Return a proposal for a CSV file with a line of names first.

    Raises:
        DataError: it cannot be read, or holds no runs, no metric, or nothing that varies.
    """
    runs = _rows(file)
    columns = list(dict.fromkeys(column for run in runs for column in run))
    metrics = [c for c in columns if like_a_metric(c) and _numeric(runs, c)]
    changing = varying(runs, [c for c in columns if c not in metrics])
    seeds = [c for c in changing if like_a_seed(c)]
    seconds = [c for c in changing if _SECONDS.fullmatch(c) and _numeric(runs, c)][:1]
    labels = [c for c in changing if _LABELS.fullmatch(c)]
    steps = [c for c in changing if _STEPS.fullmatch(c) and _numeric(runs, c)][:1]
    axes = [c for c in changing if c not in (*seeds, *seconds, *labels, *steps)]
    refuse_without(runs, metrics, axes, file)
    names = free_names([*metrics, *axes], "", steps)
    sections = [
        hyperparameter(runs, c, [o for o in axes if o != c], _renamed(names, c)) for c in axes
    ]
    sections += [Section(key=("fidelities", c), values={"unit": f"{c}s"}) for c in steps]
    sections += [metric(c, names[c]) for c in in_order(metrics)]
    sections += [_cost(c, bool(steps)) for c in seconds]
    seed, notes = seed_of(runs, seeds)
    constant = [c for c in columns if c not in metrics and c not in changing]
    return Proposal(
        description=f"{len(runs)} rows of {file.name}.",
        source=file.name,
        runs=runs,
        settings={"duplicates": "repeats"} | seed,
        sections=sections,
        notes=[
            *notes,
            "Which columns are metrics, costs and seeds was guessed from their names.",
            *_left_out("Columns that never vary", constant),
            *_left_out("Columns that only number or name runs", labels),
        ],
    )


def _rows(file: Path) -> list[Run]:
    """Return the rows without their empty cells."""
    before = csv.field_size_limit(_LONGEST_CELL)  # of the process, so it is put back
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True, restkey="")
            return [
                {name: cell for name, cell in row.items() if name is not None and not lacks(cell)}
                for row in reader
            ]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _numeric(runs: Sequence[Run], column: str) -> bool:
    """Tell a column of numbers, some of which may be missing."""
    try:
        return any(number(run.get(column)) is not None for run in runs)
    except ValueError:
        return False


def _renamed(names: dict[str, str], column: str) -> Stated:
    return {"name": names[column]} if names[column] != column else {}


def _cost(column: str, curves: bool) -> Section:
    values = {"counts": "so_far" if curves else "whole_run"}
    return Section(key=("costs", column), values=values, comment="of seconds; see `unit`")


def _left_out(subject: str, columns: Sequence[str]) -> list[str]:
    return [f"{subject} are left out: {', '.join(columns)}."] if columns else []
