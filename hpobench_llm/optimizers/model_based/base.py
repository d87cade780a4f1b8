"""What model-based methods of one objective share: first trials, then the best candidate."""

from abc import abstractmethod

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.model_based.history import History
from hpobench_llm.space import Configuration


class ModelBased(SingleObjectiveOptimizer):
    """Draws `startup_trials` first, then asks a model.

    An initial design is counted among the first trials. A model sees a failed trial as the worst
    that did not fail, see `History`.
    """

    startup_trials = 10

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self.rng = np.random.default_rng(self.seed)
        self.history = History(self.space)

    def suggest(self, number: int) -> Suggestion:
        """Return one of the first draws, then what the model proposes."""
        # With many workers the first draws may all still run: a model then has nothing to see.
        first = number < self.startup_trials or not len(self.history)
        config = self.first() if first else self.propose()
        self.history.begin(number, config)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the loss of the configuration that was evaluated."""
        loss, ok = evaluation.loss(self.objective), evaluation.status == "ok"
        self.history.end(trial.number, trial.config, loss, ok=ok)

    def first(self) -> Configuration:
        """Return the next of the first draws."""
        return self.space.sample(self.rng)

    @abstractmethod
    def propose(self) -> Configuration:
        """Return a configuration by the model."""
