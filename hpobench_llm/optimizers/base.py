"""The contract of every optimizer: ask for a trial, be told its evaluation.

An optimizer sees a space, the objectives' names and directions, the fidelities and a budget. It
never sees a benchmark or a table. A method writes `suggest` and `learn`; numbers, budget, the
initial design and what runs are kept here, in the same way for all.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from reprlib import repr as shortened
from typing import ClassVar, final

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError, HpobenchError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.space import Configuration, Space, is_finite
from hpobench_llm.sticks import StickSpace

FidelityLevel = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a method wants evaluated: a configuration, and the fidelity (None: in full).

    `resumes` is the number of a finished trial of the same configuration at a lower fidelity,
    which is trained on from there: how a method pauses, promotes and continues.

    Example:
        >>> Suggestion({"rank": 8, "lr": 1e-3}, fidelity={"step": 8}).fidelity
        {'step': 8}
    """

    config: Configuration
    fidelity: FidelityLevel | None = None
    resumes: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A suggestion with its number; the configuration is canonical."""

    number: int
    config: Configuration
    fidelity: FidelityLevel | None = None
    resumes: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a related task: its evaluations in full, in the order of its table.

    Args:
        name: the benchmark that they are of.
        configs: canonical configurations of the space that is searched.
        evaluations: one for each of them, with the objectives that are optimized.
    """

    name: str
    configs: tuple[Configuration, ...]
    evaluations: tuple[Evaluation, ...]


