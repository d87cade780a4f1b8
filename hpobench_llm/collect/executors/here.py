"""Collect in this process: make what can be claimed, on this process's device."""

from collections.abc import Callable

from hpobench_llm.collect.executors.garbage import spared
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.work import Job, check_shards, claimed
from hpobench_llm.collect.families import family_of
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.record import RunRecord


def collect_here(
    job: Job,
    stop: StopSignals,
    *,
    on_step: Callable[[int], None] = lambda _: None,
    on_task: Callable[[list[RunRecord]], None] = lambda _: None,
) -> int:
    """Train every run of the job that nobody else trains; returns how many were trained.

    A finished task is on disk before `on_task` is called with its records and the next begins.
    `on_step` is called after each step, and may raise to end the collection.

    Raises:
        Interrupted: after a signal; the task that was being trained is dropped.
        LedgerError: the ledger is another campaign's, its shards are cut otherwise, or it cannot
            be written.
        SpecError, DataError: the campaign's sources cannot be used.
    """
    family = family_of(job.campaign)
    bench = family.open(job.campaign, job.file, job.device, job.trust)

    def step(number: int) -> None:
        stop.check()
        on_step(number)

    trained = 0
    # A signal that comes while the ledger is written waits for the next check.
    with spared(), stop.deferred(), Claims(job.ledger.storage.lock_file) as claims:
        job.ledger.open(bench.header(job.pack_size))
        check_shards(job)
        for task in claimed(job.tasks, job.ledger, claims):
            stop.check()
            records = bench.run(task, step)
            job.ledger.append(task, records)
            trained += len(task.runs)
            on_task(records)
    return trained
