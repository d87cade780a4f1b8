"""Pictures of a comparison: regret, ranks and fronts over the spending.

Each function draws one picture and writes its caption, which says what is drawn, and what and how
much is left out.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from hpobench_llm.comparison.result import Band, BenchmarkComparison, Comparison
from hpobench_llm.comparison.spending import TRIALS
from hpobench_llm.report.canvas import WIDTH_INCHES, Picture, house_style, svg_of
from hpobench_llm.report.front_view import front_view
from hpobench_llm.report.looks import INK, in_legend_as, looks
from hpobench_llm.report.plots import draw_bands, draw_baselines, regret_scale
from hpobench_llm.report.words import count, counted, label, listed, percent, some, words


def regret_curves(result: BenchmarkComparison, comparison: Comparison) -> Picture:
    """Draw median simple regret against what was spent, with its interval and the noise."""
    bands = {standing.optimizer: standing.regret for standing in result.standings}
    title = f"Regret over {counted(comparison.spending)} on {result.benchmark}"
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 3.9))
        axes = figure.add_axes((0.085, 0.12, _width(bands), 0.85))
        values = np.array([[band.value, band.low, band.high] for band in bands.values()])
        floor_ = regret_scale(axes, values, result.noise_sd)
        if result.noise_sd:
            axes.axhline(result.noise_sd, color=INK, lw=0.9, ls=(0, (1, 2)))
            axes.annotate(
                "noise at one seed", (0, result.noise_sd), (4, 3), size=7.5,
                xycoords=("axes fraction", "data"), textcoords="offset points",
            )  # fmt: skip
        _draw_bands(axes, bands, result.grid, floor_)
        axes.set(xlabel=counted(comparison.spending))
        # A product of units is long, and says little.
        several = len(result.objectives) > 1
        axes.set(
            ylabel="median missing hypervolume"
            if several
            else label("median simple regret", result.unit)
        )
        caption = regret_caption(result, comparison, _after(comparison))
        if floor_:
            caption += " Regret 0 has no logarithm and is drawn on the line marked 0."
        return Picture(svg_of(figure, title), caption)


def regret_caption(result: BenchmarkComparison, comparison: Comparison, along: str) -> str:
    """Describe curves of regret `along` something."""
    optimum = "the known optimum" if result.optimum_known else "the best known"
    subject = f"regret of the {words(result.metric)}"
    meaning = f"the best trial so far loses against {optimum}"
    if len(result.objectives) > 1:
        names = listed([words(objective.name) for objective in result.objectives])
        subject = f"regret of the hypervolume of {names}"
        front = "the benchmark's front" if result.optimum_known else "the best known front"
        meaning = f"the trials so far lack to {front}"
    text = (
        f"Median simple {subject} {along}, over "
        f"{count(len(result.seeds), 'seed')}: what {meaning}. "
        f"Bands are pointwise {percent(1 - comparison.alpha)} bootstrap intervals."
    )
    if result.noise_sd:
        text += (
            " Dotted: the noise between configurations at one seed, a standard deviation; below "
            "it, one run each can hardly tell two configurations apart."
        )
    return text


def rank_curves(comparison: Comparison) -> Picture:
    """Draw every optimizer's mean rank against what was spent, with its interval."""
    bands = {ranked.optimizer: ranked.rank for ranked in comparison.ranking}
    spent = counted(comparison.spending)
    grid = comparison.grid
    if grid is None:
        points = len(comparison.ranking[0].rank.value)
        grid = tuple(100.0 * point / points for point in range(1, points + 1))
        spent = f"share of each benchmark's {spent} (%)"
    title = f"Mean rank over {spent}"
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 3.3))
        axes = figure.add_axes((0.085, 0.14, _width(bands), 0.83))
        axes.set_ylim(0.85, len(bands) + 0.15)
        axes.yaxis.set_major_locator(FixedLocator(range(1, len(bands) + 1)))
        _draw_bands(axes, bands, grid, None)
        axes.set(xlabel=spent, ylabel="mean rank (1 is best)")
        return Picture(svg_of(figure, title), _rank_caption(comparison))


