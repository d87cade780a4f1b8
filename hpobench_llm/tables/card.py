"""`CARD.md`: what a table holds and what it says, every figure computed from its rows."""

import numpy as np
import pandas as pd

from hpobench_llm.measured import SPARSE
from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.seeds import Noise, shared_seeds
from hpobench_llm.space import Categorical, Ordinal
from hpobench_llm.tables.agreement import agreement, best_quarter
from hpobench_llm.tables.baseline_section import baseline_section
from hpobench_llm.tables.citation import bibtex
from hpobench_llm.tables.datasheet import datasheet
from hpobench_llm.tables.figures import figure_section
from hpobench_llm.tables.markdown import plain
from hpobench_llm.tables.origin import origin_section
from hpobench_llm.tables.rules import table_rules
from hpobench_llm.tables.schema import IMPORTED
from hpobench_llm.tables.surface import Surface
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import (
    density_of,
    every_worth,
    in_full,
    with_axes,
    without_signal,
)

TRIALS = (20, 50, 100)
MANY = 20  # values in a line of the card


def card(table: Table) -> str:
    """Return the card as Markdown."""
    sections = (
        _head(table),
        _axes(table),
        _findings(table),
        figure_section(table.metadata.provenance),
        baseline_section(table),
        _difficulty(table),
        _rules(table),
        _datasheet(table),
        _columns(table),
        origin_section(table),
        _citation(table),
    )
    return "\n".join(line for section in sections if section for line in (*section, ""))


def _head(table: Table) -> list[str]:
    meta, frame = table.metadata, table.frame
    runs = frame.drop_duplicates(["config_id", "seed"])
    full = in_full(table)
    bad = (full["status"] == "diverged").sum()
    lacking = (~full["status"].isin(["ok", "diverged"])).sum()
    early = len(runs) - len(full.drop_duplicates(["config_id", "seed"]))
    seeds = runs.groupby("config_id").size().value_counts().sort_index(ascending=False)
    parts = ", ".join(f"{count} with {n}" for n, count in seeds.items())
    absent = meta.provenance.get("missing_runs", 0)
    faults = [f"{absent} runs of the campaign are missing; "] if absent else []
    faults += [f"{early} runs end before the last checkpoint; "] if early else []
    faults += [f"{lacking} runs ended out of memory or failed; "] if lacking else []
    return [
        f"# {plain(meta.name)} {plain(meta.version)}",
        "",
        plain(meta.description),
        "",
        plain(meta.context),
        "",
        f"{len(runs)} runs of {runs['config_id'].nunique()} configurations (seeds: {parts}), "
        f"{_checkpoints(table)}{len(frame)} rows; {''.join(faults)}{bad} runs "
        f"ended diverged{_rule(table)}.{_hours(table)}",
        "",
        f"The table is {_density(table)}. {_seeds(table)}",
        "",
        f"Licence of the table: {plain(meta.licence)}. The text that the runs learned from is "
        "not part of it.",
    ]


def _density(table: Table) -> str:
    """Say whether the table is dense or sparse, and what that means for a replay."""
    text = density_of(table)
    if text.startswith(SPARSE):
        text += (
            "; in a replay draws are among these alone, and what was not measured becomes the "
            "nearest that was and was not tried yet"
        )
    return text


def _seeds(table: Table) -> str:
    """Say which seeds answer if none is named."""
    configs, _ = pd.factorize(table.frame["config_id"])
    shared = shared_seeds(configs, table.frame["seed"].to_numpy(dtype=np.int64))
    if not shared:
        return (
            "No seed is shared by all configurations: a query answers with as many runs of each, "
            "its lowest seeds, as the fewest has."
        )
    shown = ", ".join(map(str, shared[:MANY])) + (", ..." if len(shared) > MANY else "")
    return (
        f"A query answers from the seeds that all configurations have ({shown}); further seeds of "
        "some judge regret and noise."
    )


def _checkpoints(table: Table) -> str:
    """Say how many values each fidelity axis has, and which if they are few."""
    parts = []
    for axis in table.metadata.fidelities:
        count, unit = len(axis.values), plain(axis.unit)
        kind = "checkpoints"
        if len(table.metadata.fidelities) > 1:
            kind = f"values of {plain(axis.name)}"
        if count <= MANY:
            values = ", ".join(map(str, axis.values))
            parts.append(f"{count} {kind} each ({values}; {unit}), ")
        else:
            parts.append(f"up to {count} {kind} ({unit}), ")
    return "".join(parts)


