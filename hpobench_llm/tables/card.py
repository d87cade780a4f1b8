"""`CARD.md`: what a table holds and what it says, every figure computed from its rows."""

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.schema import BY_NAME, CARD_FILE, STEP
from hpobench_llm.tables.table import Table


def write_card(table: Table) -> None:
    """Write the card beside the table."""
    write_atomically(table.folder / CARD_FILE, card(table))


def card(table: Table) -> str:
    """Return the card as Markdown."""
    sections = (_head(table), _axes(table), _findings(table), _columns(table), _origin(table))
    return "\n".join(line for section in sections for line in (*section, ""))


def _head(table: Table) -> list[str]:
    meta, frame = table.metadata, table.frame
    runs = frame.drop_duplicates(["config_id", "seed"])
    full = _full(table)
    bad = (full["status"] != "ok").sum()
    hours = full[["train_seconds", "eval_seconds"]].to_numpy().sum() / 3600
    return [
        f"# {meta.name} {meta.version}",
        "",
        meta.description,
        "",
        meta.context,
        "",
        f"{len(runs)} runs: {runs['config_id'].nunique()} configurations x "
        f"{len(meta.seeds)} seeds, {len(meta.fidelities[0].values)} checkpoints each "
        f"({', '.join(map(str, meta.fidelities[0].values))} steps), {len(frame)} rows; {bad} runs "
        f"ended diverged (more than {meta.provenance['diverged_factor']} times the untrained "
        f"base's validation loss, or not finite). {hours:.2f} hours of computing.",
        "",
        f"Licence of the table: {meta.licence}. The text that the runs learned from is not part "
        "of it.",
    ]


def _axes(table: Table) -> list[str]:
    lines = ["## Axes", "", "| axis | values |", "|---|---|"]
    for name in table.metadata.space.names:
        values = sorted(table.frame[name].unique())
        lines.append(f"| {name} | {', '.join(f'{value:g}' for value in values)} |")
    fixed = {k: v for k, v in table.metadata.provenance["defaults"].items() if v != "axis"}
    lines += ["", "Fixed: " + ", ".join(f"{k} {v}" for k, v in fixed.items()) + "."]
    return lines


def _findings(table: Table) -> list[str]:
    """What the rows say: best configurations, seeds against configurations, losses and scores."""
    meta = table.metadata
    axes = list(meta.space.names)
    full = _full(table)
    good = full[(full["status"] == "ok").groupby(full["config_id"]).transform("all")]
    lines = [
        "## What it says",
        "",
        "Means over seeds, in full. Untrained base in the last line.",
        "",
    ]
    measured = [m for m in meta.metrics.values() if good[m.name].notna().any()]
    lines += [
        f"| best by | {' | '.join(axes)} | {' | '.join(m.name for m in measured)} |",
        "|---" * (1 + len(axes) + len(measured)) + "|",
    ]
    means = good.groupby(axes, as_index=False)[[m.name for m in measured]].mean()
    for metric in measured:
        losses = means[metric.name].to_numpy() * metric.to_loss(1.0)
        best = means.iloc[int(np.nanargmin(losses))]
        lines.append(
            f"| {metric.name} | {' | '.join(f'{best[a]:g}' for a in axes)} | "
            f"{' | '.join(f'{best[m.name]:.4f}' for m in measured)} |"
        )
    lines.append(
        f"| untrained | {' | '.join('' for _ in axes)} | "
        f"{' | '.join(f'{meta.untrained[m.name]:.4f}' for m in measured)} |"
    )
    lines += [
        "",
        "| metric | unit | over seeds | over seeds, best quarter | over configurations |",
        "|---|---|---|---|---|",
    ]
    lines += [_spread(good, axes, metric) for metric in measured]
    lines += [
        "",
        "Standard deviations. Over seeds: within a configuration, pooled over those whose runs "
        "all ended ok, and over the quarter of them that is best by the metric. Over "
        "configurations: of their means.",
        "",
    ]
    scores = [metric.name for metric in measured if metric.name.startswith("score_")]
    quarter = means.nsmallest(max(3, len(means) // 4), "val_loss")
    return [*lines, *_agreement(means, scores, "all"), *_agreement(quarter, scores, "the best")]


def _spread(good: pd.DataFrame, axes: list[str], metric: Metric) -> str:
    groups = good.groupby(axes)[metric.name]
    means, variances = groups.mean(), groups.var()
    losses = means * metric.to_loss(1.0)
    best = losses.nsmallest(max(1, len(losses) // 4)).index
    figures = (
        np.sqrt(variances.mean()),
        np.sqrt(variances.loc[best].mean()),
        means.std(),
    )
    return f"| {metric.name} | {metric.unit} | {' | '.join(f'{f:.4f}' for f in figures)} |"


def _agreement(means: pd.DataFrame, scores: list[str], which: str) -> list[str]:
    """Return Kendall's tau between validation loss and the rest, over some configurations."""
    if len(means) < 3:
        return []
    lines = [f"Kendall's tau with validation loss over {which} {len(means)} configurations:", ""]
    for name in [*scores, "test_loss"]:
        tau, p = kendalltau(means["val_loss"], means[name])
        if np.isfinite(tau):
            lines.append(f"- {name}: {tau:+.2f} (p = {p:.1g})")
    return [*lines, ""]


def _columns(table: Table) -> list[str]:
    lines = ["## Columns", "", "| column | unit | meaning |", "|---|---|---|"]
    for name in table.frame.columns:
        if name in BY_NAME:
            unit, meaning = BY_NAME[name].unit, BY_NAME[name].meaning
        else:
            unit, meaning = _score_column(table, name)
        lines.append(f"| {name} | {unit} | {meaning} |")
    return lines


def _score_column(table: Table, name: str) -> tuple[str, str]:
    for metric in table.metadata.metrics.values():
        if name == metric.name:
            return metric.unit, "benchmark score, empty where it was not measured"
        if name == metric.stderr:
            return metric.unit, f"standard error of {metric.name} over the benchmark's items"
    return "", ""


def _origin(table: Table) -> list[str]:
    origin = table.metadata.provenance
    lines = ["## Where it comes from", ""]
    lines += [f"- base: {_flat(origin['sources']['base'])}"]
    data = origin["sources"]["data"]
    lines += [f"- data `{name}`: {_flat(source)}" for name, source in data["sources"].items()]
    lines += [f"- rows: {_flat(data['rows'])}, {origin['split']}"]
    lines += [f"- rows not used: {_flat(data['unused']) or 'none'}"]
    lines += [
        f"- score `{name}`: {_flat(source)}"
        for name, source in origin["sources"]["scores"].items()
    ]
    lines += [
        f"- code: {', '.join(origin['commits'])}",
        f"- device: {', '.join(origin['devices'])}; {_flat(origin['versions'])}",
        f"- recipe sha256 {origin['recipe_sha256']}",
        f"- table.parquet sha256 {table.metadata.table_sha256}",
    ]
    return lines


def _flat(mapping: dict[str, object]) -> str:
    parts = [
        f"{key} ({_flat(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in mapping.items()
    ]
    return ", ".join(parts)


def _full(table: Table) -> pd.DataFrame:
    return table.frame[table.frame[STEP] == table.metadata.fidelities[0].full]
