"""Which rows are one run, how each run ended, what it cost, and which seed it is.

The frames here have the columns of `curves.checkpoints`, and `TASK`, `CONFIG` (integers, one for
each distinct task and configuration), `FILE_SEED` (an integer for each combination of the seed
columns) and `STATED` (the status that the file states, or empty). Columns that begin with `~`
never reach the table, so that they cannot overwrite a user's column.
"""

import numpy as np
import pandas as pd

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.generic.cells import Records, is_blank, text
from hpobench_llm.tables.importers.generic.curves import ROW
from hpobench_llm.tables.importers.generic.spec import ADDED, HIDDEN, PRUNED, ImportSpec
from hpobench_llm.tables.importers.imported import noted
from hpobench_llm.tables.provenance import Noted

TASK, CONFIG, FILE_SEED = f"{HIDDEN}task", f"{HIDDEN}config", f"{HIDDEN}file_seed"
STATED, REPEAT, RUN = f"{HIDDEN}stated", f"{HIDDEN}repeat", f"{HIDDEN}run"
_LABEL, _LEVEL = f"{HIDDEN}label", f"{HIDDEN}level"
_KEY = [TASK, CONFIG, FILE_SEED]
SEED, STATUS = "seed", "status"


def identify(frame: pd.DataFrame, records: Records, spec: ImportSpec) -> pd.DataFrame:
    """Add `run` and order the rows by run and fidelity.

    Raises:
        DataError: rows of one run contradict each other, or two rows measure one cell and the
            spec does not call them repeats.
    """
    axes = list(spec.fidelity_names.values())
    if spec.run or spec.layout != "rows":
        names = _run_names(records, spec)
        label = pd.Series([names[row] for row in frame[ROW]], index=frame.index)
        if spec.run and spec.layout != "rows":
            _refuse(frame, records, label[~frame.duplicated(ROW)].duplicated(), "name one run")
        for name in _KEY:
            _refuse(
                frame,
                records,
                frame[name] != frame.groupby(label)[name].transform("first"),
                "contradict each other: one run, but another " + _WORDS[name],
            )
        repeated = frame.assign(**{_LABEL: label}).duplicated([_LABEL, *axes])
        _refuse(frame, records, repeated, "measure one run at one checkpoint", label)
        groups = frame.assign(**{_LABEL: label}).drop_duplicates(_LABEL)
        repeat = groups.groupby(_KEY).cumcount()
        repeat.index = pd.Index(groups[_LABEL])
        frame[REPEAT] = label.map(repeat).to_numpy()
    else:
        frame[REPEAT] = frame.groupby([*_KEY, *axes]).cumcount()
    if spec.duplicates == "error" and (frame[REPEAT] > 0).any():
        _refuse_repeat(frame, records, spec)
    frame[RUN] = frame.groupby([*_KEY, REPEAT], sort=False).ngroup()
    return frame.sort_values([RUN, *axes], kind="stable", ignore_index=True)


_WORDS = {TASK: "task", CONFIG: "configuration", FILE_SEED: "seed"}


def _run_names(records: Records, spec: ImportSpec) -> list[str]:
    if not spec.run:
        return [str(row) for row in range(len(records))]
    for row, cell in enumerate(records.columns[spec.run]):
        if is_blank(cell):
            raise DataError(f"{records.where(row, spec.run)}: is empty; a run's name is expected")
    return [text(cell) for cell in records.columns[spec.run]]


def _refuse(
    frame: pd.DataFrame,
    records: Records,
    wrong: "pd.Series[bool]",
    fault: str,
    label: "pd.Series[str] | None" = None,
) -> None:
    if not wrong.any():
        return
    run = f" (run {label.iloc[_first(wrong)]})" if label is not None else ""
    where = records.where(_record(frame, wrong))
    raise DataError(f"{where}{run}: this row and an earlier one {fault}")


def _first(wrong: "pd.Series[bool]") -> int:
    return int(np.argmax(wrong.to_numpy()))


def _record(frame: pd.DataFrame, wrong: "pd.Series[bool]") -> int:
    """Return the record of the first row that is wrong."""
    return int(frame[ROW].to_numpy()[_first(wrong)])


def _refuse_repeat(frame: pd.DataFrame, records: Records, spec: ImportSpec) -> None:
    axes = list(spec.fidelity_names.values())
    second = frame[frame[REPEAT] > 0].iloc[0]
    same = (frame[_KEY] == second[_KEY]).all(axis=1)
    earlier = frame[same & (frame[REPEAT] == second[REPEAT] - 1)]
    level = earlier[(earlier[axes] == second[axes]).all(axis=1)] if axes else earlier
    first = (level if len(level) else earlier).iloc[0]
    metrics = list(spec.metric_names.values())
    equal = [pd.isna(first[name]) or first[name] == second[name] for name in metrics]
    verb = "repeats" if all(equal) else "contradicts"
    earlier_place = records.place(int(first[ROW]))
    raise DataError(
        f"{records.where(int(second[ROW]))}: {verb} {records.unit} {earlier_place}: the same "
        "configuration, seed and fidelity; set duplicates = 'repeats' if they are runs of their "
        "own, name the column that tells them apart (`run`, `seed`, `task`), or remove one"
    )


