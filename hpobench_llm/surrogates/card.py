"""`CARD.md` of a surrogate: its quality in words and tables, every figure from `quality.json`."""

from collections.abc import Mapping, Sequence

from hpobench_llm.metrics import Metric
from hpobench_llm.surrogates.limits import limits
from hpobench_llm.surrogates.record import Quality, QualityFigures, RankingCheck
from hpobench_llm.surrogates.words import at_highest, of_kind, percent, shown, small


def card(name: str, metrics: Mapping[str, Metric], quality: Quality) -> str:
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


def _head(name: str, quality: Quality) -> list[str]:
    return [
        f"# Surrogate of {name}",
        "",
        f"Fitted on table {quality['table']} {quality['table_version']} "
        f"({quality['configurations']} configurations, {quality['runs']} runs in full; sha256 "
        f"`{quality['table_sha256'][:16]}`). Every figure below is of configurations that were "
        f"held out: {quality['method']['held_out_configurations']}.",
    ]


def _ranking(check: RankingCheck | None) -> list[str]:
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
    if "cells" not in check or check["interval"] is None:  # of an older design of the check
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
        *_rows(
            " | with the surrogate | of the table with itself, other seeds",
            [
                (
                    "Kendall's tau, 95 % interval",
                    f"{shown(check['tau'])} [{shown(low)}, {shown(high)}]",
                    f"{shown(ceiling['tau'])} [{', '.join(map(shown, ceiling['interval']))}]",
                ),
                *(
                    (
                        f"{name.capitalize()} correlation of mean losses",
                        shown(correlation["surrogate"][name]),
                        shown(correlation["table_with_itself"][name]),
                    )
                    for name in ("pearson", "spearman")
                ),
            ],
        ),
        "",
        f"The bar is {check['bar']} of the table's tau with itself, with an interval above 0.",
        "",
        *_rows(
            "optimizer | trials | mean rank on the table | on the surrogate",
            [
                (
                    cell["optimizer"],
                    str(cell["trials"]),
                    f"{cell['mean_rank']['table']:.2f}",
                    f"{cell['mean_rank']['surrogate']:.2f}",
                )
                for cell in check["cells"]
            ],
        ),
    ]
    return lines


def _metrics(metrics: Mapping[str, Metric], quality: Quality) -> list[str]:
    rows = []
    for name, target in of_kind(quality, "metric").items():
        full = at_highest(target)
        rows.append(
            (
                name,
                metrics[name].unit,
                target["family"],
                *_fit(full),
                small(full["mean_absolute_error"]),
                small(full["seed_standard_deviation"]),
                _coverage(full),
            )
        )
    return _table(
        "Metrics at the highest fidelity that they were measured at",
        "R² and ranks are of configurations' means over seeds; the ceiling is what the exact "
        "expectation would reach. MAE in the metric's unit. Coverage: the share of single runs "
        "inside intervals of 50, 80 and 90 %.",
        "metric | unit | family | R² (ceiling) | Kendall | Spearman | MAE | seeds' SD | coverage",
        rows,
    )


def _best_quarter(quality: Quality) -> list[str]:
    """Where optimizers work: figures of the truly best quarter alone."""
    rows = []
    for name, target in of_kind(quality, "metric").items():
        best = target.get("best_quarter", {})
        if best.get("cells"):
            rows.append(
                (
                    name,
                    str(best["cells"]),
                    f"{shown(best['r2'])} ({shown(best['r2_ceiling'])})",
                    f"{shown(best['kendall_tau'])} ({shown(best['kendall_tau_between_seeds'])})",
                    small(best["mean_absolute_error"]),
                    small(best["bias"]),
                    small(best["seed_standard_deviation"]),
                )
            )
    return _table(
        "The best quarter in full",
        "The quarter of configurations that is truly best, held out as above; R² is of the "
        "differences inside it, the bias predicted minus true.",
        "metric | configurations | R² (ceiling) | Kendall (between seeds) | MAE | bias "
        "| seeds' SD",
        rows,
    )


def _draws(quality: Quality) -> list[str]:
    """What a seed draws, beside what seeds did."""
    rows = []
    for name, draws in quality.get("draws", {}).items():
        best = draws["best"]
        rows.append(
            (
                name,
                *(f"{small(r['measured'])}, {small(r['drawn'])}" for r in draws["regions"]),
                "-" if best["measured"] is None else f"{best['measured']:.5g}",
                " / ".join(f"{value:.5g}" for value in best["drawn"]) or "-",
            )
        )
    return _table(
        "Draws of a seed",
        "Standard deviation between seeds in full, measured and drawn, in quarters of the "
        "configurations by what is expected of them, the best first; and the best value of the "
        "measured table (its most frequent seed), beside those of drawn tables.",
        "metric | best quarter | second | third | worst | best value | of drawn tables",
        rows,
    )


