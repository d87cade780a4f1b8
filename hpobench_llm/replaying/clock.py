"""The simulated clock: workers that train what an optimizer asks for, in no time.

The clock jumps from one finished trial to the next and is fed by the benchmark's costs alone, so
equal arguments give equal trials, whatever else the machine is doing. The optimizer learns of
trials that finish together in the order in which they were begun. A trial whose cost is not known
(NaN, as in a table without columns of seconds) takes one unit of time.
"""

import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import ConfigurationError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Optimizer, Trial
from hpobench_llm.replaying.budget import EVALUATIONS, SECONDS, TOKENS, Budget
from hpobench_llm.space import Configuration

UNKNOWN_COST = 1.0  # units of time
FREE_TRIALS = 1000  # in a row that take nothing of the budget: then it counts as endless


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How trials are run.

    `workers` train at a time. A trial that resumes another begins at its checkpoint, which takes
    `checkpoint_seconds`; None: there are no checkpoints, and it begins anew. `table_seed` None
    answers with the mean over the seeds that all configurations have, an integer with that seed's
    run. With `count_optimizer_seconds` the optimizer's own time passes on the clock too, and no
    two replays are equal.
    """

    workers: int = 1
    table_seed: int | None = None
    checkpoint_seconds: float | None = 0.0
    count_optimizer_seconds: bool = False


@dataclass(order=True, slots=True)
class TrialRun:
    """A trial on a worker; the earliest to finish comes first, then the earliest to begin.

    `seconds` and `tokens` are what this trial took, less what it resumed; `evaluation` is of all.
    """

    finished: float
    order: int
    worker: int = field(compare=False)
    started: float = field(compare=False)
    trial: Trial = field(compare=False)
    levels: tuple[int | float, ...] = field(compare=False)
    evaluation: Evaluation = field(compare=False)
    seconds: float = field(compare=False)
    tokens: float = field(compare=False)
    optimizer_seconds: float = field(compare=False)


class Clock:
    """Runs an optimizer against a benchmark until the budget is spent or it asks for no more."""

    def __init__(
        self,
        benchmark: Benchmark,
        optimizer: Optimizer,
        objectives: Sequence[Metric],
        budget: Budget,
        rules: Rules,
        on_done: Callable[[TrialRun], None] = lambda _: None,
    ) -> None:
        self._on_done = on_done
        self._benchmark, self._optimizer, self._rules = benchmark, optimizer, rules
        self._names = [metric.name for metric in objectives]
        self._budget, self._spent = budget, 0.0
        self._free, self._spent_then = 0, 0.0  # trials since the budget was last taken from
        self._axes = [axis.name for axis in benchmark.fidelities]
        self._idle = list(range(rules.workers))  # a heap: the lowest number works first
        self._running: list[TrialRun] = []
        self._done: dict[int, TrialRun] = {}
        self._asked: set[int] = set()
        self._tried: list[Configuration] = []
        self._now = 0.0
        self._ended = False
        self._in_vain = 0.0  # seconds of the optimizer that brought no suggestion yet

    def run(self) -> list[TrialRun]:
        """Return the trials in the order in which they finished.

        Raises:
            OptimizerError: a trial has the number of another one, or resumes what it cannot.
            ConfigurationError: the budget would never end: a trial's tokens are not known, or
                1,000 trials in a row took nothing of it.
        """
        while True:
            while self._idle and not self._ended and self._begin():
                pass
            if not self._running:
                break
            done = heapq.heappop(self._running)
            if self._budget.unit == SECONDS and done.finished > self._budget.amount:
                break  # time is up for all that still runs: it would finish later still
            self._tell(done)
        return self._all_done()

    def _tell(self, done: TrialRun) -> None:
        """Let the clock go to the end of a trial, and the optimizer learn of it."""
        self._now = done.finished
        heapq.heappush(self._idle, done.worker)
        self._done[done.trial.number] = done
        started = time.perf_counter()
        self._optimizer.tell(done.trial, done.evaluation)
        done.optimizer_seconds += time.perf_counter() - started
        self._on_done(done)

    def _all_done(self) -> list[TrialRun]:
        # Time in which the optimizer thought and asked for nothing is counted with the last trial.
        if self._done:
            next(reversed(self._done.values())).optimizer_seconds += self._in_vain
        return list(self._done.values())

    def _begin(self) -> bool:
        """Begin the next trial; False if the optimizer asks for none now."""
        suggestion = self._suggestion()
        if suggestion is None:
            return False
        trial, before, seconds = suggestion
        run = self._price(trial, self._answer(trial), before, seconds)
        if self._overruns(run, before):
            self._ended = True
            return False
        self._tried.append(trial.config)
        run.worker = heapq.heappop(self._idle)
        heapq.heappush(self._running, run)
        return True

    def _suggestion(self) -> tuple[Trial, TrialRun | None, float] | None:
        """Ask for a trial; return it, the one that it resumes, and the seconds that asking took.

        None: the optimizer waits, or asks for no more.
        """
        started = time.perf_counter()
        asked = self._optimizer.ask()
        seconds = time.perf_counter() - started
        if asked is None:
            self._in_vain += seconds
            return None
        if self._rules.count_optimizer_seconds:
            self._now += seconds
        config = self._benchmark.snap(
            asked.config,
            fidelity=asked.fidelity,
            seed=self._rules.table_seed,
            tried=self._tried,
        )
        before = self._checked(asked)
        if before is not None and before.trial.config != config:
            # It was not measured that far, so it was snapped to another one, which begins anew.
            before = None
        resumes = None if before is None else before.trial.number
        seconds, self._in_vain = seconds + self._in_vain, 0.0
        return Trial(asked.number, config, asked.fidelity, resumes), before, seconds

    def _answer(self, trial: Trial) -> Evaluation:
        return self._benchmark.query(
            trial.config,
            fidelity=trial.fidelity,
            seed=self._rules.table_seed,
            metrics=self._names,
        )

    def _price(
        self, trial: Trial, evaluation: Evaluation, before: TrialRun | None, seconds: float
    ) -> TrialRun:
        cost, tokens = self._cost(evaluation, before)
        return TrialRun(
            finished=self._now + (UNKNOWN_COST if math.isnan(cost) else cost),
            order=len(self._asked),
            worker=-1,
            started=self._now,
            trial=trial,
            levels=self._benchmark.fidelity_levels(trial.fidelity),
            evaluation=evaluation,
            seconds=cost,
            tokens=tokens,
            optimizer_seconds=seconds,
        )

    def _cost(self, evaluation: Evaluation, before: TrialRun | None) -> tuple[float, float]:
        """Return the seconds and tokens of a trial, less what it resumes."""
        cost, tokens = evaluation.cost_seconds, evaluation.tokens
        if before is not None and self._rules.checkpoint_seconds is not None:
            added = np.maximum(0.0, cost - before.evaluation.cost_seconds)  # NaN stays NaN
            cost = float(added) + self._rules.checkpoint_seconds
            tokens = float(np.maximum(0.0, tokens - before.evaluation.tokens))
        return cost, tokens

    def _overruns(self, run: TrialRun, before: TrialRun | None) -> bool:
        unit = self._budget.unit
        if unit == SECONDS:
            self._spent = run.started
        elif unit == EVALUATIONS:
            self._spent += 1
        elif unit == TOKENS:
            self._spent += run.tokens
        else:
            axis = self._axes.index(unit)
            resumed_at = 0.0
            if before is not None and self._rules.checkpoint_seconds is not None:
                resumed_at = before.levels[axis]
            self._spent += run.levels[axis] - resumed_at
        self._check_end(run)
        return unit != SECONDS and self._spent > self._budget.amount

    def _check_end(self, run: TrialRun) -> None:
        """Refuse a budget that would never be spent."""
        name, unit = self._benchmark.name, self._budget.unit
        others = "; count evaluations, or steps of a fidelity axis"
        if math.isnan(self._spent):
            raise ConfigurationError(
                f"`budget`: {name} does not know the {unit} of {run.trial.config}{others}"
            )
        # A cost of 0 is possible now and then, so only a long row of them is an error.
        self._free = self._free + 1 if self._spent == self._spent_then else 0
        self._spent_then = self._spent
        if self._free > FREE_TRIALS * self._rules.workers:
            raise ConfigurationError(
                f"`budget`: {FREE_TRIALS} trials in a row on {name} took no {unit}, so it would "
                f"never end{others}"
            )

    def _checked(self, trial: Trial) -> TrialRun | None:
        """Check a trial's number and what it resumes, as asked for; return the resumed run."""
        name = type(self._optimizer).__name__
        if trial.number in self._asked:
            raise OptimizerError(f"{name}: two trials are numbered {trial.number}")
        self._asked.add(trial.number)
        if trial.resumes is None:
            return None
        before = self._done.get(trial.resumes)
        if before is None:
            raise OptimizerError(
                f"{name}: trial {trial.number} resumes trial {trial.resumes}, which is not done"
            )
        levels = self._benchmark.fidelity_levels(trial.fidelity)
        lower = any(new < old for new, old in zip(levels, before.levels, strict=True))
        if before.trial.config != trial.config or lower:
            raise OptimizerError(
                f"{name}: trial {trial.number} ({trial.config} at {levels}) cannot resume trial "
                f"{trial.resumes} ({before.trial.config} at {before.levels})"
            )
        return before
