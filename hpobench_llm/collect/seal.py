"""Seal a complete ledger into a table."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa

from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.columns import PROVENANCE, RunColumn
from hpobench_llm.collect.families import family_of
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.record import Row, RunRecord
from hpobench_llm.collect.sealable import check_sealable
from hpobench_llm.errors import LedgerError, shown
from hpobench_llm.tables.draft import Draft
from hpobench_llm.tables.provenance import TableProvenance
from hpobench_llm.tables.publication import DATA_NOTES, PUBLICATION, RETRAINING
from hpobench_llm.tables.table import ITEM_COLUMNS, Table
from hpobench_llm.tables.worth import without_signal

PROSE = (PUBLICATION, RETRAINING, DATA_NOTES)  # the parts of a provenance for readers alone
_ITEM_TYPES = {"value": "double[pyarrow]", "tokens": "int64[pyarrow]"}


def seal(campaign: Campaign, ledger: Ledger, folder: Path, *, partial: bool = False) -> Table:
    """Write `table.parquet`, `table.json` and `CARD.md` from what the ledger holds.

    Runs that keep the values of single items give `examples.parquet` too. With `partial` the runs
    that are there make the table, however many are missing; it says so, in its version too:
    `0.3.0+partial.656`. A score without signal stays a column and is no metric.

    Raises:
        LedgerError: runs are missing (without `partial`), or all of them, or a record holds a
            value that has no column.
        SpecError: no table can be made of them (see `check_sealable`).
    """
    runs = campaign.runs()
    present = [run for run in runs if run.run_id in ledger.records]
    missing = [run.run_id for run in runs if run.run_id not in ledger.records]
    header = ledger.header()
    if header is None or not present or (missing and not partial):
        raise LedgerError(
            f"{ledger.location}: {len(missing)} of {len(runs)} runs are missing "
            f"({', '.join(missing[:1]) or 'and campaign.json'}); the table cannot be sealed yet"
        )
    check_sealable(campaign, ledger.location, header.untrained)
    records = [ledger.records[run.run_id] for run in present]
    try:
        draft = _draft(campaign, ledger, header, records, missing=len(missing))
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise LedgerError(
            f"{ledger.location}: a run, or campaign.json, fits its sum and holds what no "
            f"collector of this kind of campaign writes: {shown(error)}"
        ) from error
    return _without_silent_scores(draft).checked().seal(folder)


def _draft(
    campaign: Campaign, ledger: Ledger, header: Header, records: list[RunRecord], *, missing: int
) -> Draft:
    family = family_of(campaign)
    columns = (*family.columns(campaign, header.untrained), *PROVENANCE)
    frame = _frame(records, columns, family.priced(ledger.solo), ledger.location)
    return Draft(
        name=campaign.name,
        version=f"{campaign.version}+partial.{len(records)}" if missing else campaign.version,
        description=campaign.description,
        context=campaign.context,
        licence=campaign.licence,
        space=campaign.space,
        fidelities=(campaign.fidelity,),
        metrics=family.metrics(campaign, header, frame),
        rows=frame,
        columns={column.name: column.described() for column in columns},
        untrained=header.untrained,
        provenance=_provenance(campaign, header, records, frame, missing),
        examples=_examples(records, header, ledger.location)
        if campaign.per_example_runs
        else None,
        family=campaign.family,
        task=campaign.task,
    )


def _without_silent_scores(draft: Draft) -> Draft:
    """Return a draft whose scores tell configurations apart; the others stay as columns."""
    checked = draft.checked()
    # Whether a score has a signal is asked of a table, so the draft is checked twice.
    silent = without_signal(Table(checked.metadata, checked.frame, Path(draft.name)))
    scores = {m.name for m in draft.metrics if m.role == "score"}
    silent = {name: why for name, why in silent.items() if name in scores}
    if not silent:
        return draft
    return replace(
        draft,
        metrics=[metric for metric in draft.metrics if metric.name not in silent],
        provenance={**draft.provenance, "without_signal": silent},
    )


def lacking_items(campaign: Campaign, ledger: Ledger) -> int:
    """Return how many runs should have kept the values of single items, and have not.

    `per_example_runs` may be raised when runs are there already. A failed run has none to keep.
    """
    wanted = [run.run_id for run in campaign.runs()[: campaign.per_example_runs]]
    present = [ledger.records[run_id] for run_id in wanted if run_id in ledger.records]
    return sum(not record.items for record in present if record.status == "ok")


def _frame(
    records: Sequence[RunRecord],
    columns: Sequence[RunColumn],
    rows_of: Callable[[RunRecord], Iterable[Row]],
    where: str,
) -> pd.DataFrame:
    """Return a row for each checkpoint of each record, with exactly these columns.

    Raises:
        LedgerError: a record holds another column, or a value of another type.
    """
    types = {"seed": pa.int64()} | {column.name: column.type for column in columns}
    rows = []
    for record in records:
        origin = record.provenance
        constant = {
            "seed": record.seed,
            **record.settings,
            **record.constants,
            "device": origin.device,
            "threads": origin.threads,
            "git_commit": origin.commit,
            "git_dirty": origin.dirty,
            "versions": json.dumps(origin.versions, sort_keys=True),
        }
        names = {*constant, *(name for row in record.rows() for name in row)}
        stray = sorted(names - types.keys() - {"status"})
        if stray:
            raise LedgerError(
                f"{where}: run {record.run_id} holds `{stray[0]}`, and no column is known for it; "
                "nothing is dropped: the columns of its kind of campaign must name it"
            )
        rows += [constant | dict(row) for row in rows_of(record)]
    # A column that no record fills is there all the same, empty.
    frame = pd.DataFrame(rows).reindex(columns=["status", *types])
    for name, kind in types.items():
        try:
            frame[name] = frame[name].astype(pd.ArrowDtype(kind))
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise LedgerError(f"{where}: column `{name}` is no {kind}: {error}") from None
    return frame


def _examples(records: Sequence[RunRecord], header: Header, where: str) -> pd.DataFrame:
    """Return one row for each run that keeps them, each column and each of its items, in full.

    Raises:
        LedgerError: a run has items that the ledger's header does not name.
    """
    rows = []
    for record in records:
        for column, values in record.items.items():
            items = header.items.get(column)
            if items is None or len(items.ids) != len(values):
                raise LedgerError(
                    f"{where}: run {record.run_id} holds {len(values)} items of `{column}`, "
                    f"campaign.json names {len(items.ids) if items else 0}"
                )
            tokens: Sequence[int | None] = items.tokens or [None] * len(values)
            key = (record.config_id, record.seed, column)
            rows += [(*key, *item) for item in zip(items.ids, values, tokens, strict=True)]
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS)).astype(_ITEM_TYPES)


def prose_of(campaign: Campaign) -> TableProvenance:
    """Return what a table's provenance says for readers, from its campaign alone."""
    own = family_of(campaign).prose(campaign)
    prose: TableProvenance = {PUBLICATION: campaign.publication.to_json(), **own}
    stated = {name: value for name, value in prose.items() if name in PROSE and value}
    return cast("TableProvenance", stated)


