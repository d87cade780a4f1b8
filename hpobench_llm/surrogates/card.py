"""`CARD.md` of a surrogate: its quality in words and tables, every figure from `quality.json`."""

from collections.abc import Mapping
from typing import Any

from hpobench_llm.metrics import Metric

_WEAK_R2, _COVERAGE_SLACK = 0.8, 0.05


def card(name: str, metrics: Mapping[str, Metric], quality: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    sections = (
        _head(name, quality),
        _limits(quality),
        _ranking(quality.get("ranking_check")),
        _metrics(metrics, quality),
        _statuses(quality),
        _costs(quality),
        _by_fidelity(quality),
        _extrapolation(quality),
        _families(quality),
    )
    return "\n".join(line for section in sections if section for line in (*section, ""))


def summary(quality: Mapping[str, Any]) -> list[str]:
    """Return a few lines for a terminal: each target at its highest fidelity, held out."""
    lines = [f"{'target':<24} {'family':<8} {'R2':>6} {'tau':>6} {'MAE':>9} {'in 90 %':>8}"]
    for name, target in _of_kind(quality, "metric").items():
        full = _last(target)
        lines.append(
            f"{name:<24} {target['family']:<8} {_shown(full['r2']):>6} "
            f"{_shown(full['kendall_tau']):>6} {_small(full['mean_absolute_error']):>9} "
            f"{_percent(full.get('coverage', {}).get('0.9')):>8}"
        )
    for name, target in _of_kind(quality, "probability").items():
        full = _last(target)
        lines.append(
            f"{name:<24} {target['family']:<8} Brier {_small(full.get('brier'))}, "
            f"of the share {_small(full.get('brier_of_the_share'))}"
        )
    for name, found in quality["resources"].items():
        lines.append(
            f"{name:<24} {found['families'][0]:<8} {_shown(found['r2']):>6} "
            f"{_shown(found['kendall_tau']):>6} {_small(found['mean_absolute_error']):>9}"
        )
    check = quality.get("ranking_check")
    return [*lines, f"ranking check: {check['verdict'] if check else 'not made'}"]


def _head(name: str, quality: Mapping[str, Any]) -> list[str]:
    return [
        f"# Surrogate of {name}",
        "",
        f"Fitted on table {quality['table']} {quality['table_version']} "
        f"({quality['configurations']} configurations, {quality['runs']} runs in full; sha256 "
        f"`{quality['table_sha256'][:16]}`). Every figure below is of configurations that were "
        f"held out: {quality['method']['held_out_configurations']}.",
    ]


def _limits(quality: Mapping[str, Any]) -> list[str]:
    """What the figures say that it is not good for."""
    lines = []
    check = quality.get("ranking_check")
    if not check:
        lines.append("Ranking optimizers: it was never put to the ranking check.")
    elif not check["passed"]:
        lines.append(f"Ranking optimizers: {check['verdict']}.")
    for name, target in _of_kind(quality, "metric").items():
        full = _last(target)
        if full["r2"] is None or full["r2"] < _WEAK_R2:
            lines.append(f"`{name}`: R² {_shown(full['r2'])} at the highest fidelity.")
        for level, found in full.get("coverage", {}).items():
            if found is not None and found < float(level) - _COVERAGE_SLACK:
                lines.append(
                    f"`{name}`: its {float(level):.0%} intervals hold {found:.1%} of the runs at "
                    "the highest fidelity."
                )
        worst = min(
            (e for e in target["extrapolation"] if e["r2"] is not None),
            key=lambda e: float(e["r2"]),
            default=None,
        )
        if worst is not None and worst["r2"] < _WEAK_R2:
            lines.append(
                f"`{name}` where nothing near was measured: without {worst['axis']} = "
                f"{worst['left_out']} in its table, R² there is {_shown(worst['r2'])}."
            )
    if not quality["seeds_repeat"]:
        lines.append(
            "The noise of seeds: no configuration was run with two, so noise cannot be told from "
            "the model's error; draws have the width of both."
        )
    return ["## Not good for", "", *(f"- {line}" for line in lines or ["nothing that shows here"])]


def _ranking(check: Mapping[str, Any] | None) -> list[str]:
    if not check:
        return []
    lines = ["## Ranking check", "", f"{check['verdict']}.", ""]
    if check["tau"] is None:
        return lines[:-1]
    if "cells" not in check:  # of an older design of the check
        return [*lines, "It was made by an older design; `fit --check-only` makes it again."]
    low, high = check["interval"]
    ceiling, correlation = check["ceiling"], check["correlation"]
    lines += [
        f"{len(check['optimizers'])} optimizers, {check['seeds']} seeds, compared after "
        f"{', '.join(map(str, check['budgets']))} trials by `{check['objective']}`, on the table "
        "and on the surrogate restricted to the table's configurations. Of "
        f"{check['pairs']} pairs the table tells {check['told_apart']} apart (sign test over "
        "seeds, 5 %); over these:",
        "",
        "| | with the surrogate | of the table with itself, other seeds |",
        "|---|---|---|",
        f"| Kendall's tau, 95 % interval | {_shown(check['tau'])} [{_shown(low)}, {_shown(high)}] "
        f"| {_shown(ceiling['tau'])} [{', '.join(_shown(x) for x in ceiling['interval'])}] |",
        *(
            f"| {name.capitalize()} correlation of mean losses "
            f"| {_shown(correlation['surrogate'][name])} "
            f"| {_shown(correlation['table_with_itself'][name])} |"
            for name in ("pearson", "spearman")
        ),
        "",
        f"The bar is {check['bar']} of the table's tau with itself, with an interval above 0.",
        "",
        "| optimizer | trials | mean rank on the table | on the surrogate |",
        "|---|---|---|---|",
    ]
    for cell in check["cells"]:
        rank = cell["mean_rank"]
        lines.append(
            f"| {cell['optimizer']} | {cell['trials']} | {rank['table']:.2f} "
            f"| {rank['surrogate']:.2f} |"
        )
    return lines


def _metrics(metrics: Mapping[str, Metric], quality: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Metrics at the highest fidelity that they were measured at",
        "",
        "R² and ranks are of configurations' means over seeds; the ceiling is what the exact "
        "expectation would reach. MAE in the metric's unit. Coverage: the share of single runs "
        "inside intervals of 50, 80 and 90 %.",
        "",
        "| metric | unit | family | R² (ceiling) | Kendall | Spearman | MAE | seeds' SD "
        "| coverage |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, target in _of_kind(quality, "metric").items():
        full = _last(target)
        coverage = " / ".join(_percent(value) for value in full.get("coverage", {}).values())
        lines.append(
            f"| {name} | {metrics[name].unit} | {target['family']} "
            f"| {_shown(full['r2'])} ({_shown(full['r2_ceiling'])}) "
            f"| {_shown(full['kendall_tau'])} | {_shown(full['spearman'])} "
            f"| {_small(full['mean_absolute_error'])} "
            f"| {_small(full['seed_standard_deviation'])} | {coverage} |"
        )
    return lines


def _statuses(quality: Mapping[str, Any]) -> list[str]:
    found = _of_kind(quality, "probability")
    if not found:
        return ["## Statuses", "", "Every run of the table is ok, and so is every answer."]
    lines = [
        "## Statuses",
        "",
        "Brier score: the mean squared error of the probability; beside it, that of answering the "
        "share everywhere.",
        "",
        "| probability | family | share | Brier (of the share) | AUC | right status |",
        "|---|---|---|---|---|---|",
    ]
    for name, target in found.items():
        full = _last(target)
        lines.append(
            f"| {name} | {target['family']} | {_percent(full.get('share'))} "
            f"| {_small(full.get('brier'))} ({_small(full.get('brier_of_the_share'))}) "
            f"| {_shown(full.get('auc'))} | {_percent(full.get('right_status'))} |"
        )
    return lines


def _costs(quality: Mapping[str, Any]) -> list[str]:
    if not quality["resources"]:
        return ["## Costs", "", "The table has none: `cost_seconds` is NaN."]
    lines = [
        "## Costs",
        "",
        "Positive and never falling along a fidelity, by construction.",
        "",
        "| quantity | family | R² | Kendall | MAE | median relative error |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in quality["resources"].items():
        lines.append(
            f"| {name} | {', '.join(found['families'])} | {_shown(found['r2'])} "
            f"| {_shown(found['kendall_tau'])} | {_small(found['mean_absolute_error'])} "
            f"| {_percent(found['median_relative_error'])} |"
        )
    return lines


def _by_fidelity(quality: Mapping[str, Any]) -> list[str]:
    lines = [
        "## By fidelity",
        "",
        "| metric | fidelity | R² (ceiling) | Kendall | Spearman | MAE | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    start = len(lines)
    for name, target in _of_kind(quality, "metric").items():
        for at in target["by_fidelity"] if len(target["by_fidelity"]) > 1 else ():
            fidelity = ", ".join(f"{axis} {value:g}" for axis, value in at["fidelity"].items())
            coverage = " / ".join(_percent(value) for value in at["coverage"].values())
            lines.append(
                f"| {name} | {fidelity} | {_shown(at['r2'])} ({_shown(at['r2_ceiling'])}) "
                f"| {_shown(at['kendall_tau'])} | {_shown(at['spearman'])} "
                f"| {_small(at['mean_absolute_error'])} | {coverage} |"
            )
    return lines if len(lines) > start else []


def _extrapolation(quality: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Held-out regions",
        "",
        "One level of an axis left out, the rest fitted, in full. An edge is extrapolation, an "
        "inner level interpolation.",
        "",
        "| metric | left out | R² | Kendall | MAE | coverage of 90 % |",
        "|---|---|---|---|---|---|",
    ]
    start = len(lines)
    for name, target in _of_kind(quality, "metric").items():
        lines += [
            f"| {name} | {found['axis']} {found['left_out']} ({found['kind']}) "
            f"| {_shown(found['r2'])} | {_shown(found['kendall_tau'])} "
            f"| {_small(found['mean_absolute_error'])} "
            f"| {_percent(found['coverage']['0.9'])} |"
            for found in target["extrapolation"]
        ]
    return lines if len(lines) > start else []


def _families(quality: Mapping[str, Any]) -> list[str]:
    names = list(quality["families"])
    lines = ["## Families compared", ""]
    lines += [f"- {name}: {summary}" for name, summary in quality["families"].items()]
    lines += [
        "",
        f"Held-out squared error as a share of the variance. Chosen: {quality['method']['family']}"
        ".",
        "",
        f"| target | {' | '.join(names)} | chosen |",
        f"|---{'|---' * len(names)}|---|",
    ]
    for name, target in quality["targets"].items():
        cells = [_small(target["held_out_error"].get(family)) for family in names]
        lines.append(f"| {name} | {' | '.join(cells)} | {target['family']} |")
    return lines


def _of_kind(quality: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {n: target for n, target in quality["targets"].items() if target["kind"] == kind}


def _last(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures at the highest fidelity; those of all rows where no value differs."""
    found: dict[str, Any] = target["by_fidelity"][-1] if target["by_fidelity"] else target["all"]
    return found


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _small(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
