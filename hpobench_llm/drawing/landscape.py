"""A metric over two axes of a space: at each pair of values the best over all other axes."""

from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hpobench_llm.drawing.axes import name_levels
from hpobench_llm.errors import NotMeasuredError
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Categorical, Configuration, Dimension, Space
from hpobench_llm.wording import label, number

MANY_VALUES = 16  # beyond this, an axis is cut into as many pieces
REACH = 3.0  # colours end so far beyond the best, in distances from it to the median

FloatArray = NDArray[np.float64]


def draw_landscape(
    axes: Axes,
    space: Space,
    metric: Metric,
    configs: Sequence[Configuration],
    values: FloatArray,
    names: Sequence[str],
) -> None:
    """Draw the best value over all other axes: as colours over two axes, as a line over one.

    A field in which no configuration has a value stays empty. The best of all is marked. Raises
    `NotMeasuredError` if no configuration has a value.

    Args:
        axes: the axes to draw on.
        space: of the configurations.
        metric: the metric of the values.
        configs: the configurations.
        values: `(n,)` in own units; NaN for a missing one.
        names: of one axis or two.
    """
    losses = metric.losses(values)
    done = np.isfinite(losses)
    if not done.any():
        raise NotMeasuredError(f"{metric.name}: no run is ok, so there is nothing to draw")
    dimensions = [next(d for d in space if d.name == name) for name in names]
    coded = [_coded(dimension, configs) for dimension in dimensions]
    grid = np.full([len(levels) for _, levels in coded], np.inf)
    np.minimum.at(grid, tuple(codes[done] for codes, _ in coded), losses[done])
    grid[~np.isfinite(grid)] = np.nan
    limit = _limit(grid[np.isfinite(grid)])
    best = np.unravel_index(int(np.nanargmin(grid)), grid.shape)
    name_levels(axes.xaxis, coded[0][1])
    axes.set_xlabel(label(names[0], dimensions[0].unit))
    text = label(metric.name, metric.unit)
    if len(names) == 1:
        axes.plot(metric.losses(grid), marker="o")
        axes.set_ylabel(text)
        return
    low, high = sorted(metric.losses(np.array([grid[best], limit])))
    shown = axes.pcolormesh(metric.losses(grid.T), vmin=low, vmax=high, **_centred(grid.shape))
    beyond = bool((grid > limit).any())
    side = "max" if metric.direction == "minimize" else "min"
    bar = axes.figure.colorbar(shown, ax=axes, extend=side if beyond else "neither")
    bar.set_label(text)
    axes.plot(*map(int, best), "*", mfc="white", mec="black", ms=12, ls="", label="best")
    axes.grid(visible=False)
    name_levels(axes.yaxis, coded[1][1])
    axes.set_ylabel(label(names[1], dimensions[1].unit))


def _limit(losses: FloatArray) -> float:
    """Return the loss at which colours end: a wide bad end teaches little."""
    best = float(losses.min())
    return best + (REACH * (float(np.median(losses)) - best) or 1.0)


class _Centred(TypedDict):
    shading: Literal["nearest"]
    rasterized: bool


def _centred(shape: tuple[int, ...]) -> _Centred:
    return {"shading": "nearest", "rasterized": shape[0] * shape[1] > MANY_VALUES**2}


def _coded(
    dimension: Dimension, configs: Sequence[Configuration]
) -> tuple[NDArray[np.intp], list[str]]:
    """Return the code `(n,)` of each configuration's value on an axis, and the codes' names."""
    raw = [config[dimension.name] for config in configs]
    order = dimension.values.index if isinstance(dimension, Categorical) else None
    levels = sorted(set(raw), key=order)
    if len(levels) <= MANY_VALUES:
        code_of = {value: code for code, value in enumerate(levels)}
        return np.array([code_of[value] for value in raw]), [number(value) for value in levels]
    units = np.array([dimension.to_unit(value) for value in raw])
    pieces = np.minimum((units * MANY_VALUES).astype(np.intp), MANY_VALUES - 1)
    occupied, codes = np.unique(pieces, return_inverse=True)  # whole numbers leave some out
    centres = ((occupied + 0.5) / MANY_VALUES).tolist()
    return codes, [_short(dimension.from_unit(centre)) for centre in centres]


def _short(value: object) -> str:
    return number(float(f"{value:.2g}")) if isinstance(value, float) else number(value)