def _left_out(quality: Quality) -> list[str]:
    """What has no signal, and what bounds of time and memory kept out."""
    lines = quality.get("left_out", [])
    return ["## Left out", "", *(f"- {line}." for line in lines)] if lines else []


def _statuses(quality: Quality) -> list[str]:
    rows = []
    for name, target in of_kind(quality, "probability").items():
        full = at_highest(target)
        rows.append(
            (
                name,
                target["family"],
                percent(full.get("share")),
                f"{small(full.get('brier'))} ({small(full.get('brier_of_the_share'))})",
                shown(full.get("auc")),
                percent(full.get("right_status")),
            )
        )
    if not rows:
        return ["## Statuses", "", "Every run of the table is ok, and so is every answer."]
    return _table(
        "Statuses",
        "Brier score: the mean squared error of the probability; beside it, that of answering the "
        "share everywhere.",
        "probability | family | share | Brier (of the share) | AUC | right status",
        rows,
    )


def _costs(quality: Quality) -> list[str]:
    if not quality["resources"]:
        return ["## Costs", "", "The table has none: `cost_seconds` is NaN."]
    return _table(
        "Costs",
        "Positive and never falling along a fidelity, by construction.",
        "quantity | family | R² | Kendall | MAE | median relative error",
        [
            (
                name,
                ", ".join(cost["families"]),
                shown(cost["r2"]),
                shown(cost["kendall_tau"]),
                small(cost["mean_absolute_error"]),
                percent(cost["median_relative_error"]),
            )
            for name, cost in quality["resources"].items()
        ],
    )


def _by_fidelity(quality: Quality) -> list[str]:
    return _table(
        "By fidelity",
        "",
        "metric | fidelity | R² (ceiling) | Kendall | Spearman | MAE | coverage",
        [
            (
                name,
                ", ".join(f"{axis} {value:g}" for axis, value in figures["fidelity"].items()),
                *_fit(figures),
                small(figures["mean_absolute_error"]),
                _coverage(figures),
            )
            for name, target in of_kind(quality, "metric").items()
            for figures in (target["by_fidelity"] if len(target["by_fidelity"]) > 1 else ())
        ],
    )


def _extrapolation(quality: Quality) -> list[str]:
    return _table(
        "Held-out regions",
        "One level of an axis left out, the rest fitted, in full. An edge is extrapolation, an "
        "inner level interpolation.",
        "metric | left out | R² | Kendall | MAE | coverage of 90 %",
        [
            (
                name,
                f"{region['axis']} {region['left_out']} ({region['kind']})",
                shown(region["r2"]),
                shown(region["kendall_tau"]),
                small(region["mean_absolute_error"]),
                percent(region["coverage"]["0.9"]),
            )
            for name, target in of_kind(quality, "metric").items()
            for region in target["extrapolation"]
        ],
    )


def _families(quality: Quality) -> list[str]:
    names = list(quality["families"])
    return [
        "## Families compared",
        "",
        *(f"- {name}: {summary}" for name, summary in quality["families"].items()),
        "",
        f"Held-out squared error as a share of the variance. Chosen: {quality['method']['family']}"
        ".",
        "",
        *_rows(
            f"target | {' | '.join(names)} | chosen",
            [
                (
                    name,
                    *(small(target["held_out_error"].get(family)) for family in names),
                    target["family"],
                )
                for name, target in quality["targets"].items()
            ],
        ),
    ]


def _fit(figures: QualityFigures) -> tuple[str, str, str]:
    """Return R² with its ceiling, and both rank correlations."""
    return (
        f"{shown(figures['r2'])} ({shown(figures['r2_ceiling'])})",
        shown(figures["kendall_tau"]),
        shown(figures["spearman"]),
    )


def _coverage(figures: QualityFigures) -> str:
    return " / ".join(percent(value) for value in figures.get("coverage", {}).values())


def _table(title: str, text: str, header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a section that is a table; none where it has no rows."""
    if not rows:
        return []
    return [f"## {title}", "", *([text, ""] if text else []), *_rows(header, rows)]


def _rows(header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---" * (header.count(" | ") + 1) + "|"
    return [f"| {header} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]
