"""Rows that a spec leaves out: by a filter on a column, or by their status. All are counted."""

from collections.abc import Mapping

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.generic.cells import Records, is_missing, short, text
from hpobench_llm.tables.importers.generic.column_specs import FilterSpec, StatusSpec
from hpobench_llm.tables.importers.generic.spec import ImportSpec
from hpobench_llm.tables.importers.imported import noted
from hpobench_llm.tables.provenance import Noted

Dropped = list[Noted]


def leave_out(records: Records, spec: ImportSpec) -> tuple[Records, Dropped]:
    """Return the rows to import, and an entry for each reason to leave some out.

    Raises:
        DataError: a status has no meaning in the spec, or no row is left.
    """
    dropped: Dropped = []
    for column, entry in spec.filters.items():
        kept = [row for row, cell in enumerate(records.columns[column]) if entry.keeps(cell)]
        records = _keep(records, kept, _reason(column, entry), dropped)
    if spec.status is not None:
        stated = statuses(records, spec.status)
        kept = [row for row, cell in enumerate(stated) if spec.status.values[cell] != "drop"]
        dropped_statuses = sorted(set(stated) - {stated[row] for row in kept})
        reason = f"their status is {' or '.join(map(repr, dropped_statuses))}"
        records = _keep(records, kept, reason, dropped)
    return records, dropped


def statuses(records: Records, spec: StatusSpec) -> list[str]:
    """Return the status that each row states; empty if it states none.

    Raises:
        DataError: the spec has no meaning for it.
    """
    cells = ["" if is_missing(c) else text(c) for c in records.columns[spec.column]]
    for row, cell in enumerate(cells):
        if cell not in spec.values:
            raise DataError(
                f"{records.where(row, spec.column)}: the status {short(cell)} has no meaning in "
                f"the spec; known: {', '.join(map(repr, spec.values))}"
            )
    return cells


def _keep(records: Records, kept: list[int], reason: str, dropped: Dropped) -> Records:
    if len(kept) == len(records):
        return records
    gone = sorted(set(range(len(records))) - set(kept))
    if not kept:
        raise DataError(f"{records.files[0]}: no row is left: all are left out because {reason}")
    dropped.append(noted("rows of the file", [records.place(row) for row in gone], reason))
    return records.only(kept)


def _reason(column: str, entry: FilterSpec) -> str:
    rules = _rules(entry)
    return f"`{column}` must be {' and '.join(f'{rule} {value}' for rule, value in rules.items())}"


def _rules(entry: FilterSpec) -> Mapping[str, str]:
    rules = {"one of": list(entry.only), "none of": list(entry.without)}
    shown = {rule: ", ".join(map(repr, values)) for rule, values in rules.items() if values}
    bounds = {"at least": entry.low, "at most": entry.high}
    return shown | {rule: f"{bound:g}" for rule, bound in bounds.items() if bound is not None}
