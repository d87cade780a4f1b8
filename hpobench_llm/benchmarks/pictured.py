"""How a benchmark shows itself: pictures on matplotlib's axes, and a few words in a notebook."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.metrics import Fidelity, Metric, objective_of, select
from hpobench_llm.space import Categorical, Configuration, Dimension, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIVE = "live"  # the kind whose queries train
MOST_SHOWN = 8  # values of an axis in a notebook

FloatArray = NDArray[np.float64]


class Pictured:
    """The pictures and notebook view of every benchmark.

    Pictures are drawn on the given axes, or on those of a new figure, and returned; fonts, sizes
    and widths are those of matplotlib's rcParams. The configurations are those among which the
    best is searched: all that a table holds, or draws from a space that cannot be listed.
    """

    kind: ClassVar[str]
    name: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]

    if TYPE_CHECKING:  # `Benchmark` has them; pictures are drawn of their answers

        def _candidates(self) -> list[Configuration]: ...
        def query_many(  # noqa: D102
            self, configs: Any, *, fidelity: Any = None, seed: int | None = None
        ) -> pd.DataFrame: ...

    def plot_landscape(
        self,
        metric: str | None = None,
        *,
        x: str | None = None,
        y: str | None = None,
        fidelity: Mapping[str, int | float] | int | float | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw the best of a metric over two axes, whatever the others are: see `drawing`.

            load("toy-bowl").plot_landscape(x="lr", y="rank")

        Args:
            metric: its name; None: the benchmark's objective.
            x: one axis of the space; None: the one that changes the metric most.
            y: the other; None: the one that changes it most after `x`.
            fidelity: as of `query`; None: in full.
            ax: where to draw; None: on a new figure.

        Raises:
            UnknownNameError: there is no such metric, axis or fidelity.
            ConfigurationError: the benchmark is live.
            NotMeasuredError: no run is ok.
        """
        from hpobench_llm.drawing.axes import new_axes
        from hpobench_llm.drawing.landscape import draw_landscape

        selected = self._metric(metric)
        for axis in (x, y):
            if axis is not None and axis not in self.space.names:
                raise UnknownNameError("axis", axis, self.space.names, self.name)
        configs, values = self._drawn(selected, fidelity)
        ranked = _ranked(self.space, configs, selected.losses(values))
        free = iter(name for name in ranked if name not in (x, y))
        names = [name for name in (x or next(free, None), y or next(free, None)) if name]
        axes = new_axes(ax)
        draw_landscape(axes, self.space, selected, configs, values, names or ranked[:1])
        return axes

    def plot_importance(self, metric: str | None = None, *, ax: "Axes | None" = None) -> "Axes":
        """Draw each axis's share of the variance of a metric: see `importance`.

            load("toy-bowl").plot_importance()

        Raises:
            UnknownNameError: there is no such metric.
            ConfigurationError: the benchmark is live, or its axes sum to one.
            NotMeasuredError: the metric does not differ.
            MissingDependencyError: a grid is not whole, and scikit-learn is not installed.
        """
        from hpobench_llm.drawing.axes import new_axes
        from hpobench_llm.drawing.importance import draw_importance

        shares = self.importance(metric)
        axes = new_axes(ax)
        draw_importance(axes, shares)
        axes.set_title(self._metric(metric).name)
        return axes

    def importance(self, metric: str | None = None) -> pd.DataFrame:
        """Return each axis's share of a metric's variance, `alone` and with interactions, `total`.

        Raises:
            UnknownNameError, ConfigurationError, NotMeasuredError, MissingDependencyError: as
                `plot_importance`.
        """
        from hpobench_llm.benchmarks.importance import importance

        selected = self._metric(metric)
        configs, values = self._drawn(selected, None)
        return importance(
            self.name,
            self.space,
            selected,
            configs,
            values,
            lambda points: _values(self.query_many(points), selected),
        )

    def plot_curves(self, metric: str | None = None, *, ax: "Axes | None" = None) -> "Axes":
        """Draw a metric of all configurations along the first fidelity axis, all others in full.

            load("toy-bowl").plot_curves()

        Raises:
            UnknownNameError: there is no such metric.
            ConfigurationError: the benchmark is live, or has no fidelity axis.
            NotMeasuredError: no run is ok.
        """
        from hpobench_llm.drawing.axes import new_axes
        from hpobench_llm.drawing.curves import draw_curves

        selected = self._metric(metric)
        if not self.fidelities:
            raise ConfigurationError(f"{self.name}: has no fidelity axis, and so no curves")
        axis, levels, rows = self.fidelities[0], [], []
        for level in axis.values:
            values = self._drawn(selected, {axis.name: level})[1]
            if np.isfinite(values).any():  # at some levels a metric is not measured
                levels.append(level)
                rows.append(values)
        axes = new_axes(ax)
        draw_curves(axes, selected, axis, np.array(levels, dtype=np.float64), np.array(rows))
        return axes

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}, {len(self.space)} axes>"

    def _repr_html_(self) -> str:
        """Return the benchmark's axes and metrics for a notebook."""
        axes = [(d.name, d.unit, _spelled(d)) for d in self.space]
        axes += [(f.name, f.unit, f"fidelity: {_listed(f.values)}") for f in self.fidelities]
        metrics = [(m.name, m.unit, m.direction, m.role) for m in self.metrics.values()]
        tables = (
            pd.DataFrame(axes, columns=["axis", "unit", "values"]),
            pd.DataFrame(metrics, columns=["metric", "unit", "direction", "role"]),
        )
        shown = "".join(table.to_html(index=False) for table in tables)
        return f"<p>{escape(repr(self))}</p>{shown}"

    def _metric(self, name: str | None) -> Metric:
        return select(self.metrics, name or objective_of(self.metrics).name, self.name)[0]

    def _drawn(self, metric: Metric, fidelity: Any) -> tuple[list[Configuration], FloatArray]:
        """Return the configurations and the metric of each, NaN where its run is not ok."""
        if self.kind == LIVE:
            raise ConfigurationError(
                f"{self.name}: a picture of a live benchmark would train all of its configurations"
            )
        configs = self._candidates()
        return configs, _values(self.query_many(configs, fidelity=fidelity), metric)


