"""Seal a complete ledger into a table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes, write_atomically
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.sealable import check_sealable
from hpobench_llm.collect.ledger.solo import SoloCosts
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import LedgerError
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.card import write_card
from hpobench_llm.tables.schema import COLUMNS, EXAMPLES_FILE, STEP, Metadata
from hpobench_llm.tables.table import Table


def seal(campaign: Campaign, ledger: Ledger, folder: Path, *, partial: bool = False) -> Table:
    """Write `table.parquet`, `table.json` and `CARD.md` from what the ledger holds.

    Runs that keep the losses of all validation rows give `examples.parquet` too. With `partial`
    the runs that are there make the table, however many are missing; it says so, in its version
    too: `0.3.0+partial.656`.

    Raises:
        LedgerError: runs are missing (without `partial`), or all of them.
        SpecError: no table can be made of them (see `check_sealable`).
    """
    runs = campaign.runs()
    present = [run for run in runs if run.run_id in ledger.records]
    missing = [run.run_id for run in runs if run.run_id not in ledger.records]
    header = ledger.header()
    if header is None or not present or (missing and not partial):
        raise LedgerError(
            f"{ledger.place}: {len(missing)} of {len(runs)} runs are missing "
            f"({', '.join(missing[:1]) or 'and campaign.json'}); the table cannot be sealed yet"
        )
    check_sealable(campaign, ledger.place, header.untrained)
    records = [ledger.records[run.run_id] for run in present]
    frame = _frame(records, campaign, header.untrained, SoloCosts(ledger.solo))
    examples = frame_to_parquet(_examples(records, header))
    metadata = Metadata(
        name=campaign.name,
        version=f"{campaign.version}+partial.{len(present)}" if missing else campaign.version,
        description=campaign.description,
        context=campaign.context,
        licence=campaign.licence,
        space=campaign.space,
        fidelities=(campaign.fidelity,),
        metrics=metrics_of(campaign, header, frame),
        seeds=tuple(sorted({run.seed for run in present})),
        untrained=dict(header.untrained),
        provenance=_provenance(campaign, header, records) | {"missing_runs": len(missing)},
        table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
        examples_sha256=sha256_of_bytes(examples) if campaign.per_example_runs else "",
        family=campaign.family,
        task=campaign.task,
    )
    if campaign.per_example_runs:
        write_atomically(folder / EXAMPLES_FILE, examples)
    Table.write(folder, metadata, frame)
    table = Table.load(folder)
    write_card(table)
    return table


def lacking_losses(campaign: Campaign, ledger: Ledger) -> int:
    """Return how many runs should have kept the loss of every validation row, and have not.

    `per_example_runs` may be raised when runs are there already. A failed run has none to keep.
    """
    wanted = [run.run_id for run in campaign.runs()[: campaign.per_example_runs]]
    there = [ledger.records[run_id] for run_id in wanted if run_id in ledger.records]
    return sum(not record.items for record in there if record.status == "ok")


def _frame(
    records: Sequence[RunRecord],
    campaign: Campaign,
    untrained: Mapping[str, float],
    costs: SoloCosts,
) -> pd.DataFrame:
    rows = []
    for record in records:
        origin = record.provenance
        constant = {
            "config_id": record.config_id,
            "seed": record.seed,
            **record.settings,
            **record.constants,
            "device": origin.device,
            "threads": origin.threads,
            "git_commit": origin.commit,
            "git_dirty": origin.dirty,
            "versions": json.dumps(origin.versions, sort_keys=True),
        }
        rows += [constant | row for row in costs.priced(record)]
    scores = [name for name in untrained if name.startswith(("val_loss_", "score_"))]
    names = [column.name for column in COLUMNS]
    after = names.index("test_loss") + 1
    frame = pd.DataFrame(rows).reindex(columns=[*names[:after], *scores, *names[after:]])
    for column in COLUMNS:
        frame[column.name] = frame[column.name].astype(pd.ArrowDtype(column.type))
    for name in scores:
        frame[name] = frame[name].astype("double[pyarrow]")
    order = [*campaign.space.names, "seed", STEP]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _examples(records: Sequence[RunRecord], header: Header) -> pd.DataFrame:
    """Return one row for each run that keeps them and each validation row, in full."""
    val_rows = header.items["val_loss"]
    rows = [
        {
            "config_id": record.config_id,
            "seed": record.seed,
            "row_id": row_id,
            "loss_nats": loss,
            "label_tokens": tokens,
        }
        for record in records
        for row_id, tokens, loss in zip(
            val_rows.ids, val_rows.tokens, record.items.get("val_loss", ()), strict=False
        )
    ]
    columns = ["config_id", "seed", "row_id", "loss_nats", "label_tokens"]
    return pd.DataFrame(rows, columns=columns)


def metrics_of(campaign: Campaign, header: Header, frame: pd.DataFrame) -> dict[str, Metric]:
    """Return a campaign's metrics, from a ledger's header and the rows that there are.

    A failed run counts as one that is just diverged, its score as chance or lower.

    The margin has no chance level: there a failed run counts as the lowest that was measured.
    """
    untrained = header.untrained
    worst = campaign.diverged_factor * untrained["val_loss"]
    losses = [
        Metric(
            name=name,
            unit="nats per label token",
            direction="minimize",
            worst=worst,
            low=0.0,
            role="objective" if name.startswith("val_loss") else "diagnostic",
        )
        for name in ("val_loss", "test_loss", "train_loss", *untrained)
        if name.endswith("_loss") or name.startswith("val_loss_")
    ]
    metrics = list({metric.name: metric for metric in losses}.values())
    for score in campaign.score:
        name = f"score_{score.name}"
        metrics.append(
            Metric(
                name=name,
                unit="share of items",
                direction="maximize",
                worst=header.sources["scores"][score.name]["chance"],
                low=0.0,
                high=1.0,
                stderr=f"{name}_stderr",
                role="score",
            )
        )
        if f"{name}_margin" in untrained:
            metrics.append(
                Metric(
                    name=f"{name}_margin",
                    unit="nats",
                    direction="maximize",
                    worst=min(0.0, float(frame[f"{name}_margin"].min())),
                    stderr=f"{name}_margin_stderr",
                    role="score",
                )
            )
    return {metric.name: metric for metric in metrics}


def _split_rule(campaign: Campaign) -> str:
    words = campaign.data.group_words
    compared = "question or answer" if campaign.data.group_answers else "question"
    together = (
        f"; rows that share a rare run of {words} words of their {compared} share a set"
        if words
        else ""
    )
    return f"disjoint by a hash of the normalised question{together}"


def _provenance(
    campaign: Campaign, header: Header, records: Sequence[RunRecord]
) -> dict[str, Any]:
    made = [record.provenance for record in records]
    return {
        "campaign": campaign.name,
        "recipe_sha256": campaign.identity().recipe_sha256,
        "sources": dict(header.sources),
        "split": _split_rule(campaign),
        "diverged_factor": campaign.diverged_factor,
        "defaults": dict(records[0].settings) | dict.fromkeys(campaign.space.names, "axis"),
        "commits": sorted({origin.revision for origin in made}),
        "devices": sorted({origin.device for origin in made}),
        "versions": {
            name: " or ".join(sorted({origin.versions.get(name, "none") for origin in made}))
            for name in made[0].versions
        },
    }
