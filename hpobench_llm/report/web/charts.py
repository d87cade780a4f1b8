"""The data of interactive figures: summaries as plain JSON, a few kilobytes a figure.

`charts.js` draws each `kind`. A curve is a list of steps `[point, value, low, high]`, one for each
point of its axis at which any of the three changes.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.comparison.courses import RESAMPLES, Course
from hpobench_llm.comparison.result import Band, BenchmarkComparison, Comparison, Interval
from hpobench_llm.plain import Json
from hpobench_llm.report.comparison_figures import regret_caption
from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.front_view import front_view
from hpobench_llm.report.table_figures import score_words
from hpobench_llm.report.web.landscape import Panel, panels
from hpobench_llm.report.words import count, counted, label, words

MOST_DOTS = 2500  # of a scatter: beyond this the picture stays a drawing

Chart = Mapping[str, Json]  # `charts.js` makes a Vega specification of it
FloatArray = NDArray[np.float64]


def ranks(
    rows: Iterable[tuple[str, Interval]], groups: Sequence[Sequence[str]], title: str
) -> Chart:
    """Return mean ranks with their intervals, best first, and the groups of ties."""
    listed: list[Json] = [
        {"name": name, "value": [_short(x) for x in (rank.value, rank.low, rank.high)]}
        for name, rank in rows
    ]
    return {
        "kind": "ranks",
        "title": title,
        "label": "mean rank (1 is best)",
        "rows": listed,
        "groups": [[*group] for group in groups],
    }


def regret(
    result: BenchmarkComparison, comparison: Comparison, courses: Sequence[Course] = ()
) -> Chart:
    """Return regret over the spending, in every unit in which that is known."""
    bands = {standing.optimizer: standing.regret for standing in result.standings}
    every = [Course(comparison.spending, result.grid, bands), *courses]
    unit = "" if len(result.objectives) > 1 else result.unit
    name = "median missing hypervolume" if len(result.objectives) > 1 else "median simple regret"
    noise = result.noise_sd
    return {
        "kind": "curves",
        "title": f"Regret on {result.benchmark}",
        "y": {"label": label(name, unit)},
        "axes": [
            {**_axis(course.unit, course.grid), "y": _scale(_flat(course.bands), noise)}
            for course in every
        ],
        "series": [
            {"name": name, "over": [_steps(course.bands[name]) for course in every]}
            for name in bands
        ],
        "rule": {"y": noise, "label": "noise at one seed"} if noise else None,
        "caption": regret_caption(result, comparison, "over what was spent")
        + (f" Over another unit than the budget's, of {RESAMPLES} draws." if courses else ""),
    }


def mean_ranks(comparison: Comparison) -> Chart:
    """Return every optimizer's mean rank over what was spent."""
    points = len(comparison.ranking[0].rank.value)
    axis = _axis(comparison.spending, comparison.grid or range(1, points + 1))
    if comparison.grid is None:
        shares = [100.0 * point / points for point in range(1, points + 1)]
        spent = counted(comparison.spending)
        axis = {"label": f"share of each benchmark's {spent} (%)", "grid": shares}
    return {
        "kind": "curves",
        "title": "Mean rank",
        "y": {"label": "mean rank (1 is best)"},
        "axes": [{**axis, "y": {"log": False, "domain": [0.85, len(comparison.ranking) + 0.15]}}],
        "series": [
            {"name": ranked.optimizer, "over": [_steps(ranked.rank)]}
            for ranked in comparison.ranking
        ],
        "rule": None,
    }


def fronts(result: BenchmarkComparison) -> Chart | None:
    """Return the fronts that half of the seeds attained, the benchmark's own, and baselines."""
    if not result.front:
        return None
    attained = {s.optimizer: s.front for s in result.standings if s.front}
    view = front_view(result)
    low, high = view.low, view.high
    first, second = result.objectives

    def short(points: Sequence[tuple[float, float]]) -> list[list[float]]:
        return [[_short(x), _short(y)] for x, y in points]

    return {
        "kind": "fronts",
        "title": f"Fronts on {result.benchmark}",
        "x": {"label": label(first.name, first.unit), "domain": [low[0], high[0]]},
        "y": {"label": label(second.name, second.unit), "domain": [low[1], high[1]]},
        "series": [
            {"name": name, "path": short(view.path(front))} for name, front in attained.items()
        ],
        "front": short(view.path(result.front)),
        "baselines": [
            {"name": method, "shape": shape, "points": short(points)}
            for method, points, _, shape in view.marked()
        ],
    }


def landscape(facts: BenchmarkFacts) -> Chart | None:
    """Return the objective along each hyperparameter: its best, and the middle half."""
    drawn = panels(facts)
    if not drawn:
        return None
    return {
        "kind": "landscape",
        "title": f"{words(facts.metric.name)} by hyperparameter on {facts.name}",
        "y": {"label": label(facts.metric.name, facts.metric.unit), "domain": _good(facts)},
        "panels": [_panel(panel) for panel in drawn],
        "caption": "Along each hyperparameter the best over all others (black) and, as a box, the "
        "middle half of all configurations with their median. The worst are beyond the axis.",
    }