def add_statuses(frame: pd.DataFrame, spec: ImportSpec) -> pd.DataFrame:
    """Turn missing and non-finite values into statuses, and infinities into NaN.

    The first metric: not finite means diverged; missing means failed or, if the run has a later
    value, not measured there. Other metrics: infinity or NaN in the file means diverged too,
    missing means not measured.
    """
    diverged = pd.Series(False, index=frame.index)
    failed = pd.Series(False, index=frame.index)
    last = ~frame.duplicated(RUN, keep="last")
    for number, (column, metric) in enumerate(spec.metrics.items()):
        name = spec.metric_names[column]
        values = frame[name]
        diverged |= np.isinf(values)
        meaning = metric.missing or ("failed" if number == 0 else "not_measured")
        missing = values.isna()
        if not metric.missing:
            # From the end backwards: whether a later row of the run has a value.
            later = values.notna()[::-1].groupby(frame[RUN][::-1]).cummax()[::-1]
            missing &= ~later
        if metric.per_run:
            missing &= last
        failed |= missing & (meaning == "failed")
        diverged |= missing & (meaning == "diverged")
        frame[name] = values.where(~np.isinf(values))
        if metric.stderr:
            frame[metric.stderr] = frame[metric.stderr].where(~np.isinf(frame[metric.stderr]))
    stated = frame[STATED].where((spec.layout == "rows") | last, "")
    measured = np.select([diverged, failed], ["diverged", "failed"], default="ok")
    frame[STATUS] = stated.where(~stated.isin(["", "ok", PRUNED]), measured)
    return frame


def leave_out_pruned(
    frame: pd.DataFrame, records: Records, spec: ImportSpec
) -> tuple[pd.DataFrame, list[Noted]]:
    """Leave out the pruned runs without any value for the table.

    If a table has no fidelity, or keeps only the last row, these are all pruned runs: the value at
    which a run was given up is not that of a run in full.
    """
    stated = (frame[STATED] == PRUNED).groupby(frame[RUN]).transform("any")
    if spec.fidelities and spec.keep == "all":
        valued = frame[list(spec.metric_names.values())].notna().any(axis=1)
        stated &= ~valued.groupby(frame[RUN]).transform("any")
    if not stated.any():
        return frame, []
    rows = frame.loc[stated, ROW].drop_duplicates()
    gone = noted(
        "rows of the file",
        [records.place(int(row)) for row in rows],
        "their runs were pruned before anything that the table could hold was measured",
    )
    return frame[~stated].reset_index(drop=True), [gone]


def add_costs(frame: pd.DataFrame, records: Records, spec: ImportSpec) -> pd.DataFrame:
    """Turn every cost into the cost of a run so far at each row; unknown is NaN."""
    last = ~frame.duplicated(RUN, keep="last")
    for column, cost in spec.costs.items():
        values, groups = frame[cost.name], frame.groupby(RUN)[cost.name]
        if cost.counts == "since_last":
            # A sum over an unknown part is unknown from there on.
            complete = values.notna().groupby(frame[RUN]).cummin()
            frame[cost.name] = groups.cumsum().where(complete)
        elif cost.counts.startswith("whole_run"):
            total = groups.transform("last")
            wrong = values.notna() & (values != total)
            if wrong.any():
                raise DataError(
                    f"{records.where(_record(frame, wrong), column)}: the cost of a whole run "
                    "differs within the run; is it 'so_far' or 'since_last'?"
                )
            if cost.counts == "whole_run" or not spec.fidelities:
                frame[cost.name] = total.where(last)
            else:
                (axis,) = spec.fidelity_names.values()
                share = frame[axis] / frame.groupby(RUN)[axis].transform("last")
                frame[cost.name] = total * share
    return frame


