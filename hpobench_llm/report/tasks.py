"""What a study says over tasks, and what single runs would have said: words and a picture."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from hpobench_llm.comparison.result import Comparison, OverTasks
from hpobench_llm.comparison.single_runs import OBJECTIVE
from hpobench_llm.report.canvas import WIDTH_INCHES, Picture, house_style, svg_of
from hpobench_llm.report.looks import INK, looks
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
    """Return what holds over tasks, in a few sentences; with one task, that nothing does."""
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
    """Return how often a single run each would have said the opposite, over all pairs."""
    parts = []
    for metric in _metrics(comparison):
        found = [runs for runs in comparison.single_runs if runs.metric == metric]
        mean = sum(runs.opposite for runs in found) / len(found)
        worst = max(found, key=lambda runs: runs.opposite)
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
    found = []
    if tasks is not None:
        width = max(12, *(len(ranked.optimizer) for ranked in tasks.ranking))
        found.append(f"over {len(tasks.tasks)} tasks")
        found.append(f"  {'optimizer':<{width}} {'mean rank':<20} mean regret (1: typical)")
        for ranked in tasks.ranking:
            regret = interval(ranked.regret) if ranked.regret else "not known"
            found.append(
                f"  {ranked.optimizer:<{width}} {rank_interval(ranked.rank):<20} {regret}"
            )
    return [*found, verdict(comparison), *filter(None, [by_single_runs(comparison)]), ""]


def rows_of_single_runs(comparison: Comparison) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the metrics' names, and for each pair its single runs by each of them."""
    metrics = _metrics(comparison)
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for runs in comparison.single_runs:
        row = pairs.setdefault((runs.first, runs.second), {})
        row |= {"first": runs.first, "second": runs.second, runs.metric: runs}
    cells = [row | {"cells": [row[metric] for metric in metrics]} for row in pairs.values()]
    return [_named(metric) for metric in metrics], cells


def rank_intervals(tasks: OverTasks, alpha: float) -> Picture:
    """Draw every optimizer's mean rank over tasks with its interval, and who is not told apart."""
    title = "Mean rank over tasks"
    chosen = looks([ranked.optimizer for ranked in tasks.ranking])
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 0.95 + 0.27 * len(tasks.ranking)))
        height = figure.get_size_inches()[1]
        axes = figure.add_axes((0.19, 0.5 / height, 0.66, 1 - 0.6 / height))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        for row, ranked in enumerate(tasks.ranking):
            colour, _ = chosen[ranked.optimizer]
            axes.plot([ranked.rank.low, ranked.rank.high], [row, row], color=colour, lw=1.7)
            axes.plot(ranked.rank.value, row, "o", color=colour, ms=5.5)
            place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(
                -0.02, row, ranked.optimizer, ha="right", color=colour, weight="bold", **place
            )
        order = [ranked.optimizer for ranked in tasks.ranking]
        for number, group in enumerate(tasks.groups):
            ends = [order.index(group[0]) - 0.25, order.index(group[-1]) + 0.25]
            axes.plot(
                [1.03 + 0.025 * number] * 2, ends, color=INK, lw=3, clip_on=False,
                transform=axes.get_yaxis_transform(), solid_capstyle="butt",
            )  # fmt: skip
        axes.set(xlim=(0.8, len(order) + 0.2), ylim=(len(order) - 0.4, -0.6))
        axes.xaxis.set_major_locator(FixedLocator(range(1, len(order) + 1)))
        axes.yaxis.set_major_locator(NullLocator())
        axes.spines["left"].set_visible(False)
        axes.set(xlabel="mean rank over tasks (1 is best)")
        return Picture(svg_of(figure, title), _caption(tasks, alpha))


def _caption(tasks: OverTasks, alpha: float) -> str:
    text = (
        f"Mean final rank over {len(tasks.tasks)} tasks, each weighing alike, with "
        f"{percent(1 - alpha)} intervals: tasks are drawn again with replacement, and seeds "
        "within each. A bar at the right joins optimizers of which no pair is told apart over "
        "tasks (Wilcoxon's signed-rank test on one value a task, Holm's correction)."
    )
    return text if tasks.groups else text.replace("A bar at the right joins", "A bar would join")


def _metrics(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(runs.metric for runs in comparison.single_runs))


def _named(metric: str) -> str:
    return {OBJECTIVE: "the objective", "score": "a score"}.get(metric, f"the {words(metric)}")
