"""How the runs of a table ended: counted for its card, and refused if none can be used."""

import pandas as pd

from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.tables.importers.generic import runs
from hpobench_llm.tables.importers.generic.cells import Records
from hpobench_llm.tables.importers.generic.curves import ROW
from hpobench_llm.tables.importers.generic.spec import ADDED, ImportSpec


def outcomes(
    frame: pd.DataFrame,
    fidelities: tuple[Fidelity, ...],
    records: Records,
    spec: ImportSpec,
    table: str,
) -> list[str]:
    """Return notes on how the runs ended, and on those that failed by an empty cell alone.

    Raises:
        DataError: no configuration has runs in full that all ended ok, so nothing can be compared.
    """
    ends = frame[~frame.duplicated(runs.RUN, keep="last")]
    full = frame
    for axis in fidelities:
        full = full[full[axis.name] == axis.full]
    ok = (full[runs.STATUS] == "ok").groupby(full[runs.CONFIG]).all()
    counts = ends[runs.STATUS].value_counts()
    ended = ", ".join(f"{count} {status}" for status, count in counts.items())
    silent = _silently_failed(frame, spec)
    if not ok.any():
        raise DataError(_hopeless(table, ended, full, silent, records, spec))
    notes = [
        f"Runs ended {ended}; {int(ok.sum())} of {frame[runs.CONFIG].nunique()} configurations "
        "ended ok in full for every seed."
    ]
    if len(silent):
        notes.append(
            f"{silent[runs.RUN].nunique()} runs have no `{next(iter(spec.metrics))}` and are not "
            f"said to have failed: they count as failed (the first: {_first(silent, records)})."
        )
    return notes


def _silently_failed(frame: pd.DataFrame, spec: ImportSpec) -> pd.DataFrame:
    """Return the rows that failed by an empty first metric, not because the file says so."""
    first = next(iter(spec.metric_names.values()))
    by_value = (frame[runs.STATUS] == "failed") & frame[first].isna() & ~frame[ADDED]
    return frame[by_value & frame[runs.STATED].isin(["", "ok"])]


def _first(rows: pd.DataFrame, records: Records) -> str:
    return f"{records.unit} {records.place(int(rows[ROW].iloc[0]))}"


def _hopeless(
    table: str,
    ended: str,
    full: pd.DataFrame,
    silent: pd.DataFrame,
    records: Records,
    spec: ImportSpec,
) -> str:
    begin = f"{table}: no configuration ended ok in full for every seed: runs ended {ended}"
    if len(silent):
        column = next(iter(spec.metrics))
        return (
            f"{begin}, {silent[runs.RUN].nunique()} of them failed because `{column}` is empty "
            f"(the first: {_first(silent, records)}); rows that are no runs, such as the parents "
            "of others, can be left out with `[filters.<column>]`, or `missing` of the metric can "
            "say what an empty cell means"
        )
    if not (full[runs.STATUS] == "ok").any():
        return (
            f"{begin}, none of them ok at the highest value of every fidelity; `keep = 'last'` "
            "would compare each run at its own end"
        )
    return f"{begin}; each has a run that did not"
