"""A table at a glance in 80 columns."""

import math
from collections.abc import Sequence
from textwrap import wrap

from hpobench_llm.console import one_line
from hpobench_llm.report.overview import Overview
from hpobench_llm.report.web.landscape import Panel
from hpobench_llm.report.words import count, counted_axis, label, listed, number, with_unit
from hpobench_llm.space import Categorical, Dimension

WIDTH = 80
BAR = 24  # columns of a bar of length one
_INDENT = "  "


def lines(view: Overview) -> list[str]:
    """Return the lines of `show`, none wider than 80 columns."""
    sections = (
        _head(view),
        _axes(view),
        _landscape(view),
        _importance(view),
        _curves(view),
        _scores(view),
        _difficulty(view),
        _surrogates(view),
    )
    return [line for section in sections if section for line in (*section, "")][:-1]


def _head(view: Overview) -> list[str]:
    meta, size = view.metadata, view.size
    seeds = ", ".join(f"{many} with {count(n, 'seed')}" for n, many in size.seeds.items())
    status = ", ".join(f"{many} {name}" for name, many in size.status.items())
    others = [name for name in meta.metrics if name != view.metric.name]
    facts = {
        "size": f"{size.runs} runs of {size.configurations} configurations ({seeds}), "
        f"{size.rows} rows",
        "grid": size.density,
        "fidelity": "; ".join(map(counted_axis, meta.fidelities)) or "none: every run is in full",
        "in full": status,
        "objective": f"{label(view.metric.name, view.metric.unit)}, to {view.metric.direction}",
        "metrics": ", ".join([view.metric.name, *others]),
        "licence": meta.licence,
    }
    described = [line for text in (meta.description, meta.context) for line in _wrapped(text, 0)]
    return [
        one_line(f"{meta.name} {meta.version}"),
        *described,
        "",
        *(line for name, text in facts.items() for line in _named(name, text)),
        *(
            line
            for name, reason in view.silent.items()
            for line in _named("no signal", f"{name}: {reason}")
        ),
    ]


def _axes(view: Overview) -> list[str]:
    text = ["axes"]
    for dimension in view.metadata.space:
        text += _named(dimension.name, _values(dimension, view), 1)
    return text


def _values(dimension: Dimension, view: Overview) -> str:
    raw = view.facts.configurations[dimension.name]
    values = (
        sorted(raw.unique()) if not isinstance(dimension, Categorical) else [*dimension.values]
    )
    unit = "" if isinstance(dimension, Categorical) else dimension.unit
    if len(values) > 16:
        text = f"{len(values)} values from {number(values[0])} to {number(values[-1])}"
    else:
        text = ", ".join(map(number, values))
    return with_unit(text, unit) if unit else text


def _landscape(view: Overview) -> list[str]:
    if not view.panels:
        reason = "no axis varies" if view.surface else "no run in full is ok"
        return [f"landscape: {reason}"]
    heading = f"landscape: {label(view.metric.name, view.metric.unit)} along each axis"
    text = _wrapped(f"{heading}; missing: configurations without a value", 0)
    for panel in view.panels:
        text += _panel(panel)
    return text


