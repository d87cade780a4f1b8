"""`CARD.md`: what a table holds and what it says, every figure computed from its rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.difficulty import random_search_regret
from hpobench_llm.tables.schema import BY_NAME, CARD_FILE, STEP
from hpobench_llm.tables.table import Table

if TYPE_CHECKING:
    from pandas.core.groupby import SeriesGroupBy

TRIALS = (20, 50, 100)


def write_card(table: Table) -> None:
    """Write the card beside the table."""
    write_atomically(table.folder / CARD_FILE, card(table))


def card(table: Table) -> str:
    """Return the card as Markdown."""
    sections = (
        _head(table),
        _axes(table),
        _findings(table),
        _difficulty(table),
        _columns(table),
        _origin(table),
    )
    return "\n".join(line for section in sections for line in (*section, ""))


def _head(table: Table) -> list[str]:
    meta, frame = table.metadata, table.frame
    runs = frame.drop_duplicates(["config_id", "seed"])
    full = _full(table)
    bad = (full["status"] == "diverged").sum()
    lacking = (~full["status"].isin(["ok", "diverged"])).sum()
    alone = (
        "amortised_train_seconds" not in full
        or (full["train_seconds"] != full["amortised_train_seconds"]).all()
    )
    hours = full[["train_seconds", "eval_seconds"]].to_numpy().sum() / 3600
    seeds = runs.groupby("config_id").size().value_counts().sort_index(ascending=False)
    parts = ", ".join(f"{count} with {n}" for n, count in seeds.items())
    absent = meta.provenance.get("missing_runs", 0)
    return [
        f"# {meta.name} {meta.version}",
        "",
        meta.description,
        "",
        meta.context,
        "",
        f"{len(runs)} runs of {runs['config_id'].nunique()} configurations (seeds: {parts}), "
        f"{len(meta.fidelities[0].values)} checkpoints each "
        f"({', '.join(map(str, meta.fidelities[0].values))}; {meta.fidelities[0].unit}), "
        f"{len(frame)} rows; {f'{absent} runs of the campaign are missing; ' if absent else ''}"
        f"{f'{lacking} runs ended out of memory or failed; ' if lacking else ''}{bad} runs "
        f"ended diverged (more than {meta.provenance['diverged_factor']} times the untrained "
        f"base's validation loss, or not finite). {hours:.2f} hours of computing, "
        f"{'each run' if alone else 'some runs not yet'} counted as trained alone.",
        "",
        f"Licence of the table: {meta.licence}. The text that the runs learned from is not part "
        "of it.",
    ]


def _axes(table: Table) -> list[str]:
    lines = ["## Axes", "", "| axis | values |", "|---|---|"]
    for name in table.metadata.space.names:
        values = sorted(table.frame[name].unique())
        lines.append(f"| {name} | {', '.join(map(_shown, values))} |")
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
            f"| {metric.name} | {' | '.join(_shown(best[a]) for a in axes)} | "
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
    means = groups.mean()
    losses = means * metric.to_loss(1.0)
    best = losses.nsmallest(max(1, len(losses) // 4)).index
    figures = (_pooled(groups), _pooled(groups, best), means.std())
    return f"| {metric.name} | {metric.unit} | {' | '.join(map(_figure, figures))} |"


def _pooled(groups: "SeriesGroupBy[float, Any]", which: pd.Index | None = None) -> float:
    """Return the standard deviation within groups, pooled; NaN where none has two members."""
    freedom, variances = groups.count() - 1, groups.var()
    if which is not None:
        freedom, variances = freedom.loc[which], variances.loc[which]
    several = freedom > 0
    if not several.any():
        return float("nan")
    squares = (variances[several] * freedom[several]).sum()
    return float(np.sqrt(squares / freedom[several].sum()))


def _difficulty(table: Table) -> list[str]:
    """What random search is expected to miss, beside the noise between seeds."""
    metric = table.metadata.metrics["val_loss"]
    full = _full(table).assign(
        loss=lambda f: f["val_loss"].where(f["status"] == "ok", metric.worst)
    )
    losses = full.groupby("config_id")["loss"].mean()
    good = full[(full["status"] == "ok").groupby(full["config_id"]).transform("all")]
    groups = good.groupby("config_id")["val_loss"]
    best = groups.mean().nsmallest(max(1, groups.ngroups // 4)).index
    noise = _pooled(groups, best)
    regrets = random_search_regret(losses.to_numpy(), TRIALS)
    return [
        "## How hard it is",
        "",
        f"Expected regret of random search in val_loss (exact, without repetition, over "
        f"{len(losses)} configurations; a diverged one counts as {metric.worst:.4f}): "
        + ", ".join(f"{r:.4f} after {n} trials" for n, r in zip(TRIALS, regrets, strict=True))
        + f". Standard deviation between seeds in the best quarter: {_figure(noise)}.",
    ]


def _figure(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:.4f}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else f"{value:g}"


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
            if name.startswith("val_loss_"):
                rows = name.removeprefix("val_loss_")
                return metric.unit, f"loss on the first {rows} of the validation rows"
            if name.endswith("_margin"):
                return metric.unit, (
                    "log-likelihood of the right answer, less the best wrong one's where there "
                    "are choices"
                )
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
