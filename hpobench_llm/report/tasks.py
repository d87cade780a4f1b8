"""The results of a study over tasks, and those of single runs: words and a picture."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from hpobench_llm.comparison.over_tasks import runs_of_ties
from hpobench_llm.comparison.result import Comparison, Interval, OverTasks
from hpobench_llm.comparison.single_runs import OBJECTIVE
from hpobench_llm.report.canvas import WIDTH_INCHES, Picture, house_style, svg_of
from hpobench_llm.report.looks import INK, looks
from hpobench_llm.report.web import charts
from hpobench_llm.report.words import (
    MANY,
    count,
    interval,
    listed,
    overall,
    percent,
    rank_interval,
    some,
    words,
)


def verdict(comparison: Comparison) -> str:
    """Return the verdict over tasks in a few sentences; with one task, that there is none."""
    tasks = comparison.tasks
    if tasks is None:
        return "One task: all that follows speaks of it alone, and says nothing of a next one."
    first = tasks.ranking[0]
    text = (
        f"Over {len(tasks.tasks)} tasks, drawn again with the seeds within each, "
        f"{first.optimizer} has the lowest mean final rank, {rank_interval(first.rank)}"
    )
    if first.regret:
        text += f", and a mean regret of {interval(first.regret)} typical ones"
    text += f". {overall(tasks.overall)}." if tasks.overall else "."
    least = 2.0 ** (1 - len(tasks.tasks)) * len(tasks.pairs)
    if tasks.pairs and least >= comparison.alpha:
        return (
            f"{text} With {len(tasks.tasks)} tasks and {count(len(tasks.pairs), 'pair')} no "
            "difference, however large, can be significant over tasks: more tasks are needed."
        )
    if not tasks.pairs:
        return text
    decided = sum(pair.verdict != "tie" for pair in tasks.pairs)
    text += f" {decided} of {count(len(tasks.pairs), 'pair')} differ significantly over tasks"
    beaten = [
        p.second for p in tasks.pairs if p.first == first.optimizer and p.verdict == "better"
    ]
    text += f": {first.optimizer} beats {some(beaten)}." if beaten else "."
    groups = [listed([*group]) for group in tasks.groups[:MANY]]
    return f"{text} Not told apart: {'; '.join(groups)}." if groups else text


def by_single_runs(comparison: Comparison) -> str:
    """Return how often a single run of each contradicts the ranking, over all pairs."""
    parts = []
    for metric in _metrics(comparison):
        of_metric = [runs for runs in comparison.single_runs if runs.metric == metric]
        mean = sum(runs.opposite for runs in of_metric) / len(of_metric)
        worst = max(of_metric, key=lambda runs: runs.opposite)
        parts.append(
            f"{percent(mean)} by {_named(metric)} (most for {worst.first} against "
            f"{worst.second}: {percent(worst.opposite)})"
        )
    if not parts:
        return ""
    return (
        "Of two optimizers drawn at random, a single run each would have said the opposite of the "
        f"ranking in {listed(parts)}."
    )


def lines(comparison: Comparison) -> list[str]:
    """Return the verdict over tasks for a terminal: a table of the ranking, then the words."""
    tasks = comparison.tasks
    text = []
    if tasks is not None:
        width = max(12, *(len(ranked.optimizer) for ranked in tasks.ranking))
        text.append(f"over {len(tasks.tasks)} tasks")
        text.append(f"  {'optimizer':<{width}} {'mean rank':<20} mean regret (1: typical)")
        for ranked in tasks.ranking:
            regret = interval(ranked.regret) if ranked.regret else "not known"
            text.append(f"  {ranked.optimizer:<{width}} {rank_interval(ranked.rank):<20} {regret}")
    return [*text, verdict(comparison), *filter(None, [by_single_runs(comparison)]), ""]


def rows_of_single_runs(comparison: Comparison) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the metrics' names, and for each pair its single runs by each of them."""
    metrics = _metrics(comparison)
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for runs in comparison.single_runs:
        row = pairs.setdefault((runs.first, runs.second), {})
        row |= {"first": runs.first, "second": runs.second, runs.metric: runs}
    cells = [row | {"cells": [row[metric] for metric in metrics]} for row in pairs.values()]
    return [_named(metric) for metric in metrics], cells


