"""The training engines by name: each turns runs into ledger records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.engines.packed import train_pack
from hpobench_llm.collect.lora.engines.peft_loop import train_runs
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.packs import EngineName
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.record import Provenance, RunRecord
from hpobench_llm.tables.provenance import Sources

OnStep = Callable[[int], None]
Engine = Callable[[Workbench[LoraCampaign], Sequence[Run], OnStep], list[RunRecord]]


def engine(name: EngineName) -> Engine:
    """Return the engine called `packed` or `peft`; it returns one record a run, in their order."""
    return {"packed": train_pack, "peft": train_runs}[name]


@dataclass(frozen=True, slots=True)
class LoraBench:
    """A workbench with the engines that work on it. See `family.Bench`."""

    workbench: Workbench[LoraCampaign]

    @property
    def sources(self) -> Sources:
        """Base, data and scores, with their sums."""
        return self.workbench.sources

    @property
    def untrained(self) -> dict[str, float]:
        """What the base scores as it is."""
        return self.workbench.untrained

    @property
    def provenance(self) -> Provenance:
        """Which code and machine train here."""
        return self.workbench.provenance

    def header(self, pack_size: int = 1) -> Header:
        """Return what a ledger says of the whole collection."""
        return self.workbench.header(pack_size)

    def run(self, task: Task, on_step: OnStep) -> list[RunRecord]:
        """Train the runs of a task with its engine."""
        return engine(cast("EngineName", task.engine))(self.workbench, task.runs, on_step)
