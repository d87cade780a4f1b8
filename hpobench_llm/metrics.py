"""Metrics and fidelities: names, units, directions, roles.

Which way is better, and which metric is the objective, is decided here and nowhere else.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, NotRequired, TypedDict, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import UnknownNameError

Direction = Literal["minimize", "maximize"]
Role = Literal["objective", "score", "cost", "diagnostic"]


class MetricRecord(TypedDict):
    """A metric as plain JSON; an old table gives no `role`."""

    name: str
    unit: str
    direction: Direction
    worst: float
    low: NotRequired[float]
    high: NotRequired[float]
    stderr: NotRequired[str]
    role: NotRequired[Role]


class FidelityRecord(TypedDict):
    """A fidelity as plain JSON."""

    name: str
    unit: str
    values: list[int | float]


_DIAGNOSTICS = ("train_loss", "test_loss", "leaked_val_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured quantity.

    `worst` is the value, in the metric's own units, that a run without a finite value counts as:
    for a loss, what the untrained base scores times the factor beyond which a run is diverged.
    `stderr` names the column that holds its standard error, if there is one.

    `role` says what it is for: an `objective` to optimize, a benchmark `score`, a `cost`, or a
    `diagnostic` that helps to understand a run. Any of them can be optimized where it is named.

    Example:
        >>> accuracy = Metric(name="accuracy", unit="share", direction="maximize", worst=0.0)
        >>> accuracy.to_loss(0.8), accuracy.to_loss(float("nan"))
        (-0.8, -0.0)
    """

    name: str
    unit: str
    direction: Direction
    worst: float
    low: float = -math.inf
    high: float = math.inf
    stderr: str = ""
    role: Role = "objective"

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise ValueError(f"metric {self.name}: unknown direction {self.direction!r}")
        if self.role not in get_args(Role):
            raise ValueError(f"metric {self.name}: unknown role {self.role!r}")

    @property
    def sign(self) -> float:
        """The factor between a value and a loss, in both directions."""
        return 1.0 if self.direction == "minimize" else -1.0

    def to_loss(self, value: float) -> float:
        """Return the value with lower as better; NaN and infinities become `worst`."""
        return self.sign * (value if math.isfinite(value) else self.worst)

    def from_loss(self, loss: float) -> float:
        """Undo `to_loss`: the value in the metric's own direction."""
        return self.sign * loss

    def losses(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of any shape with lower as better; what is not finite stays so."""
        return self.sign * values

    def to_json(self) -> MetricRecord:
        """Return plain JSON values; an infinite bound is left out."""
        finite = {
            k: v for k, v in asdict(self).items() if not (isinstance(v, float) and math.isinf(v))
        }
        return cast("MetricRecord", finite)

    @staticmethod
    def from_json(raw: MetricRecord) -> "Metric":
        """Rebuild a metric from `to_json`."""
        try:
            return Metric(**(raw if "role" in raw else {**raw, "role": _role_of(raw["name"])}))
        except (TypeError, KeyError) as error:
            raise ValueError(f"metric {raw}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """A resource axis along which a run was measured: its increasing values, the last in full.

    Example:
        >>> Fidelity(name="step", unit="steps", values=(8, 64, 128)).full
        128
    """

    name: str
    unit: str
    values: tuple[int | float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"fidelity {self.name}: no values")
        if not (self.values[0] >= 0 and 0 < self.values[-1] < math.inf):
            raise ValueError(
                f"fidelity {self.name}: amounts are expected, from 0 up and not all 0: "
                f"{list(self.values)}"
            )
        if any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError(f"fidelity {self.name}: values must increase: {list(self.values)}")

    @property
    def full(self) -> int | float:
        """The highest value: a run to its end."""
        return self.values[-1]

    def to_json(self) -> FidelityRecord:
        """Return plain JSON values."""
        return {"name": self.name, "unit": self.unit, "values": list(self.values)}

    @staticmethod
    def from_json(raw: FidelityRecord) -> "Fidelity":
        """Rebuild a fidelity from `to_json`."""
        try:
            return Fidelity(**{**raw, "values": tuple(raw["values"])})  # type: ignore[arg-type]
        except (TypeError, KeyError) as error:
            raise ValueError(f"fidelity {raw}: {error}") from None


def select(
    metrics: Mapping[str, Metric], names: str | Iterable[str], where: str
) -> tuple[Metric, ...]:
    """Return the metrics of these names; a text is one name.

    Raises:
        UnknownNameError: one does not exist; the message names `where` and the nearest name.
    """
    wanted = (
        tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (names,)
    )
    for name in wanted:
        if not isinstance(name, str) or name not in metrics:
            raise UnknownNameError("metric", name, metrics, where)
    return tuple(metrics[name] for name in wanted)


def objective_of(metrics: Mapping[str, Metric]) -> Metric:
    """Return the default objective: the first metric whose role is `objective`, else the first."""
    listed = list(metrics.values())
    return next((metric for metric in listed if metric.role == "objective"), listed[0])


def _role_of(name: object) -> Role:
    """Return the role of a metric in a table that was written before metrics had one."""
    if str(name).startswith("score_"):
        return "score"
    return "diagnostic" if name in _DIAGNOSTICS else "objective"
