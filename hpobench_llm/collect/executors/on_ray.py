"""Collect on a Ray cluster: workers train, this process hands out tasks and keeps the ledger.

The workers need the package with its extras `collect` and `ray`, and the campaign's file, base and
data at the same paths as here. A task whose worker or node is lost is handed out again.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.work import Job, claimed
from hpobench_llm.collect.families import family_of
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.trust import Trust
from hpobench_llm.errors import HpobenchError, LedgerError
from hpobench_llm.running.cluster import connect

LOSSES_ALLOWED = 3
SECONDS_BETWEEN_CHECKS = 0.5


@dataclass(frozen=True, slots=True)
class Refusal:
    """The message of an error that a worker raised on purpose; no other worker would do better."""

    message: str


class Worker:
    """A Ray actor that loads base, data and scores once and trains tasks, one at a time."""

    def __init__(
        self,
        campaign: Campaign,
        file: Path,
        device: str,
        trust: Trust,
        pack_size: int,
    ) -> None:
        self._given = (campaign, file, device, trust)
        self._pack_size = pack_size
        self._bench: Any = None

    def open(self) -> Header | Refusal:
        """Load everything; returns what `campaign.json` says of it."""
        campaign = self._given[0]
        try:
            self._bench = family_of(campaign).open(*self._given)
        except HpobenchError as error:
            return Refusal(str(error))
        header: Header = self._bench.header(self._pack_size)
        return header

    def train(self, task: Task) -> list[RunRecord] | Refusal:
        """Return the records of a task's runs."""
        try:
            records: list[RunRecord] = self._bench.run(task, lambda _: None)
        except HpobenchError as error:
            return Refusal(str(error))
        return records


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

    `workers` is at most as many as the cluster has room for, and None means so many. `on_loss`
    is told of each worker that is lost.

    Raises:
        Interrupted: after a signal; the tasks that were being trained are dropped.
        HpobenchError: there is no cluster, it has no room for a worker, or workers keep dying.
        LedgerError: the ledger is another campaign's, or cannot be written.
    """
    connect(address, "--ray-address")
    stop.arm()  # Ray has put its own handler in the place of ours
    try:
        device, room = _room(job.device, gpus_per_worker)
        count = min(room, workers or room, len(job.tasks))
        gpus = gpus_per_worker if device == "cuda" else 0
        actor_class = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        with stop.deferred(), Claims(job.ledger.storage.lock_file) as claims:
            crew = _Crew(job, claims, actor_class, device, on_task, on_loss)
            return crew.work(count, stop)
    finally:
        ray.shutdown()


def _room(device: str, gpus_per_worker: float) -> tuple[str, int]:
    """Return the device that workers train on, and how many of them the cluster has room for."""
    has: dict[str, float] = ray.cluster_resources()
    if device == "auto":
        device = "cuda" if has.get("GPU", 0) > 0 else "cpu"
    cpus, gpus = int(has.get("CPU", 0)), has.get("GPU", 0.0)
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


class _Crew:
    """The workers of one collection, and the calls to them that have no answer yet."""

    def __init__(
        self,
        job: Job,
        claims: Claims,
        actor_class: Any,
        device: str,
        on_task: Callable[[list[RunRecord]], None],
        on_loss: Callable[[str], None],
    ) -> None:
        self._job, self._actor_class, self._device = job, actor_class, device
        self._on_task, self._on_loss = on_task, on_loss
        self._tasks = claimed(job.tasks, job.ledger, claims)
        self._calls: dict[Any, tuple[Any, Task | None]] = {}  # None: the worker is loading
        self._idle: list[Any] = []
        self._again: list[Task] = []
        self._losses: Counter[str] = Counter()  # by task, and of workers that were loading
        self._trained = 0

    def work(self, count: int, stop: StopSignals) -> int:
        """Train until nothing is left; returns how many runs were trained."""
        for _ in range(count):
            self._hire()
        while True:
            stop.check()
            answered, _ = ray.wait(list(self._calls), timeout=SECONDS_BETWEEN_CHECKS)
            for call in answered:
                self._receive(call)
            while self._idle and (task := self._next_task()) is not None:
                worker = self._idle.pop()
                self._calls[worker.train.remote(task)] = worker, task
            # A worker that is idle now says that nothing is left to hand out.
            if self._idle and not any(task for _, task in self._calls.values()):
                return self._trained

    def _hire(self) -> None:
        job = self._job
        worker = self._actor_class.remote(
            job.campaign, job.file, self._device, job.trust, job.pack_size
        )
        self._calls[worker.open.remote()] = worker, None

    def _next_task(self) -> Task | None:
        return self._again.pop() if self._again else next(self._tasks, None)

    def _receive(self, call: Any) -> None:
        worker, task = self._calls.pop(call)
        try:
            answer = ray.get(call)
        except RayTaskError:
            raise  # an error in our own code, with its traceback
        except RayError as error:
            self._lose(worker, task, type(error).__name__)
            return
        if isinstance(answer, Refusal):
            raise HpobenchError(answer.message)
        self._idle.append(worker)
        if task is None:
            self._job.ledger.open(answer)  # also a node that has other data is noticed here
            return
        self._job.ledger.append(task, answer)
        self._trained += len(task.runs)
        self._on_task(answer)

    def _lose(self, worker: Any, task: Task | None, reason: str) -> None:
        """Replace a lost worker and hand its task out again, a few times."""
        ray.kill(worker)  # it may still be there, out of reach for a moment
        key = task.task_id if task else ""
        self._losses[key] += 1
        what = f"a task of {len(task.runs)} runs" if task else "a worker that was loading"
        if self._losses[key] > LOSSES_ALLOWED:
            raise LedgerError(
                f"{what} was lost {self._losses[key]} times with its worker ({reason}); what was "
                "finished is kept: see to the cluster and start again"
            )
        self._on_loss(f"{what} was lost ({reason}), attempt {self._losses[key] + 1} begins")
        if task:
            self._again.append(task)
        self._hire()
