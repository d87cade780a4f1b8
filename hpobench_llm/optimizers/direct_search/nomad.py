"""NOMAD 4: mesh adaptive direct search, a local method with global convergence theory.

Audet, Le Digabel, Rochon Montplaisir and Tribes, "Algorithm 1027: NOMAD version 4: nonlinear
optimization with the MADS algorithm", ACM Transactions on Mathematical Software 48(3), 2022.

PyNomad owns its loop: `optimize()` blocks and calls back. It also brings the interpreter down on
some inputs (segmentation faults that cannot be caught). So it runs in a child process, see
`nomad_process`, that waits in its callback while a trial runs.
"""

import json
import math
import os
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from selectors import EVENT_READ, DefaultSelector
from signal import Signals
from subprocess import PIPE, Popen
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, Literal, cast

import numpy as np

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import (
    Optimizer,
    SingleObjectiveOptimizer,
    Suggestion,
    Trial,
)
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Integer,
    Ordinal,
    Value,
)


@dataclass(frozen=True, slots=True)
class _Variable:
    """One dimension as NOMAD sees it: an integer (I) or a real (R) between bounds."""

    dimension: Dimension
    kind: Literal["I", "R"]
    lower: float
    upper: float

    def encode(self, value: Value) -> float:
        """Return the coordinate of a value."""
        match self.dimension:
            case Ordinal() | Categorical():
                return self.dimension.level(value)
            case number:
                coordinate = math.log10(float(value)) if number.log else float(value)
                return min(max(coordinate, self.lower), self.upper)

    def decode(self, coordinate: float) -> Value:
        """Return the value at a coordinate."""
        match self.dimension:
            case Ordinal() | Categorical():
                return self.dimension.values[round(coordinate)]
            case number:
                # NOMAD's mesh gives -0.0; adding zero makes it 0.0, one spelling for one point.
                value = 10.0**coordinate if number.log else coordinate + 0.0
                value = round(value) if isinstance(number, Integer) else value
                return min(max(value, number.low), number.high)


class NomadOptimizer(Optimizer):
    """What NOMAD's optimizers share: the space as it sees it, and the exchange with its process.

    A subclass says which parameters NOMAD gets.
    """

    name: ClassVar[str]
    timeout_seconds: ClassVar[float] = 600.0

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        if find_spec("PyNomad") is None:
            raise MissingDependencyError("PyNomadBBO", "", f"the optimizer '{self.name}'")
        if not 0 <= self.seed <= 2**31 - 2:  # beyond, NOMAD crashes or takes the seed modulo 2**32
            raise OptimizerError(
                f"{self.name}: the seed must lie in [0, 2**31 - 2], got {self.seed}"
            )
        self._start = self.space.sample(np.random.default_rng(self.seed))
        self._variables = [v for d in self.space if (v := _variable(d)) is not None]
        self._points = math.prod(
            int(v.upper - v.lower) + 1 if v.kind == "I" else math.inf for v in self._variables
        )
        self._suggested: int | None = None
        self._known: list[tuple[list[float], Configuration]] = []  # of an initial design
        self._ended = False
        self._process: _Process | None = None

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next point that NOMAD wants, None while one is running or after the end."""
        # NOMAD repeats no point, but would search its cache for long before it gave up.
        if number >= self._points:
            self._ended = True
        if self._ended or self._running:
            return None
        if self._known and self._process is None:
            losses, self._start = self._known[self.best([losses for losses, _ in self._known])]
            if self._variables and self._next_configuration() is not None:
                # The start point's, known already.
                self._process_of_now().send({"losses": losses})
        config = self._next_configuration() if self._variables else self._start
        if config is None:
            self._ended = True
            return None
        self._suggested = number
        return Suggestion(self.space.canonical(config))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give NOMAD the losses of the point that it waits for."""
        losses = [evaluation.loss(metric) for metric in self.objectives]
        if trial.number != self._suggested:
            self._known.append((losses, trial.config))
        elif self._process is not None:
            self._process.send({"losses": losses})

    @abstractmethod
    def best(self, losses: Sequence[Sequence[float]]) -> int:
        """Return the index of the losses at which NOMAD is to start."""

    @abstractmethod
    def parameters(self, kinds: Sequence[str]) -> list[str]:
        """Return NOMAD's parameters beside those of all, for variables of the kinds I and R."""

    def close(self) -> None:
        """End NOMAD's process; afterwards `ask` gives None."""
        self._ended = True
        if self._process is not None:
            self._process.close()
            self._process = None

    def _next_configuration(self) -> Configuration | None:
        message = self._process_of_now().receive()
        if "point" in message:
            coordinates = zip(self._variables, message["point"], strict=True)
            return self._start | {v.dimension.name: v.decode(c) for v, c in coordinates}
        if message["flag"] < 0:
            raise OptimizerError(f"NOMAD ended with flag {message['flag']}: {message['end']}")
        return None

    def _process_of_now(self) -> "_Process":
        if self._process is None:
            self._process = _Process(self.timeout_seconds)
            self._process.send(self._problem())
        return self._process

    def _problem(self) -> dict[str, Any]:
        kinds = [v.kind for v in self._variables]
        return {
            "start": [v.encode(self._start[v.dimension.name]) for v in self._variables],
            "lower": [v.lower for v in self._variables],
            "upper": [v.upper for v in self._variables],
            "parameters": [
                f"BB_INPUT_TYPE ( {' '.join(kinds)} )",
                f"BB_OUTPUT_TYPE {' '.join(['OBJ'] * len(self.objectives))}",
                *self.parameters(kinds),
                f"MAX_BB_EVAL {self.budget}",
                f"SEED {self.seed + 1}",  # 0 is already in force, and would not restart anything
                "DISPLAY_DEGREE 0",
            ],
        }


