"""The outcome of one trial: metrics, cost and status. A failed run is a value with its cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from hpobench_llm.metrics import Metric

Status = Literal["ok", "diverged", "out_of_memory", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
OUTCOMES = ("status", "cost_seconds", "tokens")  # columns of every frame of evaluations


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An answer of a benchmark.

    `metrics` holds values in their own units and directions, `cost_seconds` the seconds of
    training and evaluation up to this fidelity, `tokens` the tokens trained on; NaN is unknown.
    `constraints` holds the excess over the bound of each of the benchmark's constraints: at most 0
    if it is kept, infinite if the quantity was not measured.

    Example:
        >>> Evaluation(metrics={"val_loss": 3.7}, cost_seconds=2.0).feasible
        True
    """

    metrics: Mapping[str, float]
    cost_seconds: float
    status: Status = "ok"
    tokens: float = 0.0
    constraints: Mapping[str, float] = field(default_factory=dict)

    def __reduce__(self) -> "tuple[Callable[..., Evaluation], tuple[object, ...]]":
        """Pickle and copy read-only mappings too, which stay read-only."""
        maps = (self.metrics, self.constraints)
        read_only = tuple(isinstance(values, MappingProxyType) for values in maps)
        values = (dict(self.metrics), self.cost_seconds, self.status, self.tokens)
        return _restored, (*values, dict(self.constraints), *read_only)

    @property
    def feasible(self) -> bool:
        """Whether every constraint is kept; true where there is none."""
        return all(excess <= 0 for excess in self.constraints.values())

    def loss(self, metric: Metric) -> float:
        """Return one metric with lower as better; a run that is not `ok` counts as its worst."""
        value = self.metrics.get(metric.name) if self.status == "ok" else None
        return metric.to_loss(metric.worst if value is None else value)


def _restored(
    metrics: dict[str, float],
    cost_seconds: float,
    status: Status,
    tokens: float,
    constraints: dict[str, float],
    metrics_fixed: bool,
    constraints_fixed: bool,
) -> Evaluation:
    return Evaluation(
        metrics=MappingProxyType(metrics) if metrics_fixed else metrics,
        cost_seconds=cost_seconds,
        status=status,
        tokens=tokens,
        constraints=MappingProxyType(constraints) if constraints_fixed else constraints,
    )
