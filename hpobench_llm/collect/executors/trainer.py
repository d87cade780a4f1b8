"""A worker of a collection, wherever it runs: it loads all once, then makes task after task.

A worker hands its records back: the process that deals out the tasks alone writes the ledger.
"""

import gc
from typing import TypeVar, cast

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.executors.work import Job
from hpobench_llm.collect.families import family_of
from hpobench_llm.collect.family import Bench
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import HpobenchError
from hpobench_llm.running.tasks import Answer

T = TypeVar("T")
V = TypeVar("V")


class Trainer:
    """Loads base, data and scores once and makes tasks, one at a time; is sent before it loads."""

    def __init__(self, job: Job, device: str) -> None:
        self._campaign, self._file, self._trust = job.campaign, job.file, job.trust
        self._device, self._pack_size = device, job.pack_size
        self._bench: Bench | None = None

    def open(self) -> Header:
        """Load everything; returns what `campaign.json` says of it."""
        family = family_of(self._campaign)
        self._bench = family.open(self._campaign, self._file, self._device, self._trust)
        gc.freeze()  # this process is ours, and none of that is garbage before it ends
        return self._bench.header(self._pack_size)

    def train(self, task: Task) -> list[RunRecord]:
        """Return the records of a task's runs."""
        assert self._bench is not None  # every worker opens before its first task
        return self._bench.run(task, lambda _: None)


def value_of(answer: Answer[T, V]) -> V:
    """Return the value of a worker's answer.

    Raises:
        HpobenchError: the worker refused, as any other would have; it ends all.
        RuntimeError: an error in our own code, with the line that raised it.
    """
    if answer.refused:
        raise HpobenchError(answer.failure)
    if answer.failure:
        raise RuntimeError(answer.failure)
    return cast("V", answer.value)
