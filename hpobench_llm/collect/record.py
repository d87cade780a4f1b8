"""The record of a run: what a ledger keeps and a table is made of.

A record knows nothing of what kind of run it is: `settings` are all hyperparameters, `constants`
what does not change while a run is trained, and each checkpoint says where along the fidelities
it was taken and what was measured there, by the table's column names.

Format 3. A ledger of format 2 is read too: there the rows of a checkpoint were flat.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, cast

from hpobench_llm.errors import shown
from hpobench_llm.evaluation import STATUSES, Status
from hpobench_llm.space import Configuration, Value, config_id, is_finite
from hpobench_llm.tables.baselines import Baseline, BaselineRecord

FORMAT = 3
READABLE = (2, FORMAT)
Number = int | float
Row = Mapping[str, Any]
"""A row of a table to be: fidelities, `status` and whatever columns a family has."""


class ProvenanceRecord(TypedDict):
    """A `Provenance` as plain JSON."""

    commit: str | None
    dirty: bool | None
    device: str
    threads: int
    versions: Mapping[str, str]
    seconds: Mapping[str, float]


class CheckpointRecord(TypedDict):
    """A `Checkpoint` as plain JSON."""

    fidelity: Mapping[str, Number]
    status: Status
    values: Mapping[str, Number]


class RunJson(TypedDict):
    """A `RunRecord` as plain JSON, as it stands in a file of a ledger."""

    run_id: str
    config: Configuration
    seed: int
    settings: Mapping[str, Value]
    constants: Mapping[str, Value]
    checkpoints: list[CheckpointRecord]
    provenance: ProvenanceRecord
    items: NotRequired[Mapping[str, list[float]]]
    baselines: NotRequired[list[BaselineRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Which code, libraries and machine made a record.

    `commit` is None outside a checkout; `dirty` says whether the package differed from it.
    `seconds` holds what was measured once for all runs, such as evaluating the untrained base.
    """

    commit: str | None
    dirty: bool | None
    device: str
    threads: int
    versions: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The commit, marked where the code differed from it."""
        return f"{self.commit}{'-dirty' if self.dirty else ''}"

    def to_json(self) -> ProvenanceRecord:
        """Return plain JSON values."""
        return {
            "commit": self.commit,
            "dirty": self.dirty,
            "device": self.device,
            "threads": self.threads,
            "versions": dict(self.versions),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was measured at one point of a run.

    `fidelity` gives the point, `{"step": 8}`; `values` holds metrics, costs and counters by
    column, finite numbers only: what was not measured is absent. Costs are those since the start.
    """

    fidelity: Mapping[str, Number]
    status: Status
    values: Mapping[str, Number]

    def row(self) -> Row:
        """Return a flat row of a table: fidelities, status and values."""
        return {**self.fidelity, "status": self.status, **self.values}

    def to_json(self) -> CheckpointRecord:
        """Return plain JSON values."""
        return {
            "fidelity": dict(self.fidelity),
            "status": self.status,
            "values": dict(self.values),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run.

    `config` holds the axes of the grid alone, `settings` everything that was set, defaults too;
    `constants` what was found once a run (`trainable_parameters`, `engine`, `pack_size`).
    `items` holds, for the runs that keep them, the values of single items in full by column:
    `{"val_loss": (nats of each validation row, ...)}`; the `Header` says which items these are.
    `baselines` are what one run of a campaign measured for all of them beside its own.
    """

    config: Configuration
    seed: int
    settings: Mapping[str, Value]
    constants: Mapping[str, Value]
    checkpoints: tuple[Checkpoint, ...]
    provenance: Provenance
    items: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()

    @property
    def config_id(self) -> str:
        """The configuration's id."""
        return config_id(self.config)

    @property
    def run_id(self) -> str:
        """The run's name in a ledger."""
        return f"{self.config_id}-{self.seed}"

    @property
    def status(self) -> Status:
        """How the run ended."""
        return self.checkpoints[-1].status

    def rows(self) -> list[Row]:
        """Return the checkpoints as flat rows, in their order."""
        return [checkpoint.row() for checkpoint in self.checkpoints]

    def to_json(self) -> RunJson:
        """Return plain JSON values; `run_id` is there for people."""
        raw: RunJson = {
            "run_id": self.run_id,
            "config": dict(self.config),
            "seed": self.seed,
            "settings": dict(self.settings),
            "constants": dict(self.constants),
            "checkpoints": [checkpoint.to_json() for checkpoint in self.checkpoints],
            "provenance": self.provenance.to_json(),
        }
        if self.items:
            raw["items"] = {name: list(values) for name, values in self.items.items()}
        if self.baselines:
            raw["baselines"] = [baseline.to_json() for baseline in self.baselines]
        return raw

    @staticmethod
    def from_json(raw: Any, *, version: int = FORMAT) -> "RunRecord":
        """Rebuild a record that `to_json` of a `version` in `READABLE` made.

        Raises:
            ValueError: something is missing or not of its kind.
        """
        try:
            record = _read(raw if version == FORMAT else _from_format_2(raw))
            stated, run_id = raw["run_id"], record.run_id
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"no record of a run: {shown(error)}") from None
        # The id is a hash of the configuration: a file that was edited by hand shows here.
        if run_id != stated:
            raise ValueError(f"run {shown(stated)} holds the configuration of {run_id!r}")
        return record