def scatter(facts: BenchmarkFacts) -> Chart | None:
    """Return score against objective; None where there is no score, or too many dots."""
    if facts.score is None or len(facts.configurations) > MOST_DOTS:
        return None
    done = facts.finished(facts.metric, facts.score)
    shown = np.flatnonzero(done & ~facts.beyond_edge())
    if not len(shown):
        return None
    rates = facts.column("lr")[shown] if "lr" in facts.varied() else np.zeros(0)
    marks: list[Json] = [
        {
            "x": _short(facts.column(facts.metric.name)[row]),
            "y": _short(facts.column(facts.score.name)[row]),
            "label": f"best {words(metric.name)}",
        }
        for metric in (facts.metric, facts.score)
        if (row := facts.best_row(metric)) in shown
    ]
    base = [facts.base_values.get(m.name, np.nan) for m in (facts.metric, facts.score)]
    if np.isfinite(base).all():
        marks.append({"x": _short(base[0]), "y": _short(base[1]), "label": "untrained base"})
    return {
        "kind": "scatter",
        "title": f"{words(facts.score.name)} against {words(facts.metric.name)} on {facts.name}",
        "x": {"label": label(facts.metric.name, facts.metric.unit)},
        "y": {"label": label(facts.score.name, facts.score.unit)},
        "points": [
            [_short(x) for x in facts.column(metric.name)[shown]]
            for metric in (facts.metric, facts.score)
        ],
        "colour": {"label": "learning rate", "values": [_short(rate) for rate in rates]}
        if len(rates) and (rates > 0).all()
        else None,
        "marks": marks,
        "caption": f"{score_words(facts, facts.score, done)} Not drawn, as they diverged, failed, "
        f"lack a value or lie beyond the axis: {count(len(done) - len(shown), 'configuration')}.",
    }


def curves(
    title: str, ylabel: str, axis: str, grid: Sequence[float], lines: Mapping[str, Band]
) -> Chart:
    """Return any named curves over one axis."""
    values = _flat(lines)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * (high - low) or 0.5
    return {
        "kind": "curves",
        "title": title,
        "y": {"label": ylabel},
        "axes": [
            {
                "label": axis,
                "grid": [_short(x) for x in grid],
                "y": {"log": False, "domain": [low - margin, high + margin]},
            }
        ],
        "series": [{"name": name, "over": [_points(band)]} for name, band in lines.items()],
        "rule": None,
        "straight": True,
    }


def _good(facts: BenchmarkFacts) -> list[float]:
    """Return the range of the objective without its bad end, which is wide and teaches little."""
    sign = facts.metric.to_loss(1.0)
    losses = sign * facts.column(facts.metric.name)[facts.finished(facts.metric)]
    best = float(losses.min())
    limit = best + 3 * (float(np.median(losses)) - best)
    margin = 0.05 * (limit - best) or 0.5
    return sorted(_short(sign * edge) for edge in (best - margin, limit + margin))


def _axis(unit: str, grid: Iterable[float]) -> Chart:
    return {"label": counted(unit), "grid": [_short(x) for x in grid]}


def _of(band: Band) -> tuple[tuple[float, ...], ...]:
    return band.value, band.low, band.high


def _points(band: Band) -> list[list[float]]:
    """Return every point of a curve that is known."""
    rows = enumerate(zip(*_of(band), strict=True))
    return [[number, *map(_short, row)] for number, row in rows if np.isfinite(row).all()]


def _steps(band: Band) -> list[list[float]]:
    """Return the points at which a curve of steps changes."""
    points = _points(band)
    # A point that does not change the curve only makes the page larger.
    before: list[list[float]] = [[], *(point[1:] for point in points[:-1])]
    return [point for point, last in zip(points, before, strict=True) if point[1:] != last]


def _flat(bands: Mapping[str, Band]) -> FloatArray:
    return np.concatenate([np.array(_of(band)).ravel() for band in bands.values()])


def _scale(flat: FloatArray, noise: float | None) -> Chart:
    """Return a logarithmic scale with a height for 0; a linear one if all values are 0."""
    positive = flat[flat > 0]
    if not positive.size:
        return {"log": False, "domain": [-0.1 * (noise or 0.5), 2 * (noise or 0.5)]}
    low, high = min(positive.min(), noise or np.inf), max(positive.max(), noise or 0.0)
    floor = low / (high / low) ** 0.1 / 1.3 if positive.size < flat.size else None
    return {
        "log": True,
        "domain": [_short((floor or low) / 1.08), _short(high * 1.15)],
        "floor": None if floor is None else _short(floor),
        "lowest": _short(low),
    }


def _panel(panel: Panel) -> Chart:
    return {
        "label": panel.label,
        "levels": [*panel.levels],
        "lines": {
            name: [None if np.isnan(x) else _short(x) for x in line]
            for name, line in panel.lines.items()
        },
        "missing": [*panel.missing],
    }


def _short(value: float) -> float:
    """Return a number to four digits: a screen shows no more, and a page stays small."""
    return float(f"{float(value):.4g}")
