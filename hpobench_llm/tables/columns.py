"""What a table says of its columns, and the few names that mean the same in every table."""

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
COSTS = ("train_seconds", "eval_seconds")  # what the clock of a replay adds up
TOKENS = "tokens_seen"


class ColumnRecord(TypedDict):
    """A column as plain JSON; `measure` stands there where it is true."""

    unit: str
    meaning: str
    measure: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Column:
    """What a column holds: its unit, and its meaning in a sentence.

    A `measure` is a number that is known of each run beside its metrics, and that a constraint may
    name, such as `peak_memory_bytes`.
    """

    unit: str = ""
    meaning: str = ""
    measure: bool = False

    def to_json(self) -> ColumnRecord:
        """Return plain JSON values."""
        said: ColumnRecord = {"unit": self.unit, "meaning": self.meaning}
        return {**said, "measure": True} if self.measure else said


# What a run has cost so far: columns of these names are numbers in these units in every table.
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
    given: Mapping[str, Column],
) -> dict[str, Column]:
    """Return what each column of a table holds: as given, else as its place in the table says.

    A column that is neither given nor has such a place gets no meaning.
    """
    places = {name: Column("", meaning) for name, meaning in KEYS.items()}
    places |= MEASURES
    places |= {axis.name: Column(axis.unit, "hyperparameter") for axis in space}
    places |= {axis.name: Column(axis.unit, "fidelity") for axis in fidelities}
    for metric in metrics:
        places[metric.stderr] = Column(metric.unit, f"standard error of {metric.name}")
        places[metric.name] = Column(metric.unit, f"metric, {metric.direction}d")
    return {name: given.get(name, places.get(name, Column())) for name in names}
