"""The report's pictures, as SVG text: equal inputs give equal bytes.

Text stays text, so that it can be selected and read aloud; its font is the page's.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from io import StringIO
from math import ceil, floor, log10
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.looks import ALARM, DOT, GRID, INK, MUTED, looks
from hpobench_llm.report.words import counted, label, number, words
from hpobench_llm.space import Categorical
from hpobench_llm.studies.comparison import Band, BenchmarkComparison, Comparison

WIDTH_INCHES = 8.6
MANY_POINTS = 3000  # beyond this, dots become pixels: a page should stay below a few megabytes
MANY_VALUES = 16  # beyond this, an axis is drawn as continuous

_STYLE: dict[str, Any] = {
    "font.size": 8.5,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
}


def regret_curves(result: BenchmarkComparison, comparison: Comparison) -> str:
    """Draw median simple regret against what was spent, with its interval and the seed noise."""
    bands = {standing.optimizer: standing.regret for standing in result.standings}
    title = f"Regret over {counted(comparison.spending)} on {result.benchmark}"
    with _style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 3.9))
        axes = figure.add_axes((0.085, 0.12, 0.775, 0.85))
        values = np.array([[band.value, band.low, band.high] for band in bands.values()])
        floor_ = _regret_scale(axes, values, result.noise_sd)
        if result.noise_sd:
            axes.axhline(result.noise_sd, color=INK, lw=0.9, ls=(0, (1, 2)))
            place: dict[str, Any] = {
                "xycoords": ("axes fraction", "data"),
                "textcoords": "offset points",
            }
            axes.annotate("seed noise", (0, result.noise_sd), (4, 3), size=7.5, **place)
        _draw_bands(axes, bands, result.grid, floor_)
        axes.set(xlabel=counted(comparison.spending))
        # A product of units is long, and says little.
        several = len(result.objectives) > 1
        axes.set(
            ylabel="median missing hypervolume"
            if several
            else label("median simple regret", result.unit)
        )
        return _svg(figure, title)


def rank_curves(comparison: Comparison) -> str:
    """Draw every optimizer's mean rank against what was spent, with its interval."""
    bands = {ranked.optimizer: ranked.rank for ranked in comparison.ranking}
    spent = counted(comparison.spending)
    grid = comparison.grid
    if grid is None:
        points = len(comparison.ranking[0].rank.value)
        grid = tuple(100.0 * point / points for point in range(1, points + 1))
        spent = f"share of each benchmark's {spent} (%)"
    title = f"Mean rank over {spent}"
    with _style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 3.3))
        axes = figure.add_axes((0.085, 0.14, 0.775, 0.83))
        axes.set_ylim(0.85, len(bands) + 0.15)
        axes.yaxis.set_major_locator(FixedLocator(range(1, len(bands) + 1)))
        _draw_bands(axes, bands, grid, None)
        axes.set(xlabel=spent, ylabel="mean rank (1 is best)")
        return _svg(figure, title)


def attained_fronts(result: BenchmarkComparison) -> str | None:
    """Draw what half of the seeds attained of two objectives, and the benchmark's front."""
    fronts = {s.optimizer: s.front for s in result.standings if s.front}
    if not result.front:
        return None
    first, second = result.objectives
    title = f"Fronts on {result.benchmark}"
    with _style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 4.3))
        axes = figure.add_axes((0.085, 0.11, 0.9, 0.78))
        axes.grid(visible=True, axis="both")
        points = np.array([point for front in (result.front, *fronts.values()) for point in front])
        span = np.ptp(points, axis=0)
        margin = 0.06 * np.where(span > 0, span, 1.0)
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        # A front goes on at its ends: from there on one objective buys nothing of the other.
        bad = [
            h if o.direction == "minimize" else lo
            for o, lo, h in zip((first, second), low, high, strict=True)
        ]
        chosen = looks([*fronts])
        for name, front in fronts.items():
            colour, dashes = chosen[name]
            line = np.array([(front[0][0], bad[1]), *front, (bad[0], front[-1][1])])
            axes.plot(*line.T, ls=dashes, color=colour, lw=1.7, drawstyle="steps-post", label=name)
        line = np.array(
            [(result.front[0][0], bad[1]), *result.front, (bad[0], result.front[-1][1])]
        )
        axes.plot(*line.T, "-", color=INK, lw=0.9, drawstyle="steps-post")
        axes.plot(*np.array(result.front).T, "o", color=INK, ms=3.5, label="Pareto front")
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.01), "ncols": 5}
        axes.legend(**place, handletextpad=0.4, columnspacing=1.4)
        axes.set(xlabel=label(first.name, first.unit), ylabel=label(second.name, second.unit))
        return _svg(figure, title)


