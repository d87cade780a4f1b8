"""Tasks on a Ray cluster, as in processes: one that raises, hangs or dies costs itself alone.

The nodes need the package with its extra `ray`, what the tasks need (tables, optimizers'
libraries), and a core for each worker. A worker that dies may have died with its node: its task is
tried once more elsewhere before it is blamed.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

import ray
from ray.exceptions import RayError

from hpobench_llm.errors import HpobenchError
from hpobench_llm.running.cluster import connect
from hpobench_llm.running.tasks import LONGEST_REASON, Answer, R, T, attempt, hung

DEATHS_ALLOWED = 1  # of the workers that run a task
SECONDS_BETWEEN_CHECKS = 0.5


class Worker(Generic[T, R]):
    """A Ray actor that runs tasks, one at a time, with its own copy of what handles them."""

    def __init__(self, handle: Callable[[T], R]) -> None:
        self._handle = handle

    def ready(self) -> None:
        """Say that the worker has started."""

    def run(self, task: T) -> Answer[T, R]:
        """Return the answer to a task."""
        return attempt(self._handle, task)


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
        count: how many workers; None, and at most: one for each core that the cluster has.

    Raises:
        HpobenchError: there is no cluster at the address, or it has no core.
    """
    connect(address, "--address")
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            raise HpobenchError("--executor ray: the cluster has no core for a worker")
        yield from _Crew(tasks, handle, timeout).work(min(count or cores, cores))
    finally:
        ray.shutdown()


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """A call that has no answer yet; without a task the worker is only starting."""

    worker: Any
    task: T | None = None
    begun: float = 0.0
    seconds: float | None = None

    @property
    def overdue(self) -> bool:
        """Whether the task has taken longer than it may."""
        return self.seconds is not None and time.monotonic() - self.begun > self.seconds


class _Crew(Generic[T, R]):
    """The workers of one cluster, and the calls to them."""

    def __init__(
        self,
        tasks: Iterable[T],
        handle: Callable[[T], R],
        timeout: Callable[[T], float | None],
    ) -> None:
        self._waiting, self._timeout = iter(tasks), timeout
        self._again: list[T] = []
        self._actor, self._handle = ray.remote(num_cpus=1)(Worker), ray.put(handle)
        self._calls: dict[Any, _Call[T]] = {}
        self._deaths: Counter[T | None] = Counter()  # by task; None: of workers that were starting

    def work(self, count: int) -> Iterator[Answer[T, R]]:
        """Yield every answer from `count` workers."""
        for _ in range(count):
            self._hire()
        while self._calls:
            answered, running = ray.wait(list(self._calls), timeout=SECONDS_BETWEEN_CHECKS)
            for reference in answered:
                answer = self._receive(reference, self._calls.pop(reference))
                if answer is not None:
                    yield answer
            for reference in running:
                if self._calls[reference].overdue:
                    yield self._give_up(self._calls.pop(reference))

    def _hire(self) -> None:
        worker = self._actor.remote(self._handle)
        self._calls[worker.ready.remote()] = _Call(worker)

    def _begin(self, worker: Any) -> None:
        task = self._again.pop() if self._again else next(self._waiting, None)
        if task is None:
            ray.kill(worker)
            return
        call = _Call(worker, task, time.monotonic(), self._timeout(task))
        self._calls[worker.run.remote(task)] = call

    def _receive(self, reference: Any, call: _Call[T]) -> Answer[T, R] | None:
        """Return the answer that has come, if it is one, and let the work go on."""
        try:
            answer: Answer[T, R] | None = ray.get(reference)
        except RayError as error:
            self._hire()
            self._deaths[call.task] += 1
            why = " ".join(str(error).split())[:LONGEST_REASON]
            if self._deaths[call.task] <= DEATHS_ALLOWED:
                if call.task is not None:
                    self._again.append(call.task)
                return None
            if call.task is None:
                raise HpobenchError(f"--executor ray: no worker can be started: {why}") from None
            return Answer(task=call.task, failure=f"its workers died in the middle of it: {why}")
        self._begin(call.worker)
        return answer

    def _give_up(self, call: _Call[T]) -> Answer[T, R]:
        ray.kill(call.worker)
        self._hire()
        assert call.task is not None  # only a task is ever overdue
        return hung(call.task, time.monotonic() - call.begun)
