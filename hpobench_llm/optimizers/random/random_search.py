"""Random search: independent uniform draws, with replacement (Bergstra and Bengio, 2012).

A finite axis is drawn uniformly over its levels, a continuous one over its unit encoding.
"""

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial


class RandomSearch(Optimizer):
    """Draws every configuration independently of all outcomes."""

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)

    def suggest(self, number: int) -> Suggestion:
        """Return an independent uniform draw."""
        return Suggestion(self.space.sample(self._rng))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""
