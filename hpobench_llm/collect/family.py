"""A family of runs: what a kind of campaign says of itself, so that `collect` can do the rest.

A family is a module that holds `FAMILY`. It is found by the `kind` of a campaign file, see
`families`. It must not import what only its runs need (torch, say) before `open`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import pandas as pd

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.plan import Task, one_by_one
from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.columns import RunColumn
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import Provenance, Row, RunRecord
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.figures import FigureRecord
from hpobench_llm.tables.provenance import Sources, TableProvenance

OnStep = Callable[[int], None]
C = TypeVar("C", bound=Campaign)


class Bench(Protocol):
    """All that the runs of a campaign share, made ready on a device."""

    @property
    def sources(self) -> Sources:
        """What the runs are made of, with sums: as in `Header`."""

    @property
    def untrained(self) -> dict[str, float]:
        """What is measured before any training, by column; may be empty."""

    @property
    def provenance(self) -> Provenance:
        """Which code and machine make the records."""

    def header(self, pack_size: int = 1) -> Header:
        """Return what a ledger says of the whole collection."""

    def run(self, task: Task, on_step: OnStep) -> list[RunRecord]:
        """Make the runs of a task; returns a record each, in their order.

        `on_step` is called often with any number; what it raises must end the task.
        """


@runtime_checkable
class KeepingBench(Bench, Protocol):
    """A bench whose runs learn something that can be kept and used."""

    def run_and_keep(self, task: Task, on_step: OnStep, folder: Path) -> list[RunRecord]:
        """Make the runs of a task, as `run`.

        What a run that did not fail has learned is written to `folder/<run id>`, in a form that
        others read, before this returns.
        """


class Family(ABC, Generic[C]):
    """A kind of campaign: its spec, how its runs are made, what they measure."""

    spec: ClassVar[type[Campaign]]
    engines: ClassVar[tuple[str, ...]]
    """The ways to make a run; the first is the default."""

    @abstractmethod
    def open(self, campaign: C, file: Path, device: str, trust: Trust) -> Bench:
        """Make everything ready on `auto`, `cpu` or `cuda`.

        Raises:
            SpecError, DataError, MissingDependencyError: something cannot be used.
        """

    @abstractmethod
    def columns(self, campaign: C, untrained: Mapping[str, float]) -> Sequence[RunColumn]:
        """Return the columns that records may fill: settings, constants, fidelity, values."""

    @abstractmethod
    def metrics(self, campaign: C, header: Header, frame: pd.DataFrame) -> list[Metric]:
        """Return the metrics, from a ledger's header and the rows that there are."""

    def tasks(self, campaign: C, engine: str, pack_size: int) -> list[Task]:
        """Return all tasks of a campaign, in the order of their runs: by default one a run.

        They follow from the campaign alone, never from what has been collected.
        """
        return one_by_one(campaign.runs(), engine)

    def pack_size(self, campaign: C, file: Path, device: str, workers: int) -> int:
        """Return how many runs this machine should make together."""
        return 1

    def cost_class(self, campaign: C, run: Run) -> object:
        """Return what a run's cost follows from: runs of one class are priced alike."""
        return ()

    def priced(self, solo: Mapping[str, RunRecord]) -> Callable[[RunRecord], Iterable[Row]]:
        """Return what makes rows of a record, given the runs that were timed alone."""
        return RunRecord.rows

    def provenance(self, campaign: C) -> TableProvenance:
        """Return the family's own entries of a table's provenance."""
        return {}

    def prose(self, campaign: C) -> TableProvenance:
        """Return what a table's provenance says for readers alone; it may be written anew.

        `retraining` is a paragraph on what a retrainer would otherwise have to guess, `data_notes`
        says by source what must be known of its rows.
        """
        return {}

    def notes(self, campaign: C, frame: pd.DataFrame) -> list[str]:
        """Return lines for a table's card that are computed from its rows."""
        return []

    def figures(self, campaign: C, frame: pd.DataFrame) -> list[FigureRecord]:
        """Return pictures for a table's card that are computed from its rows."""
        return []

    def check(
        self, campaign: C, where: str | Path, untrained: Mapping[str, float] | None = None
    ) -> None:
        """Refuse what could never be sealed, whatever comes out.

        Raises:
            SpecError: naming the key and the value.
        """

    def check_trust(self, campaign: C, file: Path, trust: Trust) -> None:
        """Refuse a campaign that runs code of others which `trust` does not allow."""

    def describe(self, campaign: C) -> list[str]:
        """Return lines for people on what a run does."""
        return []

    def estimate(
        self, campaign: C, file: Path, assumptions: Assumptions, pack_size: int
    ) -> list[str]:
        """Return lines for people on what all of it will cost, from the campaign alone."""
        return []

    def examine(
        self,
        campaign: C,
        file: Path,
        device: str,
        trust: Trust = NONE,
        used: Collection[str] = (),
    ) -> list[str]:
        """Do all that a start does before its first step; returns lines on what it read.

        `used` are the engines of the tasks.
        """
        bench = self.open(campaign, file, device, trust)
        return [f"untrained  {name} {value:.4f}" for name, value in bench.untrained.items()]
