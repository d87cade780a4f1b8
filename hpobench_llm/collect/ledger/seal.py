"""Seal a complete ledger into a table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes, write_atomically
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.sealable import check_sealable
from hpobench_llm.collect.ledger.solo import SoloCosts
from hpobench_llm.errors import LedgerError
from hpobench_llm.metrics import Fidelity, Metric
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
    check_sealable(campaign, ledger.place, header["untrained"])
    records = [ledger.records[run.run_id] for run in present]
    frame = _frame(records, campaign, header["untrained"], SoloCosts(ledger.solo))
    examples = frame_to_parquet(_examples(records, header["val_rows"]))
    metadata = Metadata(
        name=campaign.name,
        version=f"{campaign.version}+partial.{len(present)}" if missing else campaign.version,
        description=campaign.description,
        context=campaign.context,
        licence=campaign.licence,
        space=campaign.space,
        fidelities=(
            Fidelity(
                name=STEP,
                unit=f"steps of {campaign.step_rows} rows",
                values=campaign.checkpoints,
            ),
        ),
        metrics=metrics_of(campaign, header, frame),
        seeds=tuple(sorted({run.seed for run in present})),
        untrained=header["untrained"],
        provenance=_provenance(campaign, header, records) | {"missing_runs": len(missing)},
        table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
        examples_sha256=sha256_of_bytes(examples) if campaign.per_example_runs else "",
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
    ended_well = [record for record in there if record["rows"][-1]["status"] == "ok"]
    return sum("val_row_losses" not in record for record in ended_well)


def _frame(
    records: list[dict[str, Any]],
    campaign: Campaign,
    untrained: dict[str, float],
    costs: SoloCosts,
) -> pd.DataFrame:
    rows = []
    for record in records:
        came_from = record["provenance"]
        constant = {
            "config_id": record["config_id"],
            "seed": record["seed"],
            **record["hyperparameters"],
            "trainable_parameters": record["trainable_parameters"],
            "engine": record["engine"],
            "pack_size": record["pack_size"],
            "device": came_from["device"],
            "threads": came_from["threads"],
            "git_commit": came_from["commit"],
            "git_dirty": came_from["dirty"],
            "versions": json.dumps(came_from["versions"], sort_keys=True),
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


def _examples(records: list[dict[str, Any]], val_rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return one row for each run that keeps them and each validation row, in full."""
    rows = [
        {
            "config_id": record["config_id"],
            "seed": record["seed"],
            "row_id": row["row_id"],
            "loss_nats": loss,
            "label_tokens": row["label_tokens"],
        }
        for record in records
        for row, loss in zip(val_rows, record.get("val_row_losses", ()), strict=False)
    ]
    columns = ["config_id", "seed", "row_id", "loss_nats", "label_tokens"]
    return pd.DataFrame(rows, columns=columns)


def metrics_of(
    campaign: Campaign, header: dict[str, Any], frame: pd.DataFrame
) -> dict[str, Metric]:
    """Return a campaign's metrics, from a ledger's header and the rows that there are.

    A failed run counts as one that is just diverged, its score as chance or lower.

    The margin has no chance level: there a failed run counts as the lowest that was measured.
    """
    untrained = header["untrained"]
    worst = campaign.diverged_factor * untrained["val_loss"]
    losses = [
        Metric(name=name, unit="nats per label token", direction="minimize", worst=worst, low=0.0)
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
                worst=header["sources"]["scores"][score.name]["chance"],
                low=0.0,
                high=1.0,
                stderr=f"{name}_stderr",
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
                )
            )
    return {metric.name: metric for metric in metrics}


def _split_rule(campaign: Campaign) -> str:
    words = campaign.data.group_words
    together = f"; rows that share a rare run of {words} words share a set" if words else ""
    return f"disjoint by a hash of the normalised question{together}"


def _provenance(
    campaign: Campaign, header: dict[str, Any], records: list[dict[str, Any]]
) -> dict[str, Any]:
    made = [record["provenance"] for record in records]
    return {
        "campaign": campaign.name,
        "recipe_sha256": header["recipe_sha256"],
        "sources": header["sources"],
        "split": _split_rule(campaign),
        "diverged_factor": campaign.diverged_factor,
        "defaults": records[0]["hyperparameters"] | dict.fromkeys(campaign.space.names, "axis"),
        "commits": sorted({f"{m['commit']}{'-dirty' if m['dirty'] else ''}" for m in made}),
        "devices": sorted({m["device"] for m in made}),
        "versions": {
            name: " or ".join(sorted({m["versions"].get(name, "none") for m in made}))
            for name in made[0]["versions"]
        },
    }
