"""The training engines by name: each turns runs into ledger records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.engines.adapter import Adapter, OnAdapter, copied, write_adapter
from hpobench_llm.collect.lora.engines.packed import train_pack
from hpobench_llm.collect.lora.engines.peft_loop import train_runs
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.packs import EngineName
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.record import Provenance, RunRecord
from hpobench_llm.tables.provenance import Sources

OnStep = Callable[[int], None]
Engine = Callable[[Workbench[LoraCampaign], Sequence[Run], OnStep, OnAdapter], list[RunRecord]]


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
        return self._train(task, on_step, lambda *_: None)

    def run_and_keep(self, task: Task, on_step: OnStep, folder: Path) -> list[RunRecord]:
        """Train the runs, and write the adapter of each that did not fail to its own folder."""
        learned: list[tuple[Run, Adapter]] = []
        records = self._train(task, on_step, lambda run, a: learned.append((run, copied(a))))
        bench = self.workbench
        for run, adapter in learned:  # now that the base is as it was
            hyper = bench.campaign.hyperparameters(run.config)
            write_adapter(folder / run.run_id, bench.base, hyper, adapter)
        return records

    def _train(self, task: Task, on_step: OnStep, on_adapter: OnAdapter) -> list[RunRecord]:
        # The engine of the task, since a pack's runs are timed alone by another one.
        train = engine(cast("EngineName", task.engine))
        return train(self.workbench, task.runs, on_step, on_adapter)
