"""NOMAD 4: mesh adaptive direct search, a local method with global convergence theory.

Audet, Le Digabel, Rochon Montplaisir and Tribes, "Algorithm 1027: NOMAD version 4: nonlinear
optimization with the MADS algorithm", ACM Transactions on Mathematical Software 48(3), 2022.

PyNomad owns its loop: `optimize()` blocks and calls back. It also brings the interpreter down on
some inputs (segmentation faults that cannot be caught). So it runs in a child process, see
`nomad_process`, that waits in its callback while a trial runs.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal

import numpy as np

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.barrier import relative_excesses
from hpobench_llm.optimizers.base import (
    Optimizer,
    SingleObjectiveOptimizer,
    Suggestion,
    Trial,
)
from hpobench_llm.optimizers.direct_search.nomad_child import Child, NomadSetup
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Integer,
    Ordinal,
    Value,
)

# NOMAD's flags -1 and -2 are no errors: it ended as usual, but met no feasible point.
NO_FEASIBLE_POINT = -2


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


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What NOMAD is told of a point: its losses, and its excesses where it has constraints."""

    losses: list[float]
    excesses: list[float]

    @property
    def outputs(self) -> list[float]:
        return self.losses + self.excesses

    @property
    def violation(self) -> float:
        """NOMAD's own measure (H_NORM L2)."""
        return sum(max(0.0, excess) ** 2 for excess in self.excesses)


class NomadOptimizer(Optimizer):
    """What NOMAD's optimizers share: the space as it sees it, and the exchange with its process.

    A subclass says which parameters NOMAD gets. A constraint is one more output of the black box,
    to be at most 0: `relative_excesses`.
    """

    name: ClassVar[str]
    barrier: ClassVar[Literal["PB", "EB"]] = "PB"  # progressive, extreme
    takes_constraints = True
    seeding = "NOMAD's SEED, a NumPy generator for the start"
    timeout_seconds: ClassVar[float] = 600.0

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        if find_spec("PyNomad") is None:
            raise MissingDependencyError("PyNomadBBO", "", f"the optimizer '{self.name}'")
        # Beyond this range NOMAD crashes, or takes the seed modulo 2**32.
        if not 0 <= self.seed <= 2**31 - 2:
            raise OptimizerError(
                f"{self.name}: the seed must lie in [0, 2**31 - 2], got {self.seed}"
            )
        self._start = self.space.sample(np.random.default_rng(self.seed))
        variables = map(_variable, self.space)
        self._variables = [variable for variable in variables if variable is not None]
        self._points = math.prod(
            int(v.upper - v.lower) + 1 if v.kind == "I" else math.inf for v in self._variables
        )
        self._suggested: int | None = None
        self._initial: list[tuple[_Outcome, Configuration]] = []  # of an initial design
        self._ended = False
        self._process: Child | None = None

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next point that NOMAD wants, None while one is running or after the end."""
        # NOMAD repeats no point, but would search its cache for long before it gave up.
        if number >= self._points:
            self._ended = True
        if self._ended or self._running:
            return None
        if self._initial and self._process is None:
            outcome, self._start = self._best_initial()
            if self._variables and self._next_configuration() is not None:
                # NOMAD asks for its start first, whose outcome the initial design has already.
                self._started_process().send({"outputs": outcome.outputs})
        config = self._next_configuration() if self._variables else self._start
        if config is None:
            self._ended = True
            return None
        self._suggested = number
        return Suggestion(self.space.canonical(config))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give NOMAD the outputs of the point that it waits for."""
        losses = [evaluation.loss(metric) for metric in self.objectives]
        outcome = _Outcome(losses, relative_excesses(self.constraints, evaluation))
        if trial.number != self._suggested:  # of an initial design
            self._initial.append((outcome, trial.config))
        elif self._process is not None:
            self._process.send({"outputs": outcome.outputs})

    @abstractmethod
    def best(self, losses: Sequence[Sequence[float]]) -> int:
        """Return the index of the losses at which NOMAD is to start."""

    def _best_initial(self) -> "tuple[_Outcome, Configuration]":
        """Return where to start: the best of the trials that break the constraints least."""
        least = min(outcome.violation for outcome, _ in self._initial)
        candidates = [
            (outcome, config) for outcome, config in self._initial if outcome.violation == least
        ]
        return candidates[self.best([outcome.losses for outcome, _ in candidates])]

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
        message = self._started_process().receive()
        if "point" in message:
            coordinates = zip(self._variables, message["point"], strict=True)
            return self._start | {v.dimension.name: v.decode(c) for v, c in coordinates}
        if message["flag"] < NO_FEASIBLE_POINT:
            raise OptimizerError(f"NOMAD ended with flag {message['flag']}: {message['end']}")
        return None

    def _started_process(self) -> Child:
        if self._process is None:
            self._process = Child(self.timeout_seconds)
            self._process.send(self._setup())
        return self._process

    def _setup(self) -> NomadSetup:
        kinds = [v.kind for v in self._variables]
        outputs = ["OBJ"] * len(self.objectives) + [self.barrier] * len(self.constraints)
        return {
            "start": [v.encode(self._start[v.dimension.name]) for v in self._variables],
            "lower": [v.lower for v in self._variables],
            "upper": [v.upper for v in self._variables],
            "parameters": [
                f"BB_INPUT_TYPE ( {' '.join(kinds)} )",
                f"BB_OUTPUT_TYPE {' '.join(outputs)}",
                *self.parameters(kinds),
                *self._end_of_circling(kinds),
                f"MAX_BB_EVAL {self.budget}",
                f"SEED {self.seed + 1}",  # 0 is already in force, and would not restart anything
                "DISPLAY_DEGREE 0",
            ],
        }

    def _end_of_circling(self, kinds: Sequence[str]) -> list[str]:
        """Return a bound on NOMAD's points where no variable is real.

        There it would ask its cache for the same points for ever.
        """
        if "R" in kinds:
            return []
        return [f"MAX_EVAL {min(100 * 3 ** len(kinds), max(3000, 30 * self.budget))}"]


