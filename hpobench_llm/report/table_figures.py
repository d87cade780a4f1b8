"""Pictures of a table: the values of its configurations, by score and along each axis.

Each function draws one picture and writes its caption, which says what is drawn, and what and how
much is left out.
"""

from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpobench_llm.comparison.inference import rank_correlation
from hpobench_llm.metrics import Metric
from hpobench_llm.report.canvas import WIDTH_INCHES, Picture, house_style, log_ticks, svg_of
from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.looks import ALARM, DOT, INK, MUTED
from hpobench_llm.report.words import count, label, number, words
from hpobench_llm.space import Categorical

MANY_POINTS = 400  # beyond this, dots become pixels: a page should stay below a few megabytes
MANY_VALUES = 16  # beyond this, an axis is drawn as continuous

Mask = NDArray[np.bool_]


def score_against_objective(facts: BenchmarkFacts) -> Picture | None:
    """Draw score against objective of every configuration; None without a score or a run."""
    if facts.score is None or not facts.finished(facts.metric, facts.score).any():
        return None
    done, beyond = facts.finished(facts.metric, facts.score), facts.beyond_edge()
    x, y = facts.column(facts.metric.name), facts.column(facts.score.name)
    # Runs beyond the edge are drawn on it, as triangles.
    x = np.where(beyond, facts.edge(), x)
    rates = facts.column("lr") if "lr" in facts.varied() else np.zeros(0)
    coloured = bool(len(rates)) and bool((rates > 0).all())

    def dots(axes: Axes, px: Any, py: Any, rows: Any, **more: Any) -> Any:
        return axes.scatter(
            px, py, c=rates[rows] if coloured else DOT, s=20, lw=0.35, edgecolors="white",
            rasterized=len(x) > MANY_POINTS, cmap="viridis" if coloured else None,
            norm=LogNorm(rates.min(), rates.max()) if coloured else None, **more,
        )  # fmt: skip

    title = f"{words(facts.score.name)} against {words(facts.metric.name)} on {facts.name}"
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 4.3))
        axes = figure.add_axes((0.085, 0.11, 0.68, 0.81))
        axes.grid(visible=True, axis="both")
        inside, outside = done & ~beyond, done & beyond
        drawn = dots(axes, x[inside], y[inside], inside)
        dots(axes, x[outside], y[outside], outside, marker=">", clip_on=False)
        for metric, marker, size in ((facts.metric, "o", 10), (facts.score, "D", 9)):
            row = facts.best_row(metric)
            axes.plot(
                x[row], y[row], marker, label=f"best {words(metric.name)}", mfc="none", mec=INK,
                mew=1.3, ls="", ms=size,
            )  # fmt: skip
        base = [facts.base_values.get(m.name, np.nan) for m in (facts.metric, facts.score)]
        if np.isfinite(base).all():
            axes.plot(*base, "X", ms=9, color=ALARM, mec="white", ls="", label="untrained base")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.01), ncols=3, handletextpad=0.2,
            columnspacing=1.4,
        )  # fmt: skip
        axes.set(xlabel=label(facts.metric.name, facts.metric.unit))
        axes.set(ylabel=label(facts.score.name, facts.score.unit))
        if not done.all():
            _draw_unfinished(figure, dots, np.flatnonzero(~done), rates)
        if coloured:
            bar = figure.colorbar(drawn, cax=figure.add_axes((0.93, 0.11, 0.014, 0.81)))
            log_ticks(bar.ax.yaxis, rates.min(), rates.max())
            bar.ax.set_title("learning rate", size=7.5, color=MUTED, loc="center")
        return Picture(svg_of(figure, title), _score_caption(facts, facts.score, done, beyond))


def _score_caption(facts: BenchmarkFacts, score: Metric, done: Mask, beyond: Mask) -> str:
    """Describe the runs that are `done`, those `beyond` the edge, and the others."""
    text = score_words(facts, score, done)
    if cut := int((beyond & done).sum()):
        text += f" Triangles at the edge: {count(cut, 'configuration')} beyond the axis."
    if missing := int((~done).sum()):
        text += (
            f" Crosses on the right: {count(missing, 'configuration')} that diverged, failed or "
            "lack a value; their place has no meaning beyond their number."
        )
    return text