class Optimizer(ABC):
    """Base of all optimizers; every source of randomness derives from `seed`.

    A subclass writes `suggest` and `learn`, and `check`, `set_up` and `close` where it needs them.
    What these raise becomes an `OptimizerError` that says where; what `suggest` returns is checked
    against the space, so that its configuration need not be canonical.

    Where a benchmark has constraints, an optimizer that does not take them is told that an
    infeasible trial failed: the extreme barrier, which counts each of its losses as the worst.

    Args:
        space: what to search. The attribute `space` is the same, unless some of its axes have to
            sum to one: then it is a product space that stands for it, see `sticks`.
        objectives: one or more metrics; `evaluation.loss(metric)` gives lower-is-better values.
        fidelities: the axes along which a trial may be run in part; empty if there is none.
        budget: how many trials will be asked for at most.
        seed: the only source of randomness.
        sources: results on related tasks, the most recent last; only methods that transfer look.
        initial: configurations that are asked for first, in full, before the method's own.
        constraints: what `evaluation.constraints` will speak of; empty if there is none.

    Attributes:
        entry: what it can do; the catalogue has the entries of the package's own optimizers.
        takes_constraints: whether the method sees by how much a constraint is broken.
        startup_trials: how many trials it draws before a model or a population proposes any.
        liar: which loss it assumes for a running trial; `none`: it does not look at them.
        seeding: where its randomness comes from, all of it fixed by `seed`.
    """

    entry: ClassVar[Entry] = Entry()
    takes_constraints: bool = False
    startup_trials: int = 0
    liar: str = "none"
    seeding: str = "NumPy generator"

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Metric],
        fidelities: Sequence[Fidelity],
        budget: int,
        seed: int,
        sources: Sequence[Source] = (),
        initial: Sequence[Configuration] = (),
        constraints: Sequence[Constraint] = (),
    ) -> None:
        if len(objectives) < 1:
            raise OptimizerError(f"{type(self).__name__} needs at least one objective")
        self._sticks = StickSpace.of(space)
        self._searched = self.space = space if self._sticks is None else self._sticks
        self.objectives = tuple(objectives)
        self.fidelities = tuple(fidelities)
        self.budget = budget
        self.seed = seed
        self.sources = tuple(
            replace(s, configs=tuple(map(self.encoded, s.configs))) for s in sources
        )
        self.constraints = tuple(constraints)
        self._design = deque(self.encoded(space.canonical(config)) for config in initial)
        self._suggested_as: dict[int, Configuration] = {}  # in the product, where it is another
        self._asked = 0
        self._running: set[int] = set()
        self.check()
        self.set_up()

    def check(self) -> None:  # noqa: B027 - optional
        """Refuse what this kind of optimizer cannot take, before anything is started."""

    def set_up(self) -> None:  # noqa: B027 - optional
        """Build the optimizer's own state; the arguments above are attributes by now."""

    @abstractmethod
    def suggest(self, number: int) -> Suggestion | None:
        """Return trial `number`; None: wait for a running trial, or, if none runs, the end."""

    @abstractmethod
    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Learn a trial's outcome; its configuration is the one that was really evaluated.

        A trial of the initial design was never suggested.
        """

    @final
    def ask(self) -> Trial | None:
        """Return the next trial, or None: wait for a running trial, or, if none runs, the end.

        Raises:
            OptimizerError: the method failed, or wants what cannot be run.
        """
        if self._asked >= self.budget:
            return None
        if self._design:
            trial = Trial(self._asked, self._design.popleft())
        else:
            try:
                suggestion = self.suggest(self._asked)
            except HpobenchError:  # a method's own clear line needs no other around it
                raise
            except (Exception, SystemExit) as error:
                raise self._failed("suggest", self._asked, error) from error
            if suggestion is None:
                return None
            trial = self._trial(suggestion)
        self._running.add(trial.number)
        self._asked += 1
        if self._sticks is not None:
            self._suggested_as[trial.number] = trial.config
            return replace(trial, config=self._sticks.decode(trial.config))
        return trial

    @final
    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """Pass on a trial's outcome; its configuration is the one that was really evaluated.

        The method gets copies: what it does to them changes nobody's record of the trial.

        Raises:
            OptimizerError: the trial does not run, or the method failed.
        """
        if trial.number not in self._running:
            raise OptimizerError(f"{type(self).__name__}: trial {trial.number} is not running")
        self._running.remove(trial.number)
        barred = not (self.takes_constraints or evaluation.feasible)
        config = dict(trial.config)
        if self._sticks is not None:
            config = self._suggested_as.pop(trial.number)
            # Many points of the product give one configuration: the method gets its own back.
            if self._sticks.decode(config) != trial.config:  # it was moved
                config = self._sticks.encode(trial.config)
        own = Trial(trial.number, config, trial.fidelity, trial.resumes)
        outcome = Evaluation(
            metrics=dict(evaluation.metrics),
            cost_seconds=evaluation.cost_seconds,
            status="failed" if barred else evaluation.status,
            tokens=evaluation.tokens,
            constraints=dict(evaluation.constraints),
        )
        try:
            self.learn(own, outcome)
        except HpobenchError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failed("learn", trial.number, error) from error

    def close(self) -> None:  # noqa: B027 - optional: most optimizers hold nothing to give back
        """Give back what the optimizer holds (a process, say); called once, also after errors."""

    def encoded(self, config: Configuration) -> Configuration:
        """Return the point of `space` that stands for a canonical configuration."""
        return config if self._sticks is None else self._sticks.encode(config)

    def _trial(self, suggestion: object) -> Trial:
        """Return the next trial from what `suggest` returned, which may be anything."""
        problem = ""
        if not isinstance(suggestion, Suggestion):
            problem = f"`suggest` has to return a Suggestion or None, got {_shown(suggestion)}"
        elif not isinstance(suggestion.config, Mapping):
            problem = (
                f"a configuration is a dict of values by name, got {_shown(suggestion.config)}"
            )
        elif suggestion.resumes is not None and type(suggestion.resumes) is not int:
            problem = f"`resumes` is the number of a trial, got {_shown(suggestion.resumes)}"
        elif suggestion.fidelity is not None:
            problem = self._refused(suggestion.fidelity)
        if not problem and isinstance(suggestion, Suggestion):
            try:
                config = self._searched.canonical(suggestion.config)
                level = None if suggestion.fidelity is None else dict(suggestion.fidelity)
                return Trial(self._asked, config, level, suggestion.resumes)
            except ConfigurationError as error:
                problem = str(error)
            except Exception as error:  # values that cannot even be compared, such as arrays
                problem = f"{_shown(suggestion.config)}: {error}"
        raise OptimizerError(f"{type(self).__name__}: trial {self._asked}: {problem}")

    def _refused(self, fidelity: object) -> str:
        """Return why nothing can be run at this fidelity; empty if something can."""
        if not isinstance(fidelity, Mapping):
            return f"a fidelity is a dict of values by axis, got {_shown(fidelity)}"
        axes = {axis.name: axis for axis in self.fidelities}
        for name, value in fidelity.items():
            if name not in axes:
                return f"no fidelity axis {_shown(name)}; known: {', '.join(axes) or 'none'}"
            low, full = axes[name].values[0], axes[name].full
            if not (is_finite(value) and low <= value <= full):
                return f"fidelity `{name}`: {_shown(value)} is not within [{low}, {full}]"
        return ""

    def _failed(self, method: str, number: int, error: BaseException) -> OptimizerError:
        reason = f"{type(error).__name__}: {error}"
        return OptimizerError(
            f"{type(self).__name__}: `{method}` of trial {number} raised {reason}"
        )


def _shown(value: object) -> str:
    return f"{type(value).__name__} {shortened(value)}"


class SingleObjectiveOptimizer(Optimizer):
    """An optimizer of exactly one objective."""

    def check(self) -> None:
        """Refuse more or fewer than one objective."""
        if len(self.objectives) != 1:
            names = ", ".join(metric.name for metric in self.objectives)
            raise OptimizerError(f"{type(self).__name__} takes one objective, got: {names}")
        self.objective = self.objectives[0]
