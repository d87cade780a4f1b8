"""The page of a table: the content of `show`, with interactive figures."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.comparison.result import Band
from hpobench_llm.report import table_figures
from hpobench_llm.report.overview import Curves, Overview
from hpobench_llm.report.web import charts
from hpobench_llm.report.web.document import Figure, Figures, document
from hpobench_llm.report.words import counted_axis, label, number, words


def write_table_page(path: Path, view: Overview) -> Path:
    """Write the page of a table, whole or not at all, and return its path."""
    write_atomically(path, render(view))
    return path


def render(view: Overview) -> str:
    """Return the page that `write_table_page` writes."""
    figures = Figures()
    facts, curves = view.facts, view.curves
    landscape = figures.of(table_figures.objective_by_axis(facts), charts.landscape(facts))
    scatter = figures.of(table_figures.score_against_objective(facts), charts.scatter(facts))
    drawn = None if curves is None else _curves(figures, curves, view)
    headings = [
        ("axes", "Axes"),
        *([("landscape", "Landscape")] if landscape else []),
        *([("importance", "Importance")] if view.surface else []),
        *([("curves", "Curves")] if drawn else []),
        *([("scores", "Loss against scores")] if scatter or view.agreements else []),
        *([("difficulty", "Noise and expected regret")] if view.surface else []),
        ("surrogate", "Surrogate"),
    ]
    rest = view.noise.rest if view.noise else math.nan
    return document(
        "table.html",
        title=f"{view.metadata.name} {view.metadata.version}",
        contents=headings,
        optimizers=[*curves.lines] if curves else [],
        view=view,
        objective=label(view.metric.name, view.metric.unit),
        metric=words(view.metric.name),
        values=_values(view),
        fidelities=[counted_axis(axis) for axis in view.metadata.fidelities],
        landscape=landscape,
        scatter=scatter,
        curves=drawn,
        shares=sorted(view.shares.items(), key=lambda item: -item[1]),
        losses=_losses(view, rest),
        noise=rest if rest > 0 else None,
        shift=view.noise.shift if view.noise and math.isfinite(view.noise.shift) else None,
    )


def _values(view: Overview) -> list[tuple[str, str, str]]:
    """Return each axis, its values in words, and its unit."""
    rows = []
    for dimension in view.metadata.space:
        values = sorted(view.facts.configurations[dimension.name].unique().tolist())
        text = ", ".join(map(number, values))
        if len(values) > table_figures.MANY_VALUES:
            text = f"{len(values)} values from {number(values[0])} to {number(values[-1])}"
        rows.append((dimension.name, text, dimension.unit))
    return rows


def _curves(figures: Figures, curves: Curves, view: Overview) -> Figure:
    caption = (
        f"{words(view.metric.name).capitalize()} along {curves.fidelity.name}: the best of all "
        "configurations that are ok there, their quartiles, and the one that is best in full."
    )
    # These lines have no interval.
    bands = {name: Band(line, line, line) for name, line in curves.lines.items()}
    chart = charts.curves(
        f"{words(view.metric.name)} along {curves.fidelity.name}",
        label(view.metric.name, view.metric.unit),
        label(curves.fidelity.name, curves.fidelity.unit),
        curves.points,
        bands,
    )
    return figures.instead_of(_plain(curves), caption, chart)


def _plain(curves: Curves) -> str:
    """Return the curves as an HTML table."""
    heads = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in curves.lines)
    rows = "".join(
        f'<tr><th scope="row">{number(point)}</th>'
        + "".join(
            f'<td class="n">{_figure(line[number_of_point])}</td>'
            for line in curves.lines.values()
        )
        + "</tr>"
        for number_of_point, point in enumerate(curves.points)
    )
    axis = escape(label(curves.fidelity.name, curves.fidelity.unit))
    return f"<table><thead><tr><th>{axis}</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:#.4g}"


def _losses(view: Overview, rest: float) -> Sequence[tuple[str, int, float | None, float | None]]:
    """Return each method, its trials, its expected regret, and that in noises, if known."""
    rows: list[tuple[str, int, float | None]] = [
        ("random search", trials, regret) for trials, regret in view.random.items()
    ]
    rows += [
        (practice.words.rstrip(","), practice.trials, practice.regret)
        for practice in view.practices
    ]
    return [
        (method, trials, regret, regret / rest if regret is not None and rest > 0 else None)
        for method, trials, regret in rows
    ]