def _rank_caption(comparison: Comparison) -> str:
    """Describe the curves of ranks."""
    where = comparison.benchmarks[0].benchmark
    if len(comparison.benchmarks) > 1:
        where = f"{len(comparison.benchmarks)} benchmarks, each weighing alike"
    return (
        f"Mean rank by regret {_after(comparison)}, over all seeds on {where}; ties share their "
        f"mean rank. Bands are pointwise {percent(1 - comparison.alpha)} intervals by Student's t."
    )


def attained_fronts(result: BenchmarkComparison) -> Picture | None:
    """Draw the fronts that half of the seeds attained, the benchmark's own, and baselines."""
    fronts = {s.optimizer: s.front for s in result.standings if s.front}
    if not result.front:
        return None
    view = front_view(result)
    first, second = result.objectives
    title = f"Fronts on {result.benchmark}"
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 4.3))
        axes = figure.add_axes((0.085, 0.11, 0.9, 0.78))
        axes.grid(visible=True, axis="both")
        styles = looks([*fronts])
        for name, front in fronts.items():
            colour, dashes = styles[name]
            line = np.array(view.path(front))
            axes.plot(
                *line.T,
                ls=dashes,
                color=colour,
                lw=1.7,
                drawstyle="steps-post",
                label=in_legend_as(name),
            )
        line = np.array(view.path(result.front))
        axes.plot(*line.T, "-", color=INK, lw=0.9, drawstyle="steps-post")
        axes.plot(*np.array(result.front).T, "o", color=INK, ms=3.5, label="Pareto front")
        draw_baselines(axes, view)
        axes.set(xlim=(view.low[0], view.high[0]), ylim=(view.low[1], view.high[1]))
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.01), ncols=5, handletextpad=0.4,
            columnspacing=1.4,
        )  # fmt: skip
        axes.set(xlabel=label(first.name, first.unit), ylabel=label(second.name, second.unit))
        return Picture(svg_of(figure, title), _front_caption(result) + view.words)


def _front_caption(result: BenchmarkComparison) -> str:
    """Describe the lines, and name the optimizers without one."""
    text = (
        f"What at least half of the {count(len(result.seeds), 'seed')} attained at the end of the "
        "budget: a trial as good as every point on the line, or better, in both objectives. In "
        "black the benchmark's own Pareto front"
    )
    text += "." if result.optimum_known else ", as far as it is known."
    if nothing := [s.optimizer for s in result.standings if not s.front]:
        text += f" Half of the seeds of {some(nothing)} found nothing."
    return text


def _after(comparison: Comparison) -> str:
    """Return in words the axis along which curves run."""
    if comparison.spending == TRIALS:
        return "after each trial"
    return f"over the {counted(comparison.spending)} spent"


def _draw_bands(
    axes: Axes, bands: Mapping[str, Band], grid: Sequence[float], floor_: float | None
) -> None:
    """Draw each optimizer's curve as steps, its band, and its name at the end."""
    draw_bands(axes, bands, grid, floor_, 1.7)
    styles = looks([*bands])
    ends = []
    for name, band in bands.items():
        end = floor_ if floor_ is not None and band.value[-1] <= 0 else band.value[-1]
        ends.append((axes.transData.transform((0, end))[1], name, styles[name][0]))
    height = axes.transAxes.transform((0, 1))[1] - axes.transAxes.transform((0, 0))[1]
    heights = [axes.transAxes.inverted().transform((0, end))[1] for end, *_ in sorted(ends)]
    for position, (_, name, colour) in zip(
        _apart(heights, 15 / height), sorted(ends), strict=True
    ):
        axes.text(
            1.012,
            position,
            name,
            color=colour,
            transform=axes.transAxes,
            va="center",
            weight="bold",
        )


def _width(names: Iterable[str]) -> float:
    """Return the share of a figure's width for axes, so that names fit beside them."""
    return max(0.4, 0.915 - max(0.14, 0.03 + 0.0098 * max(map(len, names))))


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Return ascending heights moved apart, none above 1 unless they fill the axes."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + least) if moved else height)
    # Pushing up may have gone too far: push down from the top.
    ceiling = max(1.0, least * (len(moved) - 1))
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], ceiling)
        ceiling = moved[number] - least
    return moved
