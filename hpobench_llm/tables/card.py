"""`CARD.md`: what a table holds and what it says, every figure computed from its rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Categorical, Ordinal
from hpobench_llm.tables.difficulty import random_search_regret
from hpobench_llm.tables.origin import (
    collected_column,
    collected_origin,
    imported_column,
    imported_origin,
)
from hpobench_llm.tables.schema import CARD_FILE, IMPORTED, METADATA_FILE
from hpobench_llm.tables.table import Table

if TYPE_CHECKING:
    from pandas.core.groupby import SeriesGroupBy

TRIALS = (20, 50, 100)
MANY = 20  # values that a line of the card still lists


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
    early = len(runs) - len(full.drop_duplicates(["config_id", "seed"]))
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
        f"{_checkpoints(table)}{len(frame)} rows; "
        f"{f'{absent} runs of the campaign are missing; ' if absent else ''}"
        f"{f'{early} runs end before the last checkpoint; ' if early else ''}"
        f"{f'{lacking} runs ended out of memory or failed; ' if lacking else ''}{bad} runs "
        f"ended diverged{_rule(table)}.{_hours(table)}",
        "",
        f"Licence of the table: {meta.licence}. The text that the runs learned from is not part "
        "of it.",
    ]


def _checkpoints(table: Table) -> str:
    """Say how many values each fidelity axis has, and which where they are few."""
    parts = []
    for axis in table.metadata.fidelities:
        count = len(axis.values)
        shown = f"{', '.join(map(str, axis.values))}; " if count <= MANY else ""
        kind = "checkpoints" if len(table.metadata.fidelities) == 1 else f"values of {axis.name}"
        parts.append(
            f"{'' if shown else 'up to '}{count} {kind}{' each' if shown else ''} "
            f"({shown}{axis.unit}), "
        )
    return "".join(parts)


def _rule(table: Table) -> str:
    factor = table.metadata.provenance.get("diverged_factor")
    if factor is None:
        return ""
    return f" (more than {factor} times the untrained base's validation loss, or not finite)"


def _hours(table: Table) -> str:
    """Say what the runs cost, where that is known."""
    last = table.frame.drop_duplicates(["config_id", "seed"], keep="last")
    costs = [name for name in ("train_seconds", "eval_seconds") if name in last]
    if not costs or not last[costs].notna().any(axis=None):
        return " What the runs cost is not known."
    hours = last[costs].fillna(0.0).to_numpy(dtype=float).sum() / 3600
    if _imported(table):
        return f" {hours:.2f} hours of computing, where known."
    full = _full(table)
    alone = (
        "amortised_train_seconds" not in full
        or (full["train_seconds"] != full["amortised_train_seconds"]).all()
    )
    counted = "each run" if alone else "some runs not yet"
    return f" {hours:.2f} hours of computing, {counted} counted as trained alone."


def _axes(table: Table) -> list[str]:
    lines = ["## Axes", "", "| axis | values |", "|---|---|"]
    for dimension in table.metadata.space:
        values = sorted(table.frame[dimension.name].unique())
        if isinstance(dimension, Ordinal | Categorical) and len(values) <= MANY:
            shown = ", ".join(map(_shown, values))
        else:
            shown = f"{len(values)} values from {_shown(values[0])} to {_shown(values[-1])}"
        lines.append(f"| {dimension.name} | {shown} |")
    defaults = table.metadata.provenance.get("defaults")
    if defaults is None:
        return lines
    fixed = {k: v for k, v in defaults.items() if v != "axis"}
    lines += ["", "Fixed: " + ", ".join(f"{k} {v}" for k, v in fixed.items()) + "."]
    return lines


def _findings(table: Table) -> list[str]:
    """What the rows say: best configurations, seeds against configurations, losses and scores."""
    meta = table.metadata
    axes = list(meta.space.names)
    good = _good(table)
    measured = [m for m in meta.metrics.values() if good[m.name].notna().any()]
    if not measured:
        return ["## What it says", "", "No run ended ok in full."]
    lines = [
        "## What it says",
        "",
        "Means over seeds, in full."
        + (" Untrained base in the last line." if meta.untrained else ""),
        "",
    ]
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
    if meta.untrained:
        lines.append(
            f"| untrained | {' | '.join('' for _ in axes)} | "
            f"{' | '.join(_figure(meta.untrained.get(m.name, np.nan)) for m in measured)} |"
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
    main = _main(table)
    if _imported(table):
        others = [metric.name for metric in measured if metric is not main]
    else:
        others = [metric.name for metric in measured if metric.name.startswith("score_")]
        others += ["test_loss"] if "test_loss" in means else []
    count = max(3, len(means) // 4)
    quarter = means.iloc[np.argsort(means[main.name] * main.to_loss(1.0))[:count]]
    return [
        *lines,
        *_agreement(means, main, others, "all"),
        *_agreement(quarter, main, others, "the best"),
    ]


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
    metric = _main(table)
    sign = metric.to_loss(1.0)
    full = _full(table)
    usable = (full["status"] == "ok") & full[metric.name].notna()
    full = full.assign(loss=sign * full[metric.name].where(usable, metric.worst))
    losses = full.groupby("config_id")["loss"].mean()
    if not len(losses):
        return ["## How hard it is", "", "Nothing was measured in full."]
    groups = _good(table).groupby("config_id")[metric.name]
    best = (sign * groups.mean()).nsmallest(max(1, groups.ngroups // 4)).index
    noise = _pooled(groups, best)
    regrets = random_search_regret(losses.to_numpy(), TRIALS)
    return [
        "## How hard it is",
        "",
        f"Expected regret of random search in {metric.name} (exact, without repetition, over "
        f"{len(losses)} configurations; a diverged one counts as {metric.worst:.4f}): "
        + ", ".join(f"{r:.4f} after {n} trials" for n, r in zip(TRIALS, regrets, strict=True))
        + f". Standard deviation between seeds in the best quarter: {_figure(noise)}.",
    ]


def _figure(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:.4f}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _agreement(means: pd.DataFrame, main: Metric, others: list[str], which: str) -> list[str]:
    """Return Kendall's tau between the main metric and others, over some configurations."""
    if len(means) < 3 or not others:
        return []
    said = "validation loss" if main.name == "val_loss" else main.name
    lines = [f"Kendall's tau with {said} over {which} {len(means)} configurations:", ""]
    for name in others:
        both = means[[main.name, name]].dropna()
        tau, p = kendalltau(both[main.name], both[name])
        if np.isfinite(tau):
            lines.append(f"- {name}: {tau:+.2f} (p = {p:.1g})")
    return [*lines, ""]


