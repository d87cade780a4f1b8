"""Metrics and fidelities: names, units, directions. Direction is decided here and nowhere else."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpobench_llm.errors import UnknownNameError

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured quantity.

    `worst` is the value, in the metric's own units, that a run without a finite value counts as:
    for a loss, what the untrained base scores times the factor beyond which a run is diverged.
    `stderr` names the column that holds its standard error, if there is one.
    """

    name: str
    unit: str
    direction: Direction
    worst: float
    low: float = -math.inf
    high: float = math.inf
    stderr: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"metric {self.name}: unknown direction {self.direction!r}")

    def to_loss(self, value: float) -> float:
        """Return the value with lower as better; NaN and infinities become `worst`."""
        bounded = value if math.isfinite(value) else self.worst
        return bounded if self.direction == "minimize" else -bounded

    def from_loss(self, loss: float) -> float:
        """Undo `to_loss`: the value in the metric's own direction."""
        return loss if self.direction == "minimize" else -loss

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; an infinite bound is left out."""
        return {
            k: v for k, v in asdict(self).items() if not (isinstance(v, float) and math.isinf(v))
        }

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Metric":
        """Rebuild a metric from `to_json`."""
        try:
            return Metric(**raw)
        except TypeError as error:
            raise ValueError(f"metric {raw}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """A resource axis along which a run was measured: its increasing values, the last in full."""

    name: str
    unit: str
    values: tuple[int | float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"fidelity {self.name}: no values")
        if any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError(f"fidelity {self.name}: values must increase: {list(self.values)}")

    @property
    def full(self) -> int | float:
        """The highest value: a run to its end."""
        return self.values[-1]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"name": self.name, "unit": self.unit, "values": list(self.values)}

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Fidelity":
        """Rebuild a fidelity from `to_json`."""
        try:
            return Fidelity(**{**raw, "values": tuple(raw["values"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"fidelity {raw}: {error}") from None


def select(metrics: dict[str, Metric], names: tuple[str, ...], where: str) -> tuple[Metric, ...]:
    """Return the metrics of these names.

    Raises:
        UnknownNameError: one does not exist; the message names `where` and the nearest name.
    """
    for name in names:
        if name not in metrics:
            raise UnknownNameError("metric", name, metrics, where)
    return tuple(metrics[name] for name in names)