class Nomad(NomadOptimizer, SingleObjectiveOptimizer):
    """NOMAD 4 through PyNomad, with NOMAD's defaults except where they crash.

    Defaults kept: frames start at a tenth of the range, speculative, quadratic-model and
    Nelder-Mead searches, opportunistic polls ordered by a quadratic model, all requests through a
    cache, so that no point is evaluated twice. Set here: `MAX_BB_EVAL` to the budget, `MAX_EVAL`
    where no variable is real (see below), `SEED` to `seed + 1`, `DISPLAY_DEGREE 0`. The poll is
    NOMAD's `ORTHO N+1 QUAD`, but `ORTHO N+1 NEG` (the last direction is minus the sum of the
    others, not the minimiser of a model) where no variable is real or there is but one: PyNomad
    4.6.0 with `QUAD` crashes there once every neighbour of the incumbent is known (always with
    one variable, in 6 of 19 runs on grids of 24 or 105 points).

    Encoding: an ordinal axis is its index, an integer variable; an integer range is an integer
    variable; a real range is a real variable, of log10 where the dimension says log. An integer
    range with log is a real variable of log10 that is rounded, so neighbouring points of NOMAD
    may be the same configuration. PyNomad has no categorical type: a categorical axis is its
    index too, in the order in which the space lists it. An axis with a single value is left out.
    An integer variable is what NOMAD calls granular, with granularity 1: frames and meshes are
    whole numbers. Its `GRANULARITY` of another step is not needed: a space has no real axis with
    a step, and one whose values are listed, evenly or not, is ordinal.

    Constraints are outputs beside the loss, in multiples of their bounds (`relative_excesses`),
    under the progressive barrier (`PB`): infeasible points guide the search too, by their loss
    and the sum of their squared excesses, of which ever less is tolerated, so that it may start
    infeasible (Audet and Dennis, "A progressive barrier for derivative-free nonlinear
    programming", SIAM Journal on Optimization 20(1), 2009). `nomad-eb` has the extreme barrier.

    NOMAD needs a start point: the best of the initial design, where there is one, whose loss it
    is told without another trial (with constraints: of those that break them least). Otherwise
    it is drawn uniformly from the space by the seed, and so is the point that random search
    starts with. A fixed one would leave seeds little to differ by: NOMAD's seed s is one and the
    same random stream without its first s draws (a start costs 1 s per 10**8 of them).

    NOMAD is sequential: `ask` gives None while a trial runs, however many workers there are. It
    gives None for ever once NOMAD has ended, which may be before the budget: at the finest mesh,
    or, where none of the d variables is real, when the neighbours of the incumbent are exhausted
    and NOMAD has met `MAX_EVAL` points, those of its cache included. That is 100 * 3**d by
    default, which for d = 5 is 24,300 and took 50 s, most of it on known points. Here it is no
    more than 3,000, or 30 a trial if that is more. On that table, of 1,536 configurations, 100
    trials take 0.5 to 3 s, and 8 s in 1 of 20 seeds, which ends after 47 trials instead of 53; the
    others' trials are the same. With constraints a known point costs about 10 ms instead of 2, so
    that circling among 121 configurations took 10 s.

    A configuration that was moved before it was evaluated still gives its loss to the point that
    NOMAD asked for. A trial that failed has the metric's worst value.

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


class NomadEb(Nomad):
    """NOMAD with the extreme barrier: an infeasible point is as bad as can be, and guides nothing.

    As `nomad` but for the output type `EB`. From an infeasible start NOMAD first minimizes the sum
    of the squared excesses, which it calls phase one; from the first feasible point on it looks
    at the loss alone. Without constraints it is `nomad`, trial for trial.

    Audet and Dennis, "Mesh adaptive direct search algorithms for constrained optimization", SIAM
    Journal on Optimization 17(1), 2006.
    """

    name = "nomad-eb"
    barrier = "EB"


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
