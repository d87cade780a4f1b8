"""No search at all: the one configuration that the libraries' defaults give. Our own code."""

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.practice import default_configuration


class Default(Optimizer):
    """Asks for the defaults once, then ends. See `practice.default_configuration`."""

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._done = False

    def suggest(self, number: int) -> Suggestion | None:
        """Return the defaults, after which there is nothing more."""
        if self._done:
            return None
        self._done = True
        return Suggestion(default_configuration(self.space))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""
