"""Random search: independent uniform draws, with replacement (Bergstra and Bengio, 2012).

A finite axis is drawn uniformly over its levels, a continuous one over its unit encoding.
"""

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Trial


class RandomSearch(Optimizer):
    """Draws every configuration independently of what it was told."""

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._asked = 0

    def ask(self) -> Trial | None:
        """Return an independent uniform draw, None once the budget is asked for."""
        if self._asked == self.budget:
            return None
        self._asked += 1
        return Trial(self._asked - 1, self.space.sample(self._rng))

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""
