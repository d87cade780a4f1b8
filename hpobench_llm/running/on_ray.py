"""Tasks on a Ray cluster, as in processes: one that raises, hangs or dies costs itself alone.

The nodes need the package with its extra `ray`, what the tasks need (tables, optimizers'
libraries), and a core for each worker. A worker that dies may have died with its node: its task is
tried again elsewhere before it is blamed.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

import ray
from ray.exceptions import RayError

from hpobench_llm.errors import HpobenchError
from hpobench_llm.running.cluster import connect
from hpobench_llm.running.tasks import LONGEST_REASON, Answer, R, T, attempt, hung, nothing

DEATHS_ALLOWED = 1  # of the workers that run a task
SECONDS_BETWEEN_CHECKS = 0.5


def on_ray(
    tasks: Iterable[T],
    handle: Callable[[T], R],
    *,
    address: str,
    count: int | None = None,
    timeout: Callable[[T], float | None] = lambda _: None,
) -> Generator[Answer[T, R], None, None]:
    """Yield the answer to each task, as they come, from the workers of a cluster.

    Args:
        tasks: the tasks; each is taken when a worker is free for it.
        handle: what to do with a task.
        address: of the cluster; `auto`: that of this machine, or one that is started.
        timeout: how many seconds a task may take; None: it may take for ever.
        count: how many workers, at most one for each core of the cluster; None: that many.

    Raises:
        HpobenchError: there is no cluster at the address, or it has no core.
    """
    connect(address, "--address")
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            raise HpobenchError("--executor ray: the cluster has no core for a worker")
        yield from Crew(tasks, handle, timeout=timeout).work(min(count or cores, cores))
    finally:
        ray.shutdown()


class Worker(Generic[T, R]):
    """A Ray actor that runs tasks, one at a time, with its own copy of what handles them."""

    def __init__(self, work: tuple[Callable[[], object], Callable[[T], R]]) -> None:
        self._prepare, self._handle = work

    def ready(self) -> Answer[None, object]:
        """Return what the preparation came to; that it answers at all says that it has started."""
        return attempt(lambda _: self._prepare(), None)

    def run(self, task: T) -> Answer[T, R]:
        """Return the answer to a task."""
        return attempt(self._handle, task)


@dataclass(frozen=True, slots=True)
class _Order(Generic[T]):
    """A task that is handed out, and how many workers it has cost before."""

    task: T
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """A call that has no answer yet; without an order the worker is only starting."""

    worker: Any
    order: _Order[T] | None = None
    begun: float = 0.0
    seconds: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether the task has taken longer than it may."""
        return self.seconds is not None and time.monotonic() - self.begun > self.seconds


class Crew(Generic[T, R]):
    """The workers of the cluster that this process has joined, and the calls to them.

    Args:
        tasks: as in `on_ray`.
        handle: as in `on_ray`; every worker has its own copy, which it keeps.
        timeout: as in `on_ray`.
        prepare: what a worker does before its first task; shares what it keeps with `handle`.
        gpus: how many GPUs a worker takes, or which share of one.
        deaths_allowed: how often a task is handed out again after its worker was lost, and how
            many workers may be lost before they have started.
        on_ready: called with each worker's answer of `prepare`; what it raises ends all.
        on_loss: called for each lost worker with its task (None: the worker was starting), how
            many workers that has cost so far, and the reason; what it raises ends all.
        on_wait: called twice a second; what it raises ends all.
    """

    def __init__(
        self,
        tasks: Iterable[T],
        handle: Callable[[T], R],
        *,
        timeout: Callable[[T], float | None] = lambda _: None,
        prepare: Callable[[], object] = nothing,
        gpus: float = 0,
        deaths_allowed: int = DEATHS_ALLOWED,
        on_ready: Callable[[Answer[None, Any]], None] = lambda _: None,
        on_loss: Callable[[T | None, int, str], None] = lambda *_: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._waiting, self._timeout = iter(tasks), timeout
        self._again: list[_Order[T]] = []
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        # Together: they may be methods of one object, of which a worker then has one copy.
        self._work = ray.put((prepare, handle))
        self._deaths_allowed, self._failed_starts = deaths_allowed, 0
        self._on_ready, self._on_loss, self._on_wait = on_ready, on_loss, on_wait
        self._calls: dict[Any, _Call[T]] = {}
        self._handed_out = False  # whether `tasks` is used up; `_again` may hold more

    def work(self, count: int) -> Iterator[Answer[T, R]]:
        """Yield every answer from `count` workers; a worker is given its next task after that."""
        for _ in range(count):
            self._hire()
        while self._calls and self._is_work_left():
            answered, running = ray.wait(list(self._calls), timeout=SECONDS_BETWEEN_CHECKS)
            self._on_wait()
            for reference in answered:
                call = self._calls.pop(reference)
                try:
                    answer: Answer[Any, Any] = ray.get(reference)
                except RayError as error:
                    blame = self._lose(call, error)
                    if blame is not None:
                        yield blame
                    continue
                if call.order is None:
                    self._on_ready(answer)
                else:
                    yield answer
                self._begin(call.worker)
            for reference in running:
                if self._calls[reference].overdue:
                    yield self._give_up(self._calls.pop(reference))

    def _is_work_left(self) -> bool:
        """Say whether a worker that is only starting would have anything to do."""
        # A task that has begun counts: it is handed out again if its worker dies.
        begun = any(call.order is not None for call in self._calls.values())
        return begun or bool(self._again) or not self._handed_out

    def _hire(self) -> None:
        worker = self._actor.remote(self._work)
        self._calls[worker.ready.remote()] = _Call(worker)

    def _next(self) -> _Order[T] | None:
        if self._again:
            return self._again.pop()
        task = next(self._waiting, None)
        self._handed_out = task is None
        return None if task is None else _Order(task)

    def _begin(self, worker: Any) -> None:
        order = self._next()
        if order is None:
            ray.kill(worker)
            return
        call = _Call(worker, order, time.monotonic(), self._timeout(order.task))
        self._calls[worker.run.remote(order.task)] = call

    def _lose(self, call: _Call[T], error: RayError) -> Answer[T, R] | None:
        """Replace a worker and hand its task out again; return an answer if the task is blamed."""
        ray.kill(call.worker)  # it may still be there, out of reach for a moment
        self._hire()
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        if call.order is None:
            self._failed_starts += 1
            self._on_loss(None, self._failed_starts, type(error).__name__)
            if self._failed_starts > self._deaths_allowed:
                raise HpobenchError(
                    f"--executor ray: no worker can be started: {reason}"
                ) from None
            return None
        order = _Order(call.order.task, call.order.deaths + 1)
        self._on_loss(order.task, order.deaths, type(error).__name__)
        if order.deaths > self._deaths_allowed:
            return Answer(
                task=order.task, failure=f"its workers died in the middle of it: {reason}"
            )
        self._again.append(order)
        return None

    def _give_up(self, call: _Call[T]) -> Answer[T, R]:
        ray.kill(call.worker)  # a call that runs cannot be cancelled
        self._hire()
        assert call.order is not None  # only a task is ever overdue
        return hung(call.order.task, time.monotonic() - call.begun)
