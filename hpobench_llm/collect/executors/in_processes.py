"""Collect in several processes of this machine: they train, this one keeps the ledger."""

from collections.abc import Callable
from contextlib import closing

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.trainer import Trainer, value_of
from hpobench_llm.collect.executors.work import Job, check_shards, claimed
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import LedgerError
from hpobench_llm.running.processes import in_processes
from hpobench_llm.running.tasks import Answer


def collect_in_processes(
    job: Job, stop: StopSignals, *, count: int, on_task: Callable[[list[RunRecord]], None]
) -> int:
    """Train every run of the job that no other collector trains; returns how many were trained.

    A process that dies ends the others, and a signal ends all: what they had finished is in the
    ledger.

    Raises:
        Interrupted: after a signal; the tasks that were being trained are dropped.
        LedgerError: a process died, or the ledger is another campaign's or cannot be written.
        HpobenchError: what a process has refused, in its own words.
    """
    trainer = Trainer(job, job.device)

    def open_ledger(answer: Answer[None, Header]) -> None:
        job.ledger.open(value_of(answer))
        check_shards(job)

    trained = 0
    with stop.deferred(), Claims(job.ledger.storage.lock_file) as claims:
        answers = in_processes(
            claimed(job.tasks, job.ledger, claims),
            trainer.train,
            count=min(count, len(job.tasks)),  # each process loads the base
            prepare=trainer.open,
            on_ready=open_ledger,
            on_wait=stop.check,
        )
        with closing(answers):
            for answer in answers:
                records = value_of(_alive(answer))
                job.ledger.append(answer.task, records)
                trained += len(answer.task.runs)
                on_task(records)
    return trained


def _alive(answer: Answer[Task, list[RunRecord]]) -> Answer[Task, list[RunRecord]]:
    if answer.died:
        raise LedgerError(
            f"a worker: {answer.failure}; what was finished is kept: start again, with fewer "
            "workers if the memory was too small"
        )
    return answer
