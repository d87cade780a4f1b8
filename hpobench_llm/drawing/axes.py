"""The axes of a picture: the caller's, or new ones in the style that is set.

Nothing that draws on axes sets a style: fonts, sizes, widths and frames are those of matplotlib's
rcParams, so that a journal's style file holds for every such picture.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis

MOST_TICKS = 9


def new_axes(ax: Axes | None) -> Axes:
    """Return these axes, or those of a new figure whose parts make room for each other."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # it chooses a backend, so only if a figure is made

    return pyplot.subplots(layout="constrained")[1]


def name_levels(axis: Axis, names: Sequence[str]) -> None:
    """Name the ticks 0, 1, ... of an axis; of many, only some."""
    step = 1 + (len(names) - 1) // MOST_TICKS
    axis.set_ticks(range(0, len(names), step), list(names[::step]))