def end_runs(
    frame: pd.DataFrame, records: Records, spec: ImportSpec
) -> tuple[pd.DataFrame, list[Noted], list[str]]:
    """Apply `keep` and `short_curves`; return the frame, what was dropped, and notes.

    A run that broke stays broken: at the checkpoints after its end it gets rows with its status
    and the cost of its end, without values. No value is ever filled forward.

    Raises:
        DataError: a run ends early and the spec calls that an error.
    """
    frame[ADDED] = False
    if len(spec.fidelities) != 1:
        return frame, [], []
    (axis,) = spec.fidelity_names.values()
    last = ~frame.duplicated(RUN, keep="last")
    if spec.keep == "last":
        return frame[last].reset_index(drop=True), [], [f"Of each run the last {axis} alone."]
    ends = frame[last]
    short = ends[axis] < ends.groupby(TASK)[axis].transform("max")
    pruned = (frame[STATED] == PRUNED).groupby(frame[RUN]).any()[ends[RUN]].to_numpy()
    sound = short & (ends[STATUS] == "ok") & ~pruned
    dropped: list[Noted] = []
    notes: list[str] = []
    if sound.any() and spec.short_curves == "error":
        raise DataError(
            f"{records.where(_record(ends, sound))}: the run ends at {axis} "
            f"{ends[axis].to_numpy()[_first(sound)]:g}, before others; `short_curves` in the spec "
            "can say what that means"
        )
    if sound.any() and spec.short_curves == "drop":
        places = [records.place(int(row)) for row in ends.loc[sound, ROW]]
        dropped.append(noted("runs of the file", places, f"they end before the last {axis}"))
        frame = frame[~frame[RUN].isin(ends.loc[sound, RUN])]
    elif sound.any() and spec.short_curves != "unmeasured":
        ends.loc[sound, STATUS] = spec.short_curves
        notes.append(
            f"{int(sound.sum())} runs end before the last {axis} without saying why: "
            f"{spec.short_curves} at the later checkpoints, as the spec says."
        )
    elif sound.any():
        reach = int(((ends[STATUS] == "ok") & ~short).sum())
        broke = int((ends[STATUS] != "ok").sum())
        notes.append(
            f"{int(sound.sum())} runs end ok before the last {axis}; nothing is known of them "
            f"beyond. In full there are {reach} sound runs and all {broke} that broke; "
            '`keep = "last"` would compare each run at its own end.'
        )
    if (pruned & short).any():
        notes.append(
            f"{int((pruned & short).sum())} runs were pruned: ok as far as they went, unknown "
            "beyond."
        )
    broken = ends[(ends[STATUS] != "ok") & short]
    added = _after_end(frame, broken, axis, spec)
    if len(added):
        notes.append(
            f"{added[RUN].nunique()} runs that broke have rows without values at the later "
            f"checkpoints, marked {ADDED}."
        )
        frame = pd.concat([frame, added], ignore_index=True)
    return frame.reset_index(drop=True), dropped, notes


def _after_end(
    frame: pd.DataFrame, broken: pd.DataFrame, axis: str, spec: ImportSpec
) -> pd.DataFrame:
    levels = frame[[TASK, axis]].drop_duplicates().rename(columns={axis: _LEVEL})
    if len(broken) * levels.groupby(TASK).size().max() > spec.limits.rows:
        raise DataError(
            f"more than {spec.limits.rows} rows would be added for runs that broke, because their "
            f"{axis} values hardly meet; round {axis} first, or raise `limits.rows` in the spec"
        )
    added = broken.merge(levels, on=TASK)
    added = added[added[_LEVEL] > added[axis]].drop(columns=axis).rename(columns={_LEVEL: axis})
    values = list(spec.metric_names.values())
    values += [metric.stderr for metric in spec.metrics.values() if metric.stderr]
    added[values] = np.nan
    return added.assign(**{ADDED: True})


def add_seeds(frame: pd.DataFrame, seeds: list[int] | None) -> tuple[pd.DataFrame, list[str]]:
    """Add `seed`: the file's seed if it tells runs apart, or else the number of each repeat.

    `seeds` are the integers behind `FILE_SEED`; None if the file has no single column of integers.
    If fewer than half of the runs share their seed with another configuration, as when every run
    draws its own, a seed means nothing across configurations: `seed` then numbers the runs of each
    configuration.
    """
    runs = frame.drop_duplicates(RUN)
    if len(runs[FILE_SEED].unique()) > 1 and _shared(runs) < 0.5:
        order = runs.sort_values([TASK, CONFIG, FILE_SEED, REPEAT])
        numbers = order.groupby([TASK, CONFIG]).cumcount()
        frame[SEED] = frame[RUN].map(pd.Series(numbers.to_numpy(), index=order[RUN].to_numpy()))
        return frame, [
            "Hardly any two configurations share a seed of the file: `seed` numbers the runs of "
            "each configuration and is no random seed; the file's stands beside it."
        ]
    repeated = bool((frame[REPEAT] > 0).any())
    if seeds is not None and not repeated:
        frame[SEED] = frame[FILE_SEED].map(dict(enumerate(seeds)))
        return frame, []
    pairs = sorted(set(zip(frame[FILE_SEED], frame[REPEAT], strict=True)))
    numbering = {pair: number for number, pair in enumerate(pairs)}
    frame[SEED] = [numbering[pair] for pair in zip(frame[FILE_SEED], frame[REPEAT], strict=True)]
    if not repeated:
        return frame, []
    return frame, [
        "Runs of one configuration (and seed) are repeats: `seed` numbers them in the file's "
        "order and is no random seed."
    ]


def _shared(runs: pd.DataFrame) -> float:
    """Return the share of runs whose seed another configuration of the task has too."""
    if runs[CONFIG].nunique() < 2:
        return 1.0
    users = runs.groupby([TASK, FILE_SEED])[CONFIG].transform("nunique")
    return float((users > 1).mean())