def with_prose(provenance: TableProvenance, campaign: Campaign) -> TableProvenance:
    """Return a provenance with what its campaign says for readers now."""
    facts = {key: value for key, value in provenance.items() if key not in PROSE}
    rules = family_of(campaign).provenance(campaign)  # in the words of today
    return cast("TableProvenance", {**facts, **rules, **prose_of(campaign)})


def _provenance(
    campaign: Campaign,
    header: Header,
    records: Sequence[RunRecord],
    frame: pd.DataFrame,
    missing: int,
) -> TableProvenance:
    family = family_of(campaign)
    notes, figures = family.notes(campaign, frame), family.figures(campaign, frame)
    baselines = [baseline.to_json() for record in records for baseline in record.baselines]
    origins = [record.provenance for record in records]
    origin: TableProvenance = {
        "campaign": campaign.name,
        "recipe_sha256": campaign.identity().recipe_sha256,
        "sources": dict(header.sources),
        **family.provenance(campaign),
        **prose_of(campaign),
        # All runs share the settings that are no axis.
        "defaults": dict(records[0].settings) | dict.fromkeys(campaign.space.names, "axis"),
        "commits": sorted({origin.revision for origin in origins}),
        "devices": sorted({origin.device for origin in origins}),
        # Runs may have been made on several machines.
        "versions": {
            name: " or ".join(sorted({origin.versions.get(name, "none") for origin in origins}))
            for name in origins[0].versions
        },
        "missing_runs": missing,
    }
    if notes:
        origin["notes"] = notes
    if figures:
        origin["figures"] = figures
    if baselines:
        origin["baselines"] = baselines
    return origin
