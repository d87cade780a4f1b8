"""The columns of a table: units and meanings, and names that mean the same in every table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space

KEYS = {
    "config_id": "hash of the configuration's axes",
    "seed": "seed",
    "status": "ok, diverged, out_of_memory or failed",
}
COSTS = ("train_seconds", "eval_seconds")  # the clock of a replay adds them up
TOKENS = "tokens_seen"


class ColumnRecord(TypedDict):
    """A column as plain JSON; `measure` is left out unless it is true."""

    unit: str
    meaning: str
    measure: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Column:
    """The unit of a column, and its meaning in a sentence.

    A `measure` is a number of each run that is no metric and that a constraint may bound, such as
    `peak_memory_bytes`.
    """

    unit: str = ""
    meaning: str = ""
    measure: bool = False

    def to_json(self) -> ColumnRecord:
        """Return plain JSON values."""
        record: ColumnRecord = {"unit": self.unit, "meaning": self.meaning}
        return {**record, "measure": True} if self.measure else record


# The costs of a run so far: columns of these names have these units in every table.
MEASURES = {
    "train_seconds": Column("s", "training so far", measure=True),
    "eval_seconds": Column("s", "evaluation so far", measure=True),
    "train_wall_seconds": Column("s", "wall time of training so far", measure=True),
    "peak_memory_bytes": Column("bytes", "peak of training so far", measure=True),
    TOKENS: Column("tokens", "trained on so far", measure=True),
    "label_tokens_seen": Column("tokens", "those of them that the loss saw", measure=True),
    "trainable_parameters": Column("", "parameters that are trained", measure=True),
}


def described(
    names: Iterable[str],
    space: Space,
    fidelities: Iterable[Fidelity],
    metrics: Iterable[Metric],
    stated: Mapping[str, Column],
) -> dict[str, Column]:
    """Return unit and meaning of each column: as `stated`, or as its role in the table implies.

    A column that is neither stated nor has a role gets no meaning.
    """
    implied = {name: Column("", meaning) for name, meaning in KEYS.items()}
    implied |= MEASURES
    implied |= {axis.name: Column(axis.unit, "hyperparameter") for axis in space}
    implied |= {axis.name: Column(axis.unit, "fidelity") for axis in fidelities}
    for metric in metrics:
        implied[metric.stderr] = Column(metric.unit, f"standard error of {metric.name}")
        implied[metric.name] = Column(metric.unit, f"metric, {metric.direction}d")
    return {name: stated.get(name, implied.get(name, Column())) for name in names}
