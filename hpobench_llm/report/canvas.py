"""Shared by the report's pictures: the house style, readable logarithms, and SVG as text.

Equal inputs give equal bytes. Text stays text, so that it can be selected and read aloud; its
font is the page's.
"""

import re
from contextlib import AbstractContextManager
from html import escape
from io import StringIO
from math import ceil, floor, log10
from typing import NamedTuple

from matplotlib import style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from hpobench_llm.report.looks import GRID, INK, MUTED
from hpobench_llm.report.words import number

WIDTH_INCHES = 8.6

_STYLE = {
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


class Picture(NamedTuple):
    """A drawing as an SVG element, and its caption."""

    svg: str
    caption: str


def house_style(title: str) -> AbstractContextManager[None]:
    """Set the house style within a block; the salt keeps ids of two pictures on a page apart."""
    return style.context(["default", {**_STYLE, "svg.hashsalt": title}])


def svg_of(figure: Figure, title: str) -> str:
    """Return a figure as an SVG element without size, date or fonts of its own."""
    stream = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    # Ids that nothing refers to would repeat from picture to picture.
    text = re.sub(r' id="[a-zA-Z0-9.]+_[\d_]+"', "", text)
    # Without a font of its own, text takes the page's.
    text = re.sub(r" font-family: [^;\"]*;?", "", text)
    head, end, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title)}"{end}{body}'


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Put few readable numbers on a logarithmic axis, all of them between `low` and `high`."""
    decades = [10.0**e for e in range(floor(log10(low)), ceil(log10(high)) + 1)]
    ticks: list[float] = []
    # Fewer numbers a decade, until they have room.
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [s * d for d in decades for s in steps if low * 0.999 <= s * d <= high * 1.001]
        if len(ticks) <= 7:
            break
    # Within less than a decade there may be none.
    if len(ticks) < 2:
        ticks = [float(t) for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