def score_words(facts: BenchmarkFacts, score: Metric, done: Mask) -> str:
    """Describe the correlation of score and objective over the runs that are `done`."""
    loss_name, score_name = words(facts.metric.name), words(score.name)
    text = f"{count(int(done.sum()), 'configuration')} of {facts.name}. "
    correlation = rank_correlation(
        facts.metric.to_loss(1.0) * facts.column(facts.metric.name)[done],
        score.to_loss(1.0) * facts.column(score.name)[done],
    )
    if correlation is None:
        text += f"The rank correlation between {loss_name} and {score_name} is undefined."
    else:
        text += (
            f"Between a better {loss_name} and a better {score_name}, Spearman's rho is "
            f"{correlation[0]:.2f} and Kendall's tau {correlation[1]:.2f}; 1 is full agreement."
        )
    score_values = facts.column(score.name)
    text += (
        f" The best {loss_name} comes with a {score_name} of "
        f"{number(score_values[facts.best_row(facts.metric)])}; the best {score_name} is "
        f"{number(score_values[facts.best_row(score)])}."
    )
    return text


def objective_by_axis(facts: BenchmarkFacts) -> Picture | None:
    """Draw the objective along each hyperparameter, the best over the rest as a line.

    None if no hyperparameter varies or no run finished.
    """
    names, done = facts.varied(), facts.finished(facts.metric)
    if not names or not done.any():
        return None
    columns = max(2, len(names)) if len(names) <= 4 else 3
    rows = ceil(len(names) / columns)
    title = f"{words(facts.metric.name)} by hyperparameter on {facts.name}"
    with house_style(title):
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
        return Picture(svg_of(figure, title), _axis_caption(facts))


def _axis_caption(facts: BenchmarkFacts) -> str:
    """Describe the dots and lines, and what is not drawn."""
    constant = [words(name) for name in facts.space.names if name not in facts.varied()]
    text = (
        f"{words(facts.metric.name).capitalize()} along each hyperparameter: every configuration "
        "as a dot, the best over all other hyperparameters in black, the median in grey. "
        "Numbers on top, where an axis is a list, count the configurations that are not drawn "
        "there: they did not finish, or lie beyond the axis."
    )
    return text + (f" Constant, not shown: {', '.join(constant)}." if constant else "")


def _draw_unfinished(figure: Figure, dots: Any, rows: Any, rates: Any) -> None:
    """Stack the runs without values beside the picture, by learning rate: no axis places them."""
    axes = figure.add_axes((0.785, 0.11, 0.09, 0.81))
    order = rows[np.argsort(rates[rows], kind="stable")] if len(rates) else rows
    columns = max(5, ceil(len(rows) / 40))
    number_of = np.arange(len(rows))
    dots(axes, number_of % columns, number_of // columns, order, marker="X")
    axes.set(xlim=(-0.7, columns - 0.3), ylim=(-0.8, max(40, ceil(len(rows) / columns)) + 0.5))
    axes.set_axis_off()
    axes.set_title(f"no value: {len(rows)}", size=7.5, color=MUTED, loc="left")


def _draw_axis(axes: Axes, facts: BenchmarkFacts, name: str, shown: Any, letters: int) -> None:
    """Draw one hyperparameter: runs as dots, the best and the median of each value as lines.

    `letters` is about how many have room below the axis.
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
            log_ticks(axes.xaxis, float(x.min()), float(x.max()))
    axes.scatter(
        x[shown], values[shown], rasterized=len(x) > MANY_POINTS, s=6, c=DOT, alpha=0.22, lw=0
    )
    done = facts.finished(facts.metric)
    sign = facts.metric.to_loss(1.0)
    rows = [np.flatnonzero(done & (groups == group)) for group in np.unique(groups[done])]
    centres = [np.median(x[r]) for r in rows]
    axes.plot(centres, [np.median(values[r]) for r in rows], "-", color=MUTED, lw=0.9)
    axes.plot(centres, [sign * np.min(sign * values[r]) for r in rows], "-o", color=INK, ms=3.5)
    if listed:
        for tick in np.unique(x[~shown]):
            axes.text(
                tick, 1.02, f"{np.sum(x[~shown] == tick)}", size=7, color=ALARM, ha="center",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    axes.set_xlabel(label(name, dimension.unit))
