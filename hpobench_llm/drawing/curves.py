"""Learning curves: a metric of many configurations along a fidelity axis."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from hpobench_llm.errors import NotMeasuredError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.wording import label

MANY_CURVES = 200  # beyond this, thin lines become pixels
REACH = 3.0  # as of a landscape

FloatArray = NDArray[np.float64]


def draw_curves(
    axes: Axes, metric: Metric, axis: Fidelity, levels: FloatArray, values: FloatArray
) -> None:
    """Draw every configuration as a thin line, and the median and the best of all in front.

    The best is the best at the end. Curves far beyond the median are cut off, and counted. Raises
    `NotMeasuredError` if no run ends ok.

    Args:
        axes: the axes to draw on.
        metric: the metric of the values.
        axis: the fidelity along which they are drawn.
        levels: `(n_levels,)`, increasing.
        values: `(n_levels, n_configurations)` in own units; NaN for a missing one.
    """
    losses = metric.losses(values)
    if not len(levels) or not np.isfinite(losses[-1]).any():
        raise NotMeasuredError(f"{metric.name}: no run ends ok, so there is nothing to draw")
    middle = np.nanmedian(np.where(np.isfinite(losses), losses, np.nan), axis=1)
    ends = losses[-1][np.isfinite(losses[-1])]
    lowest = float(np.nanmin(losses[np.isfinite(losses)]))
    limit = max(float(np.nanmax(middle)), lowest + REACH * (float(np.median(ends)) - lowest))
    beyond = int((np.nan_to_num(losses, nan=np.inf, posinf=np.inf) > limit).any(axis=0).sum())
    count = losses.shape[1]
    text = f"{count} configurations" + (f", {beyond} of them beyond the axis" if beyond else "")
    drawn = LineCollection(
        [np.column_stack([levels, column]) for column in values.T],
        colors="C0",
        alpha=min(1.0, 0.1 + 10 / count),
        linewidths=0.5,
        label=text,
        rasterized=count > MANY_CURVES,
    )
    axes.add_collection(drawn, autolim=False)
    axes.plot(levels, metric.losses(middle), color="C1", label="median")
    best = int(np.nanargmin(np.where(np.isfinite(losses[-1]), losses[-1], np.inf)))
    axes.plot(levels, values[:, best], color="C2", label="best at the end")
    margin = 0.05 * (limit - lowest) or 0.5
    axes.set_ylim(*sorted(metric.losses(np.array([lowest - margin, limit + margin]))))
    axes.set_xlim(levels[0], levels[-1])
    axes.set_xlabel(label(axis.name, axis.unit))
    axes.set_ylabel(label(metric.name, metric.unit))
    for handle in axes.legend().get_lines():
        handle.set_alpha(1.0)