def _panel(panel: Panel) -> list[str]:
    names = ("best", "median")
    rows = [
        ["", *panel.levels],
        *([name, *(_cell(x) for x in panel.lines[name])] for name in names),
        ["missing", *(str(n) if n else "" for n in panel.missing)],
    ]
    text = _wrapped(panel.name, 2)
    # As many levels side by side as fit.
    widest = max(len(cell) for row in rows for cell in row[1:])
    at_once = max(1, (WIDTH - 14) // (min(widest, 20) + 2))
    for start in range(1, len(panel.levels) + 1, at_once):
        part = [[row[0], *row[start : start + at_once]] for row in rows]
        if not any(part[-1][1:]):
            part = part[:-1]
        text += _table(part, 2)
    return text


def _importance(view: Overview) -> list[str]:
    if view.surface is None:
        return []
    heading = "importance: share of the variance, alone and in every interaction"
    if not view.exact:
        heading = "importance: share of the variance, of each axis alone (no full grid)"
    ordered = sorted(view.shares.items(), key=lambda item: -item[1])
    width = min(30, max(len(name) for name, _ in ordered))
    return [
        heading,
        *(
            one_line(f"{_INDENT}{name[:width]:<{width}}  {share:6.1%}  {_bar(share)}").rstrip()
            for name, share in ordered
        ),
    ]


def _bar(share: float) -> str:
    return "█" * round(BAR * share)


def _curves(view: Overview) -> list[str]:
    curves = view.curves
    if curves is None:
        return []
    heading = f"curves: {label(view.metric.name, view.metric.unit)}"
    at_once = 7
    numbers = [*range(len(curves.points))]
    if len(numbers) > at_once:
        numbers = sorted({round(k * (len(numbers) - 1) / (at_once - 1)) for k in range(at_once)})
    rows = [
        [curves.fidelity.name[:16], *(number(curves.points[n]) for n in numbers)],
        *([name, *(_cell(line[n]) for n in numbers)] for name, line in curves.lines.items()),
    ]
    return [*_wrapped(heading, 0), *_table(rows, 1)]


def _scores(view: Overview) -> list[str]:
    if not view.agreements:
        return []
    every, best = view.compared
    rows = [
        ["", f"all {every}", f"best {best}"],
        *([a.score[:40], _tau(a.of_all), _tau(a.of_best)] for a in view.agreements),
    ]
    heading = f"scores against {view.metric.name}: Kendall's tau of their values"
    return [*_wrapped(heading, 0), *_table(rows, 1)]


def _tau(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"


def _difficulty(view: Overview) -> list[str]:
    if view.surface is None or view.noise is None:
        return []
    rest, shift = view.noise.rest, view.noise.shift
    # 0 stands for a noise that is not known: no regret is counted in it.
    unit = rest if math.isfinite(rest) and rest > 0 else 0.0
    spread = "not known: no seed repeats"
    if unit:
        spread = f"{number(rest)} between good configurations at one seed"
        if math.isfinite(shift):
            spread += f"; a seed shifts all alike by {number(shift)}"
        spread += " (standard deviations)"
    rows = [
        [f"random search, {n} trials", _regret(regret), _noises(regret, unit)]
        for n, regret in view.random.items()
    ]
    for practice in view.practices:
        words = (
            practice.words.removeprefix("a ")
            .replace(" over", ",")
            .replace(", largest rank and smallest batch,", " (largest rank, least batch)")
        )
        cells = ["not measured", ""]
        if practice.regret is not None:
            cells = [_regret(practice.regret), _noises(practice.regret, unit)]
        rows.append([words, *cells])
    heading = "expected regret" + (f" ({view.metric.unit})" if view.metric.unit != "1" else "")
    if not view.surface.dense:
        heading += "; what was not measured becomes the nearest that was"
    return [*_named("noise", spread), *_wrapped(heading, 0), *_table(rows, 1)]


def _regret(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 or value == 0 else number(value)


def _noises(regret: float, unit: float) -> str:
    return f"{regret / unit:.1f} noises" if unit else ""


def _surrogates(view: Overview) -> list[str]:
    if not view.surrogates:
        return _named("surrogate", f"none; hpobench-llm fit {view.metadata.name} makes one")
    described: list[str] = []
    for fitted in view.surrogates:
        text = fitted.name
        figures = [
            f"{name} {value:.2f}"
            for name, value in (("R²", fitted.r2), ("Kendall's tau", fitted.tau))
            if value is not None
        ]
        if figures:
            text += f": {listed(figures)} in full, of configurations that it has not seen"
        text += f"; {fitted.refusal}" if fitted.refusal else "; passed its ranking check"
        described += _named("surrogate", text)
    return described


def _cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:#.4g}" if abs(value) < 1e4 else number(value)


def _table(rows: Sequence[Sequence[str]], depth: int) -> list[str]:
    """Return rows in columns: the first to the left, the others to the right."""
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    room = WIDTH - 2 * depth - sum(width + 2 for width in widths[1:])
    widths[0] = min(widths[0], max(room, 8))
    return [
        (
            _INDENT * depth
            + row[0][: widths[0]].ljust(widths[0])
            + "".join(
                f"  {cell.rjust(width)}" for cell, width in zip(row[1:], widths[1:], strict=True)
            )
        ).rstrip()[:WIDTH]
        for row in shown
    ]


def _named(name: str, text: str, depth: int = 0) -> list[str]:
    """Return a name and its text beside it, on as many lines as it takes."""
    width = 11 if depth == 0 else 14
    head = one_line(name)
    if len(head) > width:
        return [f"{_INDENT * depth}{head}"[:WIDTH], *_wrapped(text, 2 * depth + width + 1)]
    first, *more = _wrapped(text, 2 * depth + width + 1) or [""]
    return [f"{_INDENT * depth}{head.ljust(width)} {first.lstrip()}".rstrip(), *more]


def _wrapped(text: str, indent: int) -> list[str]:
    return wrap(
        one_line(" ".join(text.split())), WIDTH, initial_indent=" " * indent,
        subsequent_indent=" " * indent, break_long_words=True,
    )  # fmt: skip
