"""The clock of a live benchmark with several workers: trials are really trained side by side.

Nobody knows beforehand when a training ends, so the optimizer learns of trials in the order in
which they end. That order is part of the replay: a replay that begins again gets the recorded
order, takes the runs from the benchmark's folder, and so asks for the same trials. The clock shows
what the trials cost, as measured while others trained too; it never runs backwards.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.replaying.budget import SECONDS, TOKENS, Budget
from hpobench_llm.replaying.clock import UNKNOWN_COST, Clock, Rules, TrialRun

# Stands for the answer while a trial trains.
_UNKNOWN = Evaluation(metrics={}, cost_seconds=math.nan, status="ok", tokens=math.nan)


class LiveClock(Clock):
    """Runs an optimizer against a live benchmark, `rules.workers` trainings at a time.

    `order` has the numbers of the trials that have ended, in that order, if this replay was begun
    before.
    """

    def __init__(
        self,
        benchmark: LiveBenchmark,
        optimizer: Optimizer,
        objectives: Sequence[Metric],
        budget: Budget,
        rules: Rules,
        on_done: Callable[[TrialRun], None] = lambda _: None,
        order: Iterable[int] = (),
    ) -> None:
        super().__init__(benchmark, optimizer, objectives, budget, rules, on_done)
        if budget.unit == TOKENS:
            raise ConfigurationError(
                f"`budget`: with several workers the tokens of trials on {benchmark.name} are not "
                "known when they begin; count trials, seconds or steps"
            )
        self._live, self._order = benchmark, list(order)[::-1]  # popped from its end
        self._crew = benchmark.crew(rules.workers)
        self._training: dict[int, tuple[TrialRun, TrialRun | None]] = {}

    def run(self) -> list[TrialRun]:
        """Return the trials in the order in which they finished. See `Clock.run`."""
        with closing(self._crew):
            while True:
                while self._idle and not self._ended and self._begin():
                    pass
                if not self._training:
                    return self._all_done()
                done = self._ended_next()
                if self._budget.unit == SECONDS and done.finished > self._budget.amount:
                    return self._all_done()
                self._tell(done)

    def _begin(self) -> bool:
        suggestion = self._suggestion()
        if suggestion is None:
            return False
        trial, before, seconds = suggestion
        run = self._price(trial, _UNKNOWN, None, seconds)
        if self._overruns(run, before):
            self._ended = True
            return False
        self._tried.append(trial.config)
        run.worker = heapq.heappop(self._idle)
        self._training[trial.number] = run, before
        self._crew.submit(trial.number, self._live.runs_of(trial.config, self._rules.table_seed))
        return True

    def _ended_next(self) -> TrialRun:
        """Wait for the next trial to end, and return it with its answer and costs."""
        expected = self._order.pop() if self._order else None
        if expected not in self._training:
            expected, self._order = None, []  # the order is another replay's
        run, before = self._training.pop(self._crew.wait(expected))
        evaluation = self._answer(run.trial)
        cost, tokens = self._cost(evaluation, before)
        finished = run.started + (UNKNOWN_COST if math.isnan(cost) else cost)
        return replace(
            run,
            # A cheaper trial may end later here, where all share one machine.
            finished=max(self._now, finished),
            evaluation=evaluation,
            seconds=cost,
            tokens=tokens,
        )