def score_against_objective(facts: BenchmarkFacts) -> str | None:
    """Draw score against objective of every configuration; None without a score or a run."""
    if facts.score is None or not facts.finished(facts.metric, facts.score).any():
        return None
    done, beyond = facts.finished(facts.metric, facts.score), facts.beyond_edge()
    x, y = facts.column(facts.metric.name), facts.column(facts.score.name)
    x = np.where(beyond, facts.edge(), x)
    rates = facts.column("lr") if "lr" in facts.varied() else np.zeros(0)
    coloured = bool(len(rates)) and bool((rates > 0).all())

    def dots(axes: Axes, px: Any, py: Any, rows: Any, **more: Any) -> Any:
        scale: dict[str, Any] = (
            {"cmap": "viridis", "norm": LogNorm(rates.min(), rates.max())} if coloured else {}
        )
        return axes.scatter(
            px, py, c=rates[rows] if coloured else DOT, s=20, lw=0.35, edgecolors="white",
            rasterized=len(x) > MANY_POINTS, **scale, **more,
        )  # fmt: skip

    title = f"{words(facts.score.name)} against {words(facts.metric.name)} on {facts.name}"
    with _style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 4.3))
        axes = figure.add_axes((0.085, 0.11, 0.68, 0.81))
        axes.grid(visible=True, axis="both")
        inside, outside = done & ~beyond, done & beyond
        drawn = dots(axes, x[inside], y[inside], inside)
        dots(axes, x[outside], y[outside], outside, marker=">", clip_on=False)
        for metric, marker, size in ((facts.metric, "o", 10), (facts.score, "D", 9)):
            row = facts.best_row(metric)
            mark: dict[str, Any] = {"mfc": "none", "mec": INK, "mew": 1.3, "ls": "", "ms": size}
            axes.plot(x[row], y[row], marker, label=f"best {words(metric.name)}", **mark)
        base = [facts.base_values.get(m.name, np.nan) for m in (facts.metric, facts.score)]
        if np.isfinite(base).all():
            axes.plot(*base, "X", ms=9, color=ALARM, mec="white", ls="", label="untrained base")
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.01), "ncols": 3}
        axes.legend(**place, handletextpad=0.2, columnspacing=1.4)
        axes.set(xlabel=label(facts.metric.name, facts.metric.unit))
        axes.set(ylabel=label(facts.score.name, facts.score.unit))
        if not done.all():
            _draw_unfinished(figure, dots, np.flatnonzero(~done), rates)
        if coloured:
            bar = figure.colorbar(drawn, cax=figure.add_axes((0.93, 0.11, 0.014, 0.81)))
            _log_ticks(bar.ax.yaxis, rates.min(), rates.max())
            bar.ax.set_title("learning rate", size=7.5, color=MUTED, loc="center")
        return _svg(figure, title)