def _rule(table: Table) -> str:
    factor = table.metadata.provenance.get("diverged_factor")
    if factor is None:
        return ""
    return f" (more than {factor} times the untrained base's validation loss, or not finite)"


def _hours(table: Table) -> str:
    """Say what the runs cost, if that is known."""
    last = table.frame.drop_duplicates(["config_id", "seed"], keep="last")
    costs = [name for name in ("train_seconds", "eval_seconds") if name in last]
    if not costs or not last[costs].notna().any(axis=None):
        return " What the runs cost is not known."
    hours = last[costs].fillna(0.0).to_numpy(dtype=float).sum() / 3600
    if _imported(table):
        return f" {hours:.2f} hours of computing, where known."
    full = in_full(table)
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
        lines.append(f"| {plain(dimension.name)} | {shown} |")
    defaults = table.metadata.provenance.get("defaults", {})
    fixed = {k: v for k, v in defaults.items() if v != "axis"}
    if not fixed:
        return lines
    lines += ["", "Fixed: " + ", ".join(f"{plain(k)} {plain(v)}" for k, v in fixed.items()) + "."]
    return lines


def _findings(table: Table) -> list[str]:
    """Findings from the rows: best configurations, noise of seeds, losses against scores."""
    meta = table.metadata
    axes = list(meta.space.names)
    worth, noise = every_worth(table)
    if not worth:
        return ["## What it says", "", "No run ended ok in full."]
    silent = {name: reason for name, reason in without_signal(table).items() if name in worth}
    measured = [meta.metrics[name] for name in worth]
    ranked = [metric for metric in measured if metric.name not in silent]
    means = with_axes(table, worth)
    lines = [
        "## What it says",
        "",
        "Means in full over all seeds of a configuration, less what each seed does to all good "
        "ones alike; of those whose runs are all ok."
        + (" Untrained base in the last line." if meta.untrained else ""),
        "",
    ]
    header = [plain(name) for name in (*axes, *worth)]
    lines += [f"| best by | {' | '.join(header)} |", "|---" * (1 + len(header)) + "|"]
    lines += [_best(means, axes, list(worth), metric) for metric in ranked]
    if meta.untrained:
        cells = ["" for _ in axes]
        cells += [_figure(meta.untrained.get(m.name, np.nan)) for m in measured]
        lines.append(f"| untrained | {' | '.join(cells)} |")
    silent |= meta.provenance.get("without_signal", {})
    if silent:
        lines += ["", *(f"Without signal, and not ranked: {n}. {w}." for n, w in _capital(silent))]
    lines += [
        "",
        "| metric | unit | at one seed | a seed's shift | over configurations |",
        "|---|---|---|---|---|",
    ]
    lines += [_spread(metric, noise[metric.name], worth[metric.name]) for metric in ranked]
    lines += [
        "",
        "Standard deviations. At one seed: what is left between runs of two good configurations "
        "with the same seed, of each of the two; a seed's shift: what it does to all good ones "
        "alike (a two-way model of configuration and seed). Good are the best twentieth of all "
        "configurations by the metric, or more of them where too few of these have several seeds. "
        "Over configurations: of the means above.",
        "",
    ]
    main = _main(table)
    if main.name not in worth:
        return lines
    others = [
        metric.name
        for metric in ranked
        if metric is not main
        and (_imported(table) or metric.role == "score" or metric.name == "test_loss")
    ]
    return [
        *lines,
        *_agreement(means, main, others, "all"),
        *_agreement(best_quarter(means, main), main, others, "the best"),
    ]


def _capital(silent: dict[str, str]) -> list[tuple[str, str]]:
    return [(plain(name), f"{reason[0].upper()}{reason[1:]}") for name, reason in silent.items()]


