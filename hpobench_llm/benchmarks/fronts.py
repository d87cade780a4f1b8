"""Several objectives of a benchmark: its front, and the hypervolume in ranges of that."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.points import Points, point_array
from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.metrics import Metric, select
from hpobench_llm.pareto import Scale, nondominated
from hpobench_llm.space import Configuration


class Fronts:
    """The answers of every benchmark for several objectives; see `Benchmark`."""

    if TYPE_CHECKING:
        name: str
        metrics: dict[str, Metric]

        def _sound(
            self, metrics: Sequence[Metric]
        ) -> tuple[list[Configuration], NDArray[np.float64]]: ...
        def _frame(self, configs: Sequence[Configuration]) -> pd.DataFrame: ...

    def pareto_front(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Return the configurations that no other beats in all metrics in full.

        A configuration whose run failed or breaks a constraint is not among them. For a space that
        cannot be listed it is the front of 20,000 uniform draws. Columns: `config_id`, the
        hyperparameters, the metrics in their own units.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> len(benchmark.pareto_front(["val_loss", "score_blimp_margin"]))
            9

        Raises:
            UnknownNameError, NotMeasuredError: as `optimum`.
        """
        selected = select(self.metrics, metrics, self.name)
        if not selected:
            raise ConfigurationError(f"{self.name}: a front of at least one metric is expected")
        configs, losses = self._sound(selected)
        front = np.flatnonzero(nondominated(losses))
        frame = self._frame([configs[index] for index in front])
        for column, metric in enumerate(selected):
            frame[metric.name] = [metric.from_loss(float(v)) for v in losses[front, column]]
        return frame

    def reference_point(self, metrics: Sequence[str]) -> dict[str, float]:
        """Return the hypervolume's reference point in own units: see `pareto.Scale`."""
        selected = select(self.metrics, metrics, self.name)
        point = self._scale(selected).reference
        return {m.name: m.from_loss(float(v)) for m, v in zip(selected, point, strict=True)}

    def hypervolume(
        self,
        metrics: Sequence[str],
        points: Points,
        *,
        reference: Mapping[str, float] | None = None,
    ) -> float:
        """Return the volume that points dominate up to a reference point, in ranges of the front.

        Args:
            metrics: the objectives.
            points: their values in own units: a frame (such as `pareto_front` gives) or mappings
                by name, or an array `(n_points, n_metrics)`. A point with NaN adds nothing.
            reference: the point in own units; None: `reference_point(metrics)`.

        Example:
            >>> from hpobench_llm import load
            >>> benchmark = load("lora-nano")
            >>> both = ["val_loss", "score_blimp_margin"]
            >>> round(benchmark.hypervolume(both, benchmark.pareto_front(both)), 3)
            0.661

        Raises:
            UnknownNameError: there is no such metric, or the points have none of that name.
            NotMeasuredError: as `pareto_front`.
        """
        selected = select(self.metrics, metrics, self.name)
        names = [metric.name for metric in selected]
        values = point_array(points, names, self.name)
        scale = self._scale(selected)
        if reference is not None:
            for name in names:
                if name not in reference:
                    raise UnknownNameError("metric of `reference`", name, reference, self.name)
            scale = scale.up_to([m.to_loss(float(reference[m.name])) for m in selected])
        return scale.hypervolume(values * np.array([metric.sign for metric in selected]))

    @cached_property
    def _scales(self) -> dict[tuple[str, ...], Scale]:
        return {}

    def _scale(self, metrics: Sequence[Metric]) -> Scale:
        """Return the scale of the metrics' front; each front is searched once."""
        names = tuple(metric.name for metric in metrics)
        if names not in self._scales:
            front = self.pareto_front(names)
            losses = [m.losses(front[m.name].to_numpy(dtype=np.float64)) for m in metrics]
            worst = [m.to_loss(m.worst) for m in metrics]
            self._scales[names] = Scale.of(np.column_stack(losses), worst)
        return self._scales[names]