def _columns(table: Table) -> list[str]:
    column = imported_column if _imported(table) else collected_column
    lines = ["## Columns", "", "| column | unit | meaning |", "|---|---|---|"]
    for name in table.frame.columns:
        unit, meaning = column(table.metadata, name)
        lines.append(f"| {name} | {unit} | {meaning} |")
    return lines


def _origin(table: Table) -> list[str]:
    origin = imported_origin if _imported(table) else collected_origin
    try:
        lines = origin(table.metadata)
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{table.folder / METADATA_FILE}: `provenance` is not complete: {error!r}"
        ) from None
    return ["## Where it comes from", "", *lines]


def _imported(table: Table) -> bool:
    return IMPORTED in table.metadata.provenance


def _main(table: Table) -> Metric:
    """Return the metric that runs are compared by: the validation loss, or else the first."""
    metrics = table.metadata.metrics
    return metrics.get("val_loss", next(iter(metrics.values())))


def _full(table: Table) -> pd.DataFrame:
    frame = table.frame
    for axis in table.metadata.fidelities:
        frame = frame[frame[axis.name] == axis.full]
    return frame


def _good(table: Table) -> pd.DataFrame:
    """Return the rows in full of the configurations whose runs all ended ok."""
    full = _full(table)
    return full[(full["status"] == "ok").groupby(full["config_id"]).transform("all")]
