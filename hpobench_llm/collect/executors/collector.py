"""Collect in this process: train what can be claimed, on this process's device."""

from collections.abc import Callable
from pathlib import Path

import torch

from hpobench_llm.collect.bases.device import choose_device
from hpobench_llm.collect.bases.model import target_names
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.engines.memory import is_out_of_memory
from hpobench_llm.collect.engines.registry import engine
from hpobench_llm.collect.engines.workbench import Workbench, prepare
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.work import Job, claimed
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.sealable import check_sealable
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.scores.trust import NONE, Trust
from hpobench_llm.errors import HpobenchError, LedgerError


def open_bench(campaign: Campaign, file: Path, device_name: str, trust: Trust = NONE) -> Workbench:
    """Load a campaign's base, data and scores onto the device of this process.

    Raises:
        SpecError, DataError: the campaign's base, data or scores cannot be used, or its runs could
            never be sealed.
        HpobenchError: the memory does not suffice for the base and its evaluation.
    """
    device = choose_device(device_name)
    if device.type == "cpu":
        torch.set_num_threads(1)  # one process a core is faster than threads at this size
    try:
        bench = prepare(campaign, file, device, trust=trust)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise HpobenchError(
            f"{file}: the memory ({device.type}) does not suffice for the base and its evaluation"
        ) from None
    check_sealable(campaign, file, bench.untrained)
    hypers = [campaign.hyperparameters(run.config) for run in campaign.runs()]
    for hyper in {hyper.targets: hyper for hyper in hypers}.values():
        target_names(bench.base, hyper)  # each must name modules of this base
    return bench


def _check_shards(job: Job) -> None:
    """Refuse shards of tasks cut otherwise than the others': some runs would be in none."""
    header = job.ledger.header()
    begun = job.pack_size if header is None else header.pack_size
    if job.parts > 1 and begun != job.pack_size:
        raise LedgerError(
            f"{job.ledger.place}: its other shards are cut into packs of {begun}, this one into "
            f"packs of {job.pack_size}; start it again with --pack-size {begun}"
        )


def collect(
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
        SpecError, DataError: the campaign's base, data or scores cannot be used.
    """
    bench = open_bench(job.campaign, job.file, job.device, job.trust)

    def step(number: int) -> None:
        stop.check()
        on_step(number)

    trained = 0
    with stop.deferred(), Claims(job.ledger.storage.lock_file) as claims:
        job.ledger.open(bench.header(job.pack_size))
        _check_shards(job)
        for task in claimed(job.tasks, job.ledger, claims):
            stop.check()
            records = engine(task.engine)(bench, task.runs, step)
            job.ledger.append(task, records)
            trained += len(task.runs)
            on_task(records)
    return trained
