"""Collect on a Ray cluster: workers train, this process hands out tasks and keeps the ledger.

The workers need the package with its extras `collect` and `ray`, and the campaign's file, base and
data at the same paths as here. A task whose worker or node is lost is handed out again.
"""

import math
from collections.abc import Callable

import ray

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.trainer import Trainer, value_of
from hpobench_llm.collect.executors.work import Job, check_shards, claimed
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import HpobenchError, LedgerError
from hpobench_llm.running.cluster import connect
from hpobench_llm.running.on_ray import Crew
from hpobench_llm.running.tasks import Answer

LOSSES_ALLOWED = 3


def collect_on_ray(
    job: Job,
    stop: StopSignals,
    *,
    address: str,
    workers: int | None,
    gpus_per_worker: float,
    on_task: Callable[[list[RunRecord]], None],
    on_loss: Callable[[str], None],
) -> int:
    """Train every run of the job that no other collector trains; returns how many were trained.

    `workers` is how many work, at most as many as the cluster has room for; None: that many.
    `on_loss` is called with a line for each worker that is lost.

    Raises:
        Interrupted: after a signal; the tasks that were being trained are dropped.
        HpobenchError: there is no cluster, it has no room for a worker, or workers keep dying.
        LedgerError: the ledger is another campaign's, or cannot be written.
    """

    def lose(task: Task | None, times: int, reason: str) -> None:
        lost = f"a task of {len(task.runs)} runs" if task else "a worker that was loading"
        if times > LOSSES_ALLOWED:
            raise LedgerError(
                f"{lost} was lost {times} times with its worker ({reason}); what was "
                "finished is kept: see to the cluster and start again"
            )
        on_loss(f"{lost} was lost ({reason}), attempt {times + 1} begins")

    def open_ledger(answer: Answer[None, Header]) -> None:
        job.ledger.open(value_of(answer))  # also a node that has other data is noticed here
        check_shards(job)

    connect(address, "--ray-address")
    stop.arm()  # Ray has put its own handler in the place of ours
    try:
        device, room = _room(job.device, gpus_per_worker)
        trainer, trained = Trainer(job, device), 0
        with stop.deferred(), Claims(job.ledger.storage.lock_file) as claims:
            crew = Crew(
                claimed(job.tasks, job.ledger, claims),
                trainer.train,
                prepare=trainer.open,
                gpus=gpus_per_worker if device == "cuda" else 0,
                deaths_allowed=LOSSES_ALLOWED,
                on_ready=open_ledger,
                on_loss=lose,
                on_wait=stop.check,
            )
            # No more workers than tasks: each of them loads the base.
            for answer in crew.work(min(room, workers or room, len(job.tasks))):
                records = value_of(answer)
                job.ledger.append(answer.task, records)
                trained += len(answer.task.runs)
                on_task(records)
        return trained
    finally:
        ray.shutdown()


def _room(device: str, gpus_per_worker: float) -> tuple[str, int]:
    """Return the device that workers train on, and how many of them the cluster has room for."""
    resources: dict[str, float] = ray.cluster_resources()
    if device == "auto":
        device = "cuda" if resources.get("GPU", 0) > 0 else "cpu"
    cpus, gpus = int(resources.get("CPU", 0)), resources.get("GPU", 0.0)
    # Ray never splits one worker over several GPUs' shares: count them GPU by GPU.
    room = cpus
    if device == "cuda":
        per_gpu = math.floor(1 / gpus_per_worker + 1e-9)
        room = min(cpus, int(gpus) * per_gpu if per_gpu else int(gpus / gpus_per_worker))
    if room < 1:
        raise HpobenchError(
            f"--executor ray: the cluster has {cpus} CPUs and {gpus:g} GPUs, no room for a worker "
            f"with 1 CPU{f' and {gpus_per_worker:g} GPU' if device == 'cuda' else ''}"
        )
    return device, room
