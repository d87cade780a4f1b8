"""Curves in panels side by side, on logarithmic axes: a picture as a file beside a card."""

from collections.abc import Mapping, Sequence
from io import StringIO

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from hpobench_llm.wording import number

# Of a file: equal numbers give equal bytes, and text stays text.
_STYLE = {
    "font.size": 8.5,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.4,
    "legend.frameon": False,
}

Curves = Mapping[str, Sequence[Sequence[float]]]


def panels_svg(panels: Mapping[str, Curves], x: str, y: str) -> str:
    """Return an SVG file with a panel for each title.

    Args:
        panels: by title, and in each the points `(x, y)` of curves by name, all above 0.
        x: what the points' first number is, with its unit.
        y: what the second one is; all panels share its axis.
    """
    with style.context(["default", {**_STYLE, "svg.hashsalt": f"{x} {y}"}]):
        figure = Figure(figsize=(max(4.4, 2.2 * len(panels)), 2.5), layout="constrained")
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, curves) in zip(row, panels.items(), strict=True):
            axes.set_xscale("log")
            axes.set_yscale("log")
            for marker, (name, points) in zip("osD^v" * len(curves), curves.items(), strict=False):
                axes.plot(*np.array(points).T, marker=marker, ms=4, label=name)
            ticks = sorted({float(point[0]) for points in curves.values() for point in points})
            axes.set_xticks(ticks, [number(tick) for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                which(ScalarFormatter())
            axes.set(title=title, xlabel=x)
        row[0].set_ylabel(y)
        row[0].legend()
        stream = StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=nothing)
        return stream.getvalue()