def objective_by_axis(facts: BenchmarkFacts) -> str | None:
    """Draw the objective along each hyperparameter, the best over the rest as a line.

    None if no hyperparameter varies or no run finished.
    """
    names, done = facts.varied(), facts.finished(facts.metric)
    if not names or not done.any():
        return None
    columns = max(2, len(names)) if len(names) <= 4 else 3
    rows = ceil(len(names) / columns)
    title = f"{words(facts.metric.name)} by hyperparameter on {facts.name}"
    with _style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 2.35 * rows))
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        figure.subplots_adjust(0.085, 0.2 / rows, 0.985, 1 - 0.09 / rows, 0.07, 0.42)
        losses = facts.metric.to_loss(1.0) * facts.column(facts.metric.name)
        best, middle = losses[done].min(), np.median(losses[done])
        # The bad half of a table is wide and teaches little; the counts on top say what is cut.
        limit = best + 3 * (middle - best)
        for axes, name in zip(panels, names, strict=False):
            _draw_axis(axes, facts, name, done & (losses <= limit), 72 // columns)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel(label(facts.metric.name, facts.metric.unit))
        margin = 0.05 * (limit - best) or 0.5
        bounds = facts.metric.to_loss(1.0) * np.array([best - margin, limit + margin])
        panels[0].set_ylim(*sorted(bounds))
        return _svg(figure, title)


def _style(title: str) -> AbstractContextManager[None]:
    """Set the house style until the block is left; the salt keeps ids apart on one page."""
    return style.context(["default", {**_STYLE, "svg.hashsalt": title}])


def _svg(figure: Figure, title: str) -> str:
    """Return a figure as an SVG element without size, date or fonts of its own."""
    stream = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    # Ids that nothing refers to would repeat from picture to picture.
    text = re.sub(r' id="[a-zA-Z0-9.]+_[\d_]+"', "", text)
    text = re.sub(r" font-family: [^;\"]*;?", "", text)
    head, end, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title)}"{end}{body}'


def _draw_bands(
    axes: Axes, bands: Mapping[str, Band], grid: Sequence[float], floor_: float | None
) -> None:
    """Draw each optimizer's curve as steps, its band, and its name at the end."""
    chosen = looks([*bands])
    ends = []
    for name, band in bands.items():
        colour, dashes = chosen[name]
        curves = np.array([band.value, band.low, band.high])
        if floor_ is not None:
            curves = np.where(curves <= 0, floor_, curves)
        axes.fill_between(grid, curves[1], curves[2], step="post", color=colour, alpha=0.13, lw=0)
        axes.plot(
            grid, curves[0], ls=dashes, color=colour, lw=1.7, drawstyle="steps-post",
            marker="o" if len(grid) == 1 else "", ms=4, clip_on=False,
        )  # fmt: skip
        ends.append((axes.transData.transform((0, curves[0, -1]))[1], name, colour))
    axes.set_xlim(grid[0], grid[-1] if len(grid) > 1 else grid[0] + 1)
    whole = all(float(point).is_integer() for point in grid)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=whole, min_n_ticks=1))
    height = axes.transAxes.transform((0, 1))[1] - axes.transAxes.transform((0, 0))[1]
    previous = -np.inf
    for end, name, colour in sorted(ends):
        previous = max(axes.transAxes.inverted().transform((0, end))[1], previous + 15 / height)
        place: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "weight": "bold"}
        axes.text(1.012, previous, name, color=colour, **place)


def _regret_scale(axes: Axes, values: Any, noise: float | None) -> float | None:
    """Set a logarithmic axis; return where 0 is drawn, None if no value is 0."""
    positive = values[values > 0]
    if not positive.size:
        top = 2 * (noise or 0.5)
        axes.set_ylim(-0.05 * top, top)
        axes.yaxis.set_major_locator(FixedLocator([0]))
        return 0.0
    low, high = min(positive.min(), noise or np.inf), max(positive.max(), noise or 0.0)
    floor_ = low / (high / low) ** 0.1 / 1.3 if positive.size < values.size else None
    axes.set_yscale("log")
    axes.set_ylim((floor_ or low) / 1.08, high * 1.15)
    _log_ticks(axes.yaxis, low, high)
    if floor_:
        axes.spines["bottom"].set_visible(False)
        axes.axhline(floor_, color=MUTED, lw=0.8)
        axes.text(
            -0.008, floor_, "0", transform=axes.get_yaxis_transform(), ha="right", va="center"
        )
    return floor_


