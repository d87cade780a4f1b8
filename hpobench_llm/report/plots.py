"""A comparison on matplotlib's axes: curves, ranks, fronts, and critical differences.

Nothing here sets a style: fonts, sizes and widths are those of matplotlib's rcParams. An optimizer
has one colour and one dash pattern in all pictures, those of the report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from hpobench_llm.comparison.over_tasks import runs_of_ties
from hpobench_llm.comparison.result import Band, BenchmarkComparison, Comparison
from hpobench_llm.report.canvas import log_ticks
from hpobench_llm.report.front_view import FrontView, front_view
from hpobench_llm.report.looks import in_legend_as, looks
from hpobench_llm.report.words import counted, label

ROOM = 0.34  # of a row, for each bar of a critical-difference picture


def draw_regret(axes: Axes, result: BenchmarkComparison, comparison: Comparison) -> float | None:
    """Draw median simple regret over what was spent, with its interval and the noise.

    Returns the height at which 0, which has no logarithm, is drawn; None if no value is 0.
    """
    bands = {standing.optimizer: standing.regret for standing in result.standings}
    values = np.array([[band.value, band.low, band.high] for band in bands.values()])
    floor = regret_scale(axes, values, result.noise_sd)
    if result.noise_sd:
        ink = rcParams["text.color"]
        axes.axhline(result.noise_sd, color=ink, lw=0.9, ls=(0, (1, 2)))
        axes.annotate(
            "noise at one seed", (0, result.noise_sd), (4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", size="small",
        )  # fmt: skip
    draw_bands(axes, bands, result.grid, floor)
    several = len(result.objectives) > 1  # a product of units is long, and says little
    name = "median missing hypervolume" if several else label("median simple regret", result.unit)
    axes.set(xlabel=counted(comparison.spending), ylabel=name)
    return floor


def draw_ranks(axes: Axes, comparison: Comparison) -> None:
    """Draw every optimizer's mean rank over what was spent, with its interval."""
    bands = {ranked.optimizer: ranked.rank for ranked in comparison.ranking}
    axes.set_ylim(0.85, len(bands) + 0.15)
    axes.yaxis.set_major_locator(FixedLocator(range(1, len(bands) + 1)))
    draw_bands(axes, bands, rank_grid(comparison), None)
    axes.set(xlabel=rank_axis(comparison), ylabel="mean rank (1 is best)")


def rank_grid(comparison: Comparison) -> Sequence[float]:
    """Return the amounts of the ranks: per cent, if the benchmarks' budgets differ."""
    if comparison.grid is not None:
        return comparison.grid
    points = len(comparison.ranking[0].rank.value)
    return tuple(100.0 * point / points for point in range(1, points + 1))


def rank_axis(comparison: Comparison) -> str:
    """Return the label of the axis along which ranks are drawn."""
    spent = counted(comparison.spending)
    return spent if comparison.grid is not None else f"share of each benchmark's {spent} (%)"


def draw_fronts(axes: Axes, result: BenchmarkComparison) -> None:
    """Draw the fronts that half of the seeds attained, the benchmark's own, and baselines."""
    front, view = result.front or (), front_view(result)
    fronts = {s.optimizer: s.front for s in result.standings if s.front}
    first, second = result.objectives
    styles = looks([*fronts])
    for name, corners in fronts.items():
        colour, dashes = styles[name]
        line = np.array(view.path(corners)).T
        axes.plot(
            *line,
            ls=dashes,
            color=colour,
            drawstyle="steps-post",
            label=in_legend_as(name),
        )
    ink = rcParams["text.color"]
    axes.plot(*np.array(view.path(front)).T, "-", color=ink, lw=0.9, drawstyle="steps-post")
    axes.plot(*np.array(front).T, "o", color=ink, ms=3.5, label="Pareto front")
    draw_baselines(axes, view)
    axes.set(xlim=(view.low[0], view.high[0]), ylim=(view.low[1], view.high[1]))
    axes.set(xlabel=label(first.name, first.unit), ylabel=label(second.name, second.unit))


def draw_baselines(axes: Axes, view: FrontView) -> None:
    """Draw the points of each method with a marker of its own."""
    for method, points, marker, _ in view.marked():
        axes.plot(
            *np.array(points).T, marker, ls="", ms=5, mfc="none", mec=rcParams["text.color"],
            label=method, clip_on=False,
        )  # fmt: skip