def _values(answers: pd.DataFrame, metric: Metric) -> FloatArray:
    values: FloatArray = answers[metric.name].to_numpy(dtype=np.float64, copy=True)
    values[answers["status"].to_numpy() != "ok"] = np.nan
    return values


def _ranked(space: Space, configs: Sequence[Configuration], losses: FloatArray) -> list[str]:
    """Return the axes by the range of their values' median losses, the largest first.

    An axis of one value is left out, unless there is no other.
    """
    finite = np.isfinite(losses)
    spread = {}
    for dimension in space:
        units = np.array([dimension.to_unit(config[dimension.name]) for config in configs])
        groups = pd.Series(losses[finite]).groupby(np.round(16 * units[finite]))
        spread[dimension.name] = float(np.ptp(groups.median())) if groups.ngroups else 0.0
        if len(np.unique(units)) == 1:
            spread[dimension.name] = -1.0
    ranked = sorted(spread, key=lambda name: -spread[name])
    return [name for name in ranked if spread[name] >= 0] or ranked[:1]


def _spelled(dimension: Dimension) -> str:
    if isinstance(dimension, Categorical) or dimension.levels is not None:
        return _listed(dimension.levels or ())
    return f"{getattr(dimension, 'low', '')} to {getattr(dimension, 'high', '')}"


def _listed(values: Sequence[object]) -> str:
    more = f" and {len(values) - MOST_SHOWN} more" if len(values) > MOST_SHOWN else ""
    return ", ".join(map(str, values[:MOST_SHOWN])) + more