def _best(means: pd.DataFrame, axes: list[str], names: list[str], metric: Metric) -> str:
    """Return the line of the best configuration by a metric; if several tie, their number."""
    losses = means[metric.name] * metric.to_loss(1.0)
    best = means[losses == losses.min()]
    if len(best) > 1:
        cells = [f"{len(best)} tie", *["" for _ in (*axes, *names)][1:]]
        cells[len(axes) + names.index(metric.name)] = f"{best[metric.name].iloc[0]:.4f}"
    else:
        row = best.iloc[0]
        cells = [_shown(row[axis]) for axis in axes]
        cells += ["" if pd.isna(row[name]) else f"{row[name]:.4f}" for name in names]
    return f"| {plain(metric.name)} | {' | '.join(cells)} |"


def _spread(metric: Metric, noise: Noise, worth: pd.Series) -> str:
    figures = (noise.rest, noise.shift, worth.std())
    cells = [plain(metric.name), plain(metric.unit), *map(_figure, figures)]
    return f"| {' | '.join(cells)} |"


def _difficulty(table: Table) -> list[str]:
    """The expected regret of random search, beside the noise between seeds."""
    surface = Surface.of(table)
    if surface is None:
        return ["## How hard it is", "", "Nothing was measured in full."]
    metric, regrets = surface.metric, surface.random_search(TRIALS)
    return [
        "## How hard it is",
        "",
        f"Expected regret of random search in {plain(metric.name)} (exact, as `random` draws: "
        f"uniformly, with repetition, over {len(surface.ids)} configurations; told of the seeds "
        f"that answer and judged by all; a failed one counts as {metric.worst:.4f}): "
        + ", ".join(f"{r:.4f} after {n} trials" for n, r in regrets.items())
        + f". Noise between good configurations at one seed: {_figure(surface.noise.rest)}.",
    ]


def _rules(table: Table) -> list[str]:
    """Whether the table is worth an optimizer: each rule, its measurement, met or not."""
    rules = table_rules(table)
    if not rules:
        return ["## Is this problem worth an optimizer?", "", "Nothing was measured in full."]
    met = sum(rule.met is True for rule in rules)
    judged = sum(rule.met is not None for rule in rules)
    words = {True: "met", False: "**not met**", None: "not known"}
    rows = [
        f"| {plain(rule.asked)} | {plain(rule.measured)} | {words[rule.met]} |" for rule in rules
    ]
    return [
        "## Is this problem worth an optimizer?",
        "",
        f"{met} of {judged} rules that can be judged are met, by {plain(_main(table).name)}. A "
        "noise is that between good configurations at one seed.",
        "",
        "| rule | measured | |",
        "|---|---|---|",
        *rows,
    ]


def _figure(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:.4f}"


def _shown(value: object) -> str:
    return plain(value) if isinstance(value, str) else f"{value:g}"


def _agreement(means: pd.DataFrame, main: Metric, others: list[str], which: str) -> list[str]:
    """Return Kendall's tau between the main metric and others, over some configurations."""
    if len(means) < 3 or not others:
        return []
    name = "validation loss" if main.name == "val_loss" else plain(main.name)
    lines = [f"Kendall's tau with {name} over {which} {len(means)} configurations:", ""]
    lines += [
        f"- {plain(other)}: {tau:+.2f} (p = {p:.1g})"
        for other, (tau, p) in agreement(means, main, others).items()
    ]
    return [*lines, ""]


def _datasheet(table: Table) -> list[str]:
    answers = datasheet(table).titled()
    lines = [f"**{title}.** {plain(text)}" for title, text in answers.items()]
    return ["## Datasheet", *(line for each in lines for line in ("", each))]


def _citation(table: Table) -> list[str]:
    entry = bibtex(table.metadata).replace("`", "'")  # nothing in it may end the block
    return ["## To cite it", "", "```bibtex", *entry.splitlines(), "```"]


def _columns(table: Table) -> list[str]:
    lines = ["## Columns", "", "| column | unit | meaning |", "|---|---|---|"]
    for name in table.frame.columns:
        column = table.metadata.columns[str(name)]
        cells = [plain(text) for text in (name, column.unit, column.meaning)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _imported(table: Table) -> bool:
    return IMPORTED in table.metadata.provenance


def _main(table: Table) -> Metric:
    """Return the metric that runs are compared by."""
    return objective_of(table.metadata.metrics)