def draw_critical_difference(axes: Axes, comparison: Comparison) -> None:
    """Draw mean ranks on a line, and bars that join optimizers whose pairs are all ties.

    Demsar (2006), Statistical comparisons of classifiers over multiple data sets. The ranks and
    the tests of pairs, with Holm's correction, are over tasks; with one task over its seeds.
    """
    tasks = comparison.tasks
    ranks = {r.optimizer: r.rank.last.value for r in comparison.ranking}
    groups = runs_of_ties([*ranks], comparison.pairs)
    if tasks is not None:
        ranks = {ranked.optimizer: ranked.rank.value for ranked in tasks.ranking}
        groups = tasks.groups
    names, styles = [*ranks], looks([*ranks])
    ink, count = rcParams["axes.edgecolor"], len(names)
    ends = (1.0, max(2.0, float(count)))
    room = 0.03 * (ends[1] - ends[0])
    first = ROOM * (len(groups) + 1) + 0.4
    half = (count + 1) // 2
    for number, name in enumerate(names):
        left = number < half
        row = first + (number if left else count - 1 - number)
        side, end = (-room, ends[0]) if left else (room, ends[1])
        colour, _ = styles[name]
        axes.plot([ranks[name]] * 2 + [end + side], [0, row, row], color=colour, clip_on=False)
        text = axes.annotate(
            name, (end + side, row), (-4 if left else 4, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", color=colour, annotation_clip=False,
        )  # fmt: skip
        text.set_in_layout(True)
    for level, group in enumerate(groups):
        bar = [ranks[group[0]] - room / 2, ranks[group[-1]] + room / 2]
        height = ROOM * (level + 1)
        axes.plot(bar, [height] * 2, color=rcParams["text.color"], lw=3, solid_capstyle="butt")
    axes.set(xlim=ends, ylim=(first + half - 0.5, 0))
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(NullLocator())
    axes.grid(visible=False)
    for side_ in ("left", "right", "bottom"):
        axes.spines[side_].set_visible(False)
    axes.spines["top"].set(visible=True, color=ink)
    blocks = f"{len(tasks.tasks)} tasks" if tasks else f"seeds of {_where(comparison)}"
    axes.set_xlabel(f"mean rank over {blocks} (1 is best)")


def fit_critical_difference(axes: Axes) -> None:
    """Make the figure of such a picture, alone in it, as high as its rows need."""
    rows = axes.get_ylim()[0]
    axes.figure.set_figheight(0.6 + 0.35 * rows)  # type: ignore[union-attr]


def _where(comparison: Comparison) -> str:
    return ", ".join(result.benchmark for result in comparison.benchmarks)


def add_legend(axes: Axes, *, beside: bool) -> None:
    """Name the curves: beside axes with a figure of their own, else inside them."""
    if beside:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    else:
        axes.legend()


def draw_bands(
    axes: Axes,
    bands: Mapping[str, Band],
    grid: Sequence[float],
    floor: float | None,
    width: float | None = None,
) -> None:
    """Draw each optimizer's curve as steps with its band, and 0 at `floor` if there is one."""
    styles = looks([*bands])
    for name, band in bands.items():
        colour, dashes = styles[name]
        curves = np.array([band.value, band.low, band.high])
        if floor is not None:
            # 0 has no logarithm.
            curves = np.where(curves <= 0, floor, curves)
        axes.fill_between(grid, curves[1], curves[2], step="post", color=colour, alpha=0.13, lw=0)
        axes.plot(
            grid, curves[0], ls=dashes, color=colour, lw=width, drawstyle="steps-post",
            marker="o" if len(grid) == 1 else "", ms=4, clip_on=False, label=in_legend_as(name),
        )  # fmt: skip
    axes.set_xlim(grid[0], grid[-1] if len(grid) > 1 else grid[0] + 1)
    integer = all(float(point).is_integer() for point in grid)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=integer, min_n_ticks=1))


def regret_scale(axes: Axes, values: Any, noise: float | None) -> float | None:
    """Set a logarithmic axis; return the height at which 0 is drawn, None if no value is 0."""
    positive = values[values > 0]
    if not positive.size:
        top = 2 * (noise or 0.5)
        axes.set_ylim(-0.05 * top, top)
        axes.yaxis.set_major_locator(FixedLocator([0]))
        return 0.0
    low, high = min(positive.min(), noise or np.inf), max(positive.max(), noise or 0.0)
    floor = low / (high / low) ** 0.1 / 1.3 if positive.size < values.size else None
    axes.set_yscale("log")
    axes.set_ylim((floor or low) / 1.08, high * 1.15)
    log_ticks(axes.yaxis, low, high)
    if floor:
        axes.spines["bottom"].set_visible(False)
        axes.axhline(floor, color=rcParams["axes.edgecolor"], lw=0.8)
        axes.text(
            -0.008, floor, "0", transform=axes.get_yaxis_transform(), ha="right", va="center",
            size=rcParams["ytick.labelsize"],
        )  # fmt: skip
    return floor
