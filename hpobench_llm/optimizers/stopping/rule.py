"""What all stopping rules share: the optimizer inside, and what happens at the end."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.space import Configuration, Space


class StoppingRule(Optimizer):
    """An optimizer that asks for what the one inside asks for, until the rule is met.

    Trials that run then are still told. The optimizer inside has the initial design, so that both
    number the trials alike; the rule judges them as any others.

    Args:
        make: builds the optimizer inside.
        value: the rule's threshold.
        initial: the initial design.
        arguments: the other arguments of `Optimizer`.
    """

    def __init__(
        self,
        make: Callable[..., Optimizer],
        value: float,
        *,
        initial: Sequence[Configuration],
        **arguments: Any,
    ) -> None:
        self.value = value
        super().__init__(**arguments)
        space: Space = arguments["space"]
        # Both search the same product space, so that trials pass through as they are.
        inner_arguments = arguments | {"space": self.space, "sources": self.sources}
        design = [self.encoded(space.canonical(config)) for config in initial]
        self.inner = make(initial=design, **inner_arguments)
        # To a listing or a record this is the optimizer inside.
        self.startup_trials, self.liar = self.inner.startup_trials, self.inner.liar
        self.takes_constraints = self.inner.takes_constraints
        self.seeding = self.inner.seeding
        self._stopped = False

    def suggest(self, number: int) -> Suggestion | None:
        """Return what the optimizer inside asks for; None for ever once the rule is met."""
        self._stopped = self._stopped or self.met()  # once met, a later outcome changes nothing
        trial = None if self._stopped else self.inner.ask()
        return None if trial is None else Suggestion(trial.config, trial.fidelity, trial.resumes)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Tell the optimizer inside, and look at the outcome."""
        self.inner.tell(trial, evaluation)
        self.see(trial, evaluation)

    def close(self) -> None:
        """Give back what the optimizer inside holds."""
        self.inner.close()

    @abstractmethod
    def see(self, trial: Trial, evaluation: Evaluation) -> None:
        """Look at an outcome."""

    @abstractmethod
    def met(self) -> bool:
        """Say whether the search is to end."""
