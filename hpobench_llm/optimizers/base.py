"""The contract of every optimizer: ask for a trial, be told its evaluation.

An optimizer sees a space, the objectives' names and directions, the fidelities and a budget. It
never sees a benchmark or a table.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Configuration, Space


@dataclass(frozen=True, slots=True)
class Trial:
    """One suggestion: a canonical configuration, and the fidelity to run it at (None: in full).

    `resumes` is the number of a finished trial of the same configuration at a lower fidelity,
    which is trained on from there: how a method pauses, promotes and continues.
    """

    number: int
    config: Configuration
    fidelity: dict[str, int | float] | None = None
    resumes: int | None = None


class Optimizer(ABC):
    """Base of all optimizers; every source of randomness derives from `seed`.

    Args:
        space: what to search.
        objectives: one or more metrics; `evaluation.loss(metric)` gives lower-is-better values.
        fidelities: the axes along which a trial may be run in part; empty if there is none.
        budget: how many trials will be asked for at most.
        seed: the only source of randomness.
        sources: results on related tasks, for methods that transfer; None for the rest.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Metric],
        fidelities: Sequence[Fidelity],
        budget: int,
        seed: int,
        sources: Any = None,
    ) -> None:
        if len(objectives) < 1:
            raise OptimizerError(f"{type(self).__name__} needs at least one objective")
        self.space = space
        self.objectives = tuple(objectives)
        self.fidelities = tuple(fidelities)
        self.budget = budget
        self.seed = seed
        self.sources = sources
        self.check()
        self.set_up()

    def check(self) -> None:  # noqa: B027 - optional
        """Refuse what this kind of optimizer cannot take, before anything is started."""

    def set_up(self) -> None:  # noqa: B027 - optional
        """Build the optimizer's own state; the arguments above are attributes by now."""

    @abstractmethod
    def ask(self) -> Trial | None:
        """Return the next trial, or None: wait for a running trial, or, if none runs, the end."""

    @abstractmethod
    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """Learn a trial's outcome; its configuration is the one that was really evaluated."""

    def close(self) -> None:  # noqa: B027 - optional: most optimizers hold nothing to give back
        """Give back what the optimizer holds (a process, say); called once, also after errors."""


class SingleObjectiveOptimizer(Optimizer):
    """An optimizer of exactly one objective."""

    def check(self) -> None:
        """Refuse more or fewer than one objective."""
        if len(self.objectives) != 1:
            names = ", ".join(metric.name for metric in self.objectives)
            raise OptimizerError(f"{type(self).__name__} takes one objective, got: {names}")
        self.objective = self.objectives[0]