class Nomad(NomadOptimizer, SingleObjectiveOptimizer):
    """NOMAD 4 through PyNomad, with NOMAD's defaults except where they crash.

    Defaults kept: frames start at a tenth of the range, speculative, quadratic-model and
    Nelder-Mead searches, opportunistic polls ordered by a quadratic model, all requests through a
    cache, so that no point is evaluated twice. Set here: `MAX_BB_EVAL` to the budget, `SEED` to
    `seed + 1`, `DISPLAY_DEGREE 0`. The poll is NOMAD's `ORTHO N+1 QUAD`, but `ORTHO N+1 NEG`
    (the last direction is minus the sum of the others, not the minimiser of a model) where no
    variable is real or there is but one: PyNomad 4.6.0 with `QUAD` crashes there once every
    neighbour of the incumbent is known (always with one variable, in 6 of 19 runs on grids of
    24 or 105 points).

    Encoding: an ordinal axis is its index, an integer variable; an integer range is an integer
    variable; a real range is a real variable, of log10 where the dimension says log. An integer
    range with log is a real variable of log10 that is rounded, so neighbouring points of NOMAD
    may be the same configuration. PyNomad has no categorical type: a categorical axis is its
    index too, in the order in which the space lists it. An axis with a single value is left out.

    NOMAD needs a start point: the best of the initial design, where there is one, whose loss it
    is told without another trial. Otherwise it is drawn uniformly from the space by the seed, and
    so is the point that random search starts with. A fixed one would leave seeds little to differ
    by: NOMAD's seed s is one and the same random stream without its first s draws (a start costs
    1 s per 10**8 of them).

    NOMAD is sequential: `ask` gives None while a trial runs, however many workers there are. It
    gives None for ever once NOMAD has ended, which may be before the budget: at the finest mesh,
    or, where no variable is real, when the neighbours of the incumbent are exhausted and NOMAD
    has met 100 * 3**d points of its cache (such a run took about 2 s with d = 3 variables, 12 s
    with 4, 22 s with 5, most of it on known points). A configuration that was moved before it was
    evaluated still gives its loss to the point that NOMAD asked for. A trial that failed has the
    metric's worst value.

    Raises:
        MissingDependencyError: PyNomadBBO is not installed.
        OptimizerError: more than one objective, a seed below 0 or above 2**31 - 2; while
            running, NOMAD's process crashed, ended with an error or was silent for
            `timeout_seconds`.
    """

    name = "nomad"

    def best(self, losses: Sequence[Sequence[float]]) -> int:
        """Return the index of the lowest loss."""
        return min(range(len(losses)), key=lambda index: losses[index][0])

    def parameters(self, kinds: Sequence[str]) -> list[str]:
        """Return the poll's directions."""
        quad_crashes = "R" not in kinds or len(kinds) == 1
        return [f"DIRECTION_TYPE ORTHO N+1 {'NEG' if quad_crashes else 'QUAD'}"]


class _Process:
    """The child that runs NOMAD, and the JSON lines exchanged with it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        # A file, not a pipe: nobody reads while NOMAD prints.
        self._printed = TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._child = Popen(
            # -P and PYTHONPATH: the child imports what this process would, from anywhere.
            [sys.executable, "-P", "-m", "hpobench_llm.optimizers.direct_search.nomad_process"],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._printed,
            bufsize=0,
            # Studies run in parallel, NOMAD need not: its trials come one by one.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        self._stdin = cast("IO[bytes]", self._child.stdin)  # PIPE makes both
        self._stdout = cast("IO[bytes]", self._child.stdout)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise self._death() from None

    def receive(self) -> dict[str, Any]:
        """Wait for one message."""
        with DefaultSelector() as selector:
            selector.register(self._stdout, EVENT_READ)
            if not selector.select(self._timeout_seconds):
                raise OptimizerError(
                    f"NOMAD's process gave no sign for {self._timeout_seconds:g} s"
                    f"{self._last_words()}"
                )
        line = self._stdout.readline()
        if not line:
            raise self._death()
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        """End the process, and reap it."""
        self._child.kill()
        with self._child:  # closes the pipes and waits
            self._printed.close()

    def _death(self) -> OptimizerError:
        status = self._child.wait(self._timeout_seconds)
        how = f"signal {Signals(-status).name}" if status < 0 else f"exit status {status}"
        return OptimizerError(f"NOMAD's process ended with {how}{self._last_words()}")

    def _last_words(self) -> str:
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"; it last printed: {said[-1]}" if said else "; it printed nothing"


def _variable(dimension: Dimension) -> _Variable | None:
    match dimension:
        case Ordinal() | Categorical():
            levels = len(dimension.values)
            return _Variable(dimension, "I", 0, levels - 1) if levels > 1 else None
        case Integer(log=False):
            return _Variable(dimension, "I", dimension.low, dimension.high)
        case number:
            low, high = float(number.low), float(number.high)
            if number.log:
                low, high = math.log10(low), math.log10(high)
            return _Variable(dimension, "R", low, high)