def finite(values: Mapping[str, Number | None]) -> dict[str, Number]:
    """Return the values that are numbers and finite: the others were not measured."""
    return {k: v for k, v in values.items() if v is not None and math.isfinite(v)}


def _read(raw: RunJson) -> RunRecord:
    checkpoints = tuple(Checkpoint(**checkpoint) for checkpoint in raw["checkpoints"])
    if not checkpoints or any(checkpoint.status not in STATUSES for checkpoint in checkpoints):
        raise ValueError(
            f"run {shown(raw['run_id'])} has no checkpoints, or one of unknown status"
        )
    origin = Provenance(**raw["provenance"])
    items = {name: tuple(values) for name, values in raw.get("items", {}).items()}
    numbers = (
        *(c.fidelity for c in checkpoints),
        *(c.values for c in checkpoints),
        origin.seconds,
    )
    texts = {"device": origin.device, "commit": origin.commit or "", **origin.versions}
    # JSON as Python reads it has NaN, and any type anywhere: what no table holds ends here.
    checks: list[tuple[Callable[[object], bool], Mapping[Any, object]]] = [
        *((is_finite, values) for values in numbers),
        *((is_finite, dict(enumerate(values))) for values in items.values()),
        *((_is_plain, raw[name]) for name in ("config", "settings", "constants")),
        (lambda value: isinstance(value, str), texts),
        (_is_whole, {"seed": raw["seed"], "threads": origin.threads}),
    ]
    for accepts, values in checks:
        for name, value in values.items():
            if not accepts(value):
                raise ValueError(f"run {shown(raw['run_id'])}: `{name}` is {shown(value)}")
    return RunRecord(
        config=dict(raw["config"]),
        seed=raw["seed"],
        settings=raw["settings"],
        constants=raw["constants"],
        checkpoints=checkpoints,
        provenance=origin,
        items=items,
        baselines=tuple(map(Baseline.from_json, raw.get("baselines", ()))),
    )


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or is_finite(value)


def _is_whole(value: object) -> bool:
    # In Python True is an int, and JSON's true would pass for 1.
    return isinstance(value, int) and not isinstance(value, bool)


def _from_format_2(raw: Any) -> RunJson:
    origin = raw["provenance"]
    # Format 2 had one such time, in a field of its own.
    seconds = origin.get("untrained_eval_seconds")
    others = {key: value for key, value in origin.items() if key != "untrained_eval_seconds"}
    provenance = others | {"seconds": {} if seconds is None else {"untrained_evaluation": seconds}}
    return {
        "run_id": raw["run_id"],
        "config": raw["config"],
        "seed": raw["seed"],
        "settings": raw["hyperparameters"],
        "constants": {k: raw[k] for k in ("trainable_parameters", "engine", "pack_size")},
        "checkpoints": [
            {
                "fidelity": {"step": row["step"]},
                "status": row["status"],
                "values": finite({k: v for k, v in row.items() if k not in ("step", "status")}),
            }
            for row in raw["rows"]
        ],
        "provenance": cast("ProvenanceRecord", provenance),
        "items": {"val_loss": raw["val_row_losses"]} if "val_row_losses" in raw else {},
    }
