"""The axes that a picture is drawn on: the caller's, or new ones of the style that is set.

Nothing here or in the other modules sets a style: fonts, sizes, widths and frames are those of
matplotlib's rcParams, so that a journal's style file holds for every picture.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis

MOST_TICKS = 9


def new_axes(given: Axes | None) -> Axes:
    """Return the given axes, or those of a new figure whose parts make room for each other."""
    if given is not None:
        return given
    from matplotlib import pyplot  # which chooses a way to show figures: only where one is made

    return pyplot.subplots(layout="constrained")[1]


def name_levels(axis: Axis, names: Sequence[str]) -> None:
    """Name the places 0, 1, ... of an axis, of many only some."""
    step = 1 + (len(names) - 1) // MOST_TICKS
    axis.set_ticks(range(0, len(names), step), list(names[::step]))