def first_picture(comparison: Comparison) -> tuple[Picture, charts.Chart] | None:
    """Return the critical-difference picture, drawn and as a chart; over tasks if there are any.

    None if there is nothing to compare.
    """
    if len(comparison.ranking) < 2:
        return None
    if comparison.tasks is not None:
        tasks = comparison.tasks
        return rank_intervals(tasks, comparison.alpha), charts.ranks(
            [(ranked.optimizer, ranked.rank) for ranked in tasks.ranking],
            tasks.groups,
            "Mean rank over tasks",
        )
    rows = [(ranked.optimizer, ranked.rank.last) for ranked in comparison.ranking]
    groups = runs_of_ties([name for name, _ in rows], comparison.pairs)
    result = comparison.benchmarks[0]
    test = "Wilcoxon's signed-rank test" if comparison.paired else "the rank sum test"
    caption = (
        f"Mean final rank over {count(len(result.seeds), 'seed')}, with "
        f"{percent(1 - comparison.alpha)} intervals by Student's t. {_bar(groups)} optimizers of "
        f"which no pair is told apart ({test}, Holm's correction)."
    )
    drawn = _intervals(rows, groups, "Mean final rank", "mean final rank (1 is best)")
    return Picture(drawn, caption), charts.ranks(rows, groups, "Mean final rank")


def rank_intervals(tasks: OverTasks, alpha: float) -> Picture:
    """Draw every optimizer's mean rank over tasks with its interval, and bars for ties."""
    rows = [(ranked.optimizer, ranked.rank) for ranked in tasks.ranking]
    caption = (
        f"Mean final rank over {len(tasks.tasks)} tasks, each weighing alike, with "
        f"{percent(1 - alpha)} intervals: tasks are drawn again with replacement, and seeds "
        f"within each. {_bar(tasks.groups)} optimizers of which no pair is told apart over "
        "tasks (Wilcoxon's signed-rank test on one value a task, Holm's correction)."
    )
    title = "Mean rank over tasks"
    return Picture(_intervals(rows, tasks.groups, title, f"{title.lower()} (1 is best)"), caption)


def _bar(groups: Sequence[Sequence[str]]) -> str:
    return "A bar at the right joins" if groups else "A bar would join"


def _intervals(
    rows: Sequence[tuple[str, Interval]],
    groups: Sequence[Sequence[str]],
    title: str,
    xlabel: str,
) -> str:
    """Draw mean ranks with their intervals, best first, and a bar for each group."""
    order = [name for name, _ in rows]
    styles = looks(order)
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 0.95 + 0.27 * len(rows)))
        height = figure.get_size_inches()[1]
        left = 0.03 + 0.0092 * max(map(len, order))  # as wide as its longest name
        axes = figure.add_axes((left, 0.5 / height, 0.85 - left, 1 - 0.6 / height))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        for row, (name, rank) in enumerate(rows):
            colour, _ = styles[name]
            axes.plot([rank.low, rank.high], [row, row], color=colour, lw=1.7)
            axes.plot(rank.value, row, "o", color=colour, ms=5.5)
            axes.text(
                -0.02, row, name, ha="right", va="center", weight="bold",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
        for number, group in enumerate(groups):
            ends = [order.index(group[0]) - 0.25, order.index(group[-1]) + 0.25]
            axes.plot(
                [1.03 + 0.025 * number] * 2, ends, color=INK, lw=3, clip_on=False,
                transform=axes.get_yaxis_transform(), solid_capstyle="butt",
            )  # fmt: skip
        low, high = min(r.low for _, r in rows), max(r.high for _, r in rows)
        axes.set(xlim=(min(0.8, low), max(len(order) + 0.2, high)))
        axes.set(ylim=(len(order) - 0.4, -0.6))
        axes.xaxis.set_major_locator(FixedLocator(range(1, len(order) + 1)))
        axes.yaxis.set_major_locator(NullLocator())
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=xlabel)
        return svg_of(figure, title)


def _metrics(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(runs.metric for runs in comparison.single_runs))


def _named(metric: str) -> str:
    return {OBJECTIVE: "the objective", "score": "a score"}.get(metric, f"the {words(metric)}")