def _log_ticks(axis: Axis, low: float, high: float) -> None:
    """Put few readable numbers on a logarithmic axis, all of them between `low` and `high`."""
    decades = [10.0**e for e in range(floor(log10(low)), ceil(log10(high)) + 1)]
    ticks: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [s * d for d in decades for s in steps if low * 0.999 <= s * d <= high * 1.001]
        if len(ticks) <= 7:
            break
    if len(ticks) < 2:
        ticks = [float(t) for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _draw_unfinished(figure: Figure, dots: Any, rows: Any, rates: Any) -> None:
    """Stack the runs without values beside the picture, by learning rate: no axis places them."""
    axes = figure.add_axes((0.785, 0.11, 0.09, 0.81))
    order = rows[np.argsort(rates[rows], kind="stable")] if len(rates) else rows
    columns = max(5, ceil(len(rows) / 40))
    place = np.arange(len(rows))
    dots(axes, place % columns, place // columns, order, marker="X")
    axes.set(xlim=(-0.7, columns - 0.3), ylim=(-0.8, max(40, ceil(len(rows) / columns)) + 0.5))
    axes.set_axis_off()
    axes.set_title(f"no value: {len(rows)}", size=7.5, color=MUTED, loc="left")


def _draw_axis(axes: Axes, facts: BenchmarkFacts, name: str, shown: Any, letters: int) -> None:
    """Draw one hyperparameter: runs as dots, the best and the median of each value as lines.

    Below the axis there is room for about so many letters.
    """
    dimension = next(d for d in facts.space if d.name == name)
    raw, values = facts.configurations[name].to_numpy(), facts.column(facts.metric.name)
    order: Any = dimension.values.index if isinstance(dimension, Categorical) else None
    levels = sorted(set(raw.tolist()), key=order)
    listed = len(levels) <= MANY_VALUES
    if listed:
        groups = np.array([levels.index(value) for value in raw.tolist()])
        x = groups.astype(np.float64)
        step = 1 + (sum(len(number(v)) + 1 for v in levels) > letters)
        axes.set_xticks(range(0, len(levels), step), [number(v) for v in levels[::step]])
        axes.set_xlim(-0.5, len(levels) - 0.5)
    else:
        x = raw.astype(np.float64)
        groups = np.searchsorted(np.quantile(x, np.linspace(0, 1, 13)[1:-1]), x)
        if not isinstance(dimension, Categorical) and dimension.log:
            axes.set_xscale("log")
            _log_ticks(axes.xaxis, float(x.min()), float(x.max()))
    cloud: dict[str, Any] = {"s": 6, "c": DOT, "alpha": 0.22, "lw": 0}
    axes.scatter(x[shown], values[shown], rasterized=len(x) > MANY_POINTS, **cloud)
    done = facts.finished(facts.metric)
    sign = facts.metric.to_loss(1.0)
    rows = [np.flatnonzero(done & (groups == group)) for group in np.unique(groups[done])]
    centres = [np.median(x[r]) for r in rows]
    axes.plot(centres, [np.median(values[r]) for r in rows], "-", color=MUTED, lw=0.9)
    axes.plot(centres, [sign * np.min(sign * values[r]) for r in rows], "-o", color=INK, ms=3.5)
    if listed:
        top: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center"}
        for place in np.unique(x[~shown]):
            axes.text(place, 1.02, f"{np.sum(x[~shown] == place)}", size=7, color=ALARM, **top)
    axes.set_xlabel(label(name, dimension.unit))
