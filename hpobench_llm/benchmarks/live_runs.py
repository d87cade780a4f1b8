"""The runs of a live benchmark: each is trained once, and kept where a folder is given.

The folder holds a ledger, like a collection's, with the record of every run that has ended, and in
`best/` what the best of them has learned. A process that is killed loses the runs that it was
training. Processes may share the folder: each waits for the runs that another one trains.
"""

import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpobench_llm.benchmarks.best_run import BEST, BestRun, move_whole
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.executors.trainer import Trainer
from hpobench_llm.collect.executors.work import Job
from hpobench_llm.collect.family import Bench, KeepingBench
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import FolderStorage
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.trust import Trust
from hpobench_llm.console import say
from hpobench_llm.errors import LedgerError
from hpobench_llm.metrics import Metric

LEARNED = "learned"  # the folder of adapters that are whole and not judged yet
UNFINISHED = ".unfinished"  # that of adapters that are being written
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """How runs are trained: the campaign that `file` holds, by an engine, on a device."""

    campaign: Campaign
    file: Path
    engine: str
    device: str
    trust: Trust


class LiveRuns:
    """The runs of one campaign.

    Args:
        setup: how they are trained.
        bench: all that they share, ready in this process.
        folder: where they are kept; None: in this process alone.
        metric: chooses the best.
        feasible: whether a run may be the best.

    Raises:
        LedgerError: the folder holds another campaign's runs, or cannot be used.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        bench: Bench,
        folder: Path | None = None,
        metric: Metric | None = None,
        feasible: Callable[[RunRecord], bool] = lambda _: True,
    ) -> None:
        self.setup, self.folder = setup, folder
        self._bench, self._feasible = bench, feasible
        self._records: dict[str, RunRecord] = {}
        self._ledger: Ledger | None = None
        self._best: BestRun | None = None
        if folder is not None:
            self._ledger = Ledger(FolderStorage(folder), setup.campaign.identity())
            self._ledger.refresh()
            if self._ledger.damaged:
                say(f"{self._ledger.damage()}; their runs are trained again")
            self._ledger.open(bench.header())
            self._records = self._ledger.records
            if metric is not None and isinstance(bench, KeepingBench):
                self._best = best = BestRun(folder, metric)
                self._judge_rest(best, folder)

    def task(self, run: Run) -> Task:
        """Return the task that makes a run: runs are trained one at a time."""
        return Task("runs", self.setup.engine, (run,))

    def ended(self, run: Run) -> RunRecord | None:
        """Return the record of a run that has ended, here or where the folder is shared."""
        if run.run_id not in self._records and self._ledger is not None:
            self._ledger.refresh()
        return self._records.get(run.run_id)

    def record(self, run: Run) -> RunRecord:
        """Return the record of a run; train it unless another process has or does.

        Raises:
            LedgerError: it cannot be kept; earlier runs are.
        """
        while (record := self.ended(run)) is None:
            if self._ledger is None:
                self.keep(self.task(run), train(self._bench, self.task(run), None))
                continue
            with Claims(self._ledger.storage.lock_file) as claims:
                if claims.take(self.task(run)):
                    if self.ended(run) is None:  # it may have ended just before
                        records = train(self._bench, self.task(run), self.folder)
                        self.keep(self.task(run), records)
                else:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
        return record

    def keep(self, task: Task, records: list[RunRecord]) -> None:
        """Keep the records of a finished task, and the adapter of its run if that is the best."""
        if self._ledger is None:
            self._records |= {record.run_id: record for record in records}
            return
        self._ledger.refresh()
        if self._ledger.missing(task) is not None:  # the first that ended counts
            self._ledger.append(task, records)
        for record in records:
            self._judge(record)

    def trainer(self) -> "RunTrainer":
        """Return what trains these runs in another process."""
        if self._ledger is None or self.folder is None:
            raise LedgerError("runs that several processes train need a folder to be kept in")
        setup = self.setup
        job = Job(
            campaign=setup.campaign,
            file=setup.file,
            tasks=(),
            ledger=self._ledger,
            device=setup.device,
            trust=setup.trust,
            pack_size=1,
        )
        return RunTrainer(job, setup.device, self.folder)

    def _judge_rest(self, best: BestRun, folder: Path) -> None:
        """Judge the adapters of runs whose process was killed before it judged them."""
        for path in sorted((folder / LEARNED).glob("*")):
            if path.name in self._records:
                self._judge(self._records[path.name])
        losses = {run_id: best.loss(r) for run_id, r in self._records.items() if self._feasible(r)}
        winner = min(losses, key=losses.__getitem__, default="")
        if not best.exists and losses.get(winner, math.inf) < math.inf:
            say(
                f"{folder / BEST}: what the best run so far, {winner}, has learned is not there; "
                f"delete its record in {folder} to train it again. A worse run does not replace it"
            )

    def _judge(self, record: RunRecord) -> None:
        """Let a run be the best if none in the ledger is better, whatever `best/` says."""
        if self._best is None or self.folder is None:
            return
        loss = self._best.loss(record)
        # The ledger and not `best/` decides: another process may have kept a better run since.
        better = (r for r in self._records.values() if self._best.loss(r) < loss)
        eligible = self._feasible(record) and not any(map(self._feasible, better))
        self._best.judge(record, self.folder / LEARNED / record.run_id, eligible=eligible)


class RunTrainer(Trainer):
    """Trains tasks in a process of its own, and writes what they learn into the folder.

    It waits for the runs that another process trains. It holds its claims until it ends, since the
    process that keeps its records writes them later.
    """

    def __init__(self, job: Job, device: str, folder: Path) -> None:
        super().__init__(job, device)
        self._folder = folder
        self._ledger = Ledger(FolderStorage(folder), job.campaign.identity())
        self._claims: Claims | None = None

    def train(self, task: Task) -> list[RunRecord]:
        """Return the records of a task's runs; one without runs is a moment's rest."""
        if not task.runs:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return []
        assert self._bench is not None  # every worker opens before its first task
        if self._claims is None:
            self._claims = Claims(self._ledger.storage.lock_file).__enter__()
        while True:
            ours = self._claims.take(task)
            self._ledger.refresh()  # after the look at the claim: it may have ended just before
            if self._ledger.is_done(task):
                return [self._ledger.records[run.run_id] for run in task.runs]
            if ours:
                return train(self._bench, task, self._folder)
            time.sleep(SECONDS_BETWEEN_LOOKS)


def train(bench: Bench, task: Task, folder: Path | None) -> list[RunRecord]:
    """Train a task's runs; what they learn goes into a folder, where there is one and they can.

    What a run has learned appears in `learned/` whole and on disk, or not at all.

    Raises:
        LedgerError: it cannot be written.
    """
    if folder is None or not isinstance(bench, KeepingBench):
        return bench.run(task, lambda _: None)
    try:
        for run in task.runs:  # what a kill left
            shutil.rmtree(folder / UNFINISHED / run.run_id, ignore_errors=True)
        records = bench.run_and_keep(task, lambda _: None, folder / UNFINISHED)
        for run in task.runs:
            move_whole(folder / UNFINISHED / run.run_id, folder / LEARNED / run.run_id)
    except OSError as error:
        reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
        raise LedgerError(
            f"{folder / LEARNED}: cannot be written: {reason}; what was finished before is kept: "
            "make room and start again"
        ) from None
    return records
