"""`CARD.md` of a surrogate: its quality in words and tables, every figure from `quality.json`."""

from collections.abc import Mapping
from typing import Any

from hpobench_llm.metrics import Metric
from hpobench_llm.surrogates.limits import limits
from hpobench_llm.surrogates.words import at_highest, of_kind, percent, shown, small


def card(name: str, metrics: Mapping[str, Metric], quality: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    sections = (
        _head(name, quality),
        limits(quality),
        _ranking(quality.get("ranking_check")),
        _metrics(metrics, quality),
        _best_quarter(quality),
        _draws(quality),
        _statuses(quality),
        _costs(quality),
        _by_fidelity(quality),
        _extrapolation(quality),
        _families(quality),
        _left_out(quality),
    )
    return "\n".join(line for section in sections if section for line in (*section, ""))


def _head(name: str, quality: Mapping[str, Any]) -> list[str]:
    return [
        f"# Surrogate of {name}",
        "",
        f"Fitted on table {quality['table']} {quality['table_version']} "
        f"({quality['configurations']} configurations, {quality['runs']} runs in full; sha256 "
        f"`{quality['table_sha256'][:16]}`). Every figure below is of configurations that were "
        f"held out: {quality['method']['held_out_configurations']}.",
    ]


def _ranking(check: Mapping[str, Any] | None) -> list[str]:
    if not check:
        return []
    lines = ["## Ranking check", "", f"{check['verdict']}.", ""]
    location = check.get("location")
    if location and location["tau"] is not None:
        lines += [
            f"Where the best lies: the {location['best']} configurations that the surrogate holds "
            f"best are on average {location['regret']:.4g} worse on the table than its own best "
            f"{location['best']}, {location['share']:.1%} of the way to the median (bar "
            f"{location['share_bar']:.0%}); Kendall's tau within the table's best quarter is "
            f"{location['tau']:.2f} (bar {location['tau_bar']:.2f}).",
            "",
        ]
    if check["tau"] is None:
        return lines[:-1]
    if "cells" not in check:  # of an older design of the check
        return [*lines, "It was made by an older design; `fit --check-only` makes it again."]
    low, high = check["interval"]
    absent = ", ".join(check.get("left_out", []))
    ceiling, correlation = check["ceiling"], check["correlation"]
    lines += [
        f"{len(check['optimizers'])} optimizers{f' (without {absent})' if absent else ''}, "
        f"{check['seeds']} seeds, compared after "
        f"{', '.join(map(str, check['budgets']))} trials by `{check['objective']}`, on the table "
        "and on the surrogate restricted to the table's configurations. Of "
        f"{check['pairs']} pairs the table tells {check['told_apart']} apart (sign test over "
        "seeds, 5 %); over these:",
        "",
        "| | with the surrogate | of the table with itself, other seeds |",
        "|---|---|---|",
        f"| Kendall's tau, 95 % interval | {shown(check['tau'])} [{shown(low)}, {shown(high)}] "
        f"| {shown(ceiling['tau'])} [{', '.join(shown(x) for x in ceiling['interval'])}] |",
        *(
            f"| {name.capitalize()} correlation of mean losses "
            f"| {shown(correlation['surrogate'][name])} "
            f"| {shown(correlation['table_with_itself'][name])} |"
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
    for name, target in of_kind(quality, "metric").items():
        full = at_highest(target)
        coverage = " / ".join(percent(value) for value in full.get("coverage", {}).values())
        lines.append(
            f"| {name} | {metrics[name].unit} | {target['family']} "
            f"| {shown(full['r2'])} ({shown(full['r2_ceiling'])}) "
            f"| {shown(full['kendall_tau'])} | {shown(full['spearman'])} "
            f"| {small(full['mean_absolute_error'])} "
            f"| {small(full['seed_standard_deviation'])} | {coverage} |"
        )
    return lines


def _best_quarter(quality: Mapping[str, Any]) -> list[str]:
    """Where optimizers work: figures of the truly best quarter alone."""
    lines = [
        "## The best quarter in full",
        "",
        "The quarter of configurations that is truly best, held out as above; R² is of the "
        "differences inside it, the bias predicted minus true.",
        "",
        "| metric | configurations | R² (ceiling) | Kendall (between seeds) | MAE | bias "
        "| seeds' SD |",
        "|---|---|---|---|---|---|---|",
    ]
    start = len(lines)
    for name, target in of_kind(quality, "metric").items():
        best = target.get("best_quarter", {})
        if best.get("cells"):
            lines.append(
                f"| {name} | {best['cells']} | {shown(best['r2'])} ({shown(best['r2_ceiling'])}) "
                f"| {shown(best['kendall_tau'])} ({shown(best['kendall_tau_between_seeds'])}) "
                f"| {small(best['mean_absolute_error'])} | {small(best['bias'])} "
                f"| {small(best['seed_standard_deviation'])} |"
            )
    return lines if len(lines) > start else []


def _draws(quality: Mapping[str, Any]) -> list[str]:
    """What a seed draws, beside what seeds did."""
    lines = [
        "## Draws of a seed",
        "",
        "Standard deviation between seeds in full, measured and drawn, in quarters of the "
        "configurations by what is expected of them, the best first; and the best value of the "
        "measured table (its most frequent seed), beside those of drawn tables.",
        "",
        "| metric | best quarter | second | third | worst | best value | of drawn tables |",
        "|---|---|---|---|---|---|---|",
    ]
    start = len(lines)
    for name, draws in quality.get("draws", {}).items():
        regions = [f"{small(r['measured'])}, {small(r['drawn'])}" for r in draws["regions"]]
        best = draws["best"]
        value = "-" if best["measured"] is None else f"{best['measured']:.5g}"
        drawn = " / ".join(f"{value:.5g}" for value in best["drawn"]) or "-"
        lines.append(f"| {name} | {' | '.join(regions)} | {value} | {drawn} |")
    return lines if len(lines) > start else []


def _left_out(quality: Mapping[str, Any]) -> list[str]:
    """What bounds of time and memory kept out."""
    lines = quality.get("left_out", [])
    return ["## Left out", "", *(f"- {line}." for line in lines)] if lines else []


def _statuses(quality: Mapping[str, Any]) -> list[str]:
    found = of_kind(quality, "probability")
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
        full = at_highest(target)
        lines.append(
            f"| {name} | {target['family']} | {percent(full.get('share'))} "
            f"| {small(full.get('brier'))} ({small(full.get('brier_of_the_share'))}) "
            f"| {shown(full.get('auc'))} | {percent(full.get('right_status'))} |"
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
            f"| {name} | {', '.join(found['families'])} | {shown(found['r2'])} "
            f"| {shown(found['kendall_tau'])} | {small(found['mean_absolute_error'])} "
            f"| {percent(found['median_relative_error'])} |"
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
    for name, target in of_kind(quality, "metric").items():
        for at in target["by_fidelity"] if len(target["by_fidelity"]) > 1 else ():
            fidelity = ", ".join(f"{axis} {value:g}" for axis, value in at["fidelity"].items())
            coverage = " / ".join(percent(value) for value in at["coverage"].values())
            lines.append(
                f"| {name} | {fidelity} | {shown(at['r2'])} ({shown(at['r2_ceiling'])}) "
                f"| {shown(at['kendall_tau'])} | {shown(at['spearman'])} "
                f"| {small(at['mean_absolute_error'])} | {coverage} |"
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
    for name, target in of_kind(quality, "metric").items():
        lines += [
            f"| {name} | {found['axis']} {found['left_out']} ({found['kind']}) "
            f"| {shown(found['r2'])} | {shown(found['kendall_tau'])} "
            f"| {small(found['mean_absolute_error'])} "
            f"| {percent(found['coverage']['0.9'])} |"
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
        cells = [small(target["held_out_error"].get(family)) for family in names]
        lines.append(f"| {name} | {' | '.join(cells)} | {target['family']} |")
    return lines
