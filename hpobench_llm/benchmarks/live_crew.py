"""Processes that train the trials of one replay at the same time."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from hpobench_llm.benchmarks.live_runs import LiveRuns
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.executors.trainer import value_of
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import LedgerError
from hpobench_llm.running.processes import in_processes
from hpobench_llm.running.tasks import Answer


class LiveCrew:
    """Trains what is submitted, in `count` processes, which start with the first that needs them.

    Each process has a base of its own. Runs whose record exists need no process, so a replay that
    begins again soon catches up.
    """

    def __init__(self, runs: LiveRuns, count: int) -> None:
        self._runs, self._count = runs, count
        self._lacking: dict[int, dict[str, Run]] = {}
        self._waiting: deque[Task] = deque()
        self._begun: set[str] = set()
        self._rest = Task("runs", runs.setup.engine, ())  # lets an idle worker pause
        self._answers: Generator[Answer[Task, list[RunRecord]]] | None = None

    def submit(self, number: int, runs: Iterable[Run]) -> None:
        """Let those runs of a trial be trained that have no record yet."""
        self._lacking[number] = {run.run_id: run for run in runs if not self._runs.ended(run)}
        for run_id, run in self._lacking[number].items():
            if run_id not in self._begun:
                self._begun.add(run_id)
                self._waiting.append(self._runs.task(run))

    def wait(self, number: int | None = None) -> int:
        """Return the trial of this number, or the first, once all of its runs have ended.

        Raises:
            LedgerError: a process died, or a record cannot be kept; what was finished before is.
            HpobenchError: a process refused a run.
        """
        while True:
            for trial, lacking in self._lacking.items():
                if not lacking and number in (None, trial):
                    del self._lacking[trial]
                    return trial
            answer = self._next()
            if answer.task.runs:
                self._runs.keep(answer.task, value_of(answer))
                # Two trials may wait for the same run: it is trained once.
                for run in answer.task.runs:
                    for lacking in self._lacking.values():
                        lacking.pop(run.run_id, None)

    def close(self) -> None:
        """End the processes, and what they train."""
        if self._answers is not None:
            self._answers.close()

    def _next(self) -> Answer[Task, list[RunRecord]]:
        if self._answers is None:
            trainer = self._runs.trainer()
            self._answers = in_processes(
                self._tasks(),
                trainer.train,
                count=self._count,
                prepare=trainer.open,
                on_ready=value_of,
            )
        answer = next(self._answers)
        if answer.died:
            raise LedgerError(
                f"a worker: {answer.failure}; what was finished is kept: start again, with fewer "
                "workers if the memory was too small"
            )
        return answer

    def _tasks(self) -> Iterator[Task]:
        # Endless, since a later trial may need the workers; `close` ends them.
        while True:
            yield self._waiting.popleft() if self._waiting else self._rest
