"""Random search: independent uniform draws, with replacement (Bergstra and Bengio, 2012).

A finite axis is drawn uniformly over its levels, a continuous one over its unit encoding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Trial
from hpobench_llm.space import Space


class RandomSearch(Optimizer):
    """Draws every configuration independently of what it was told."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Metric],
        fidelities: Sequence[Fidelity],
        budget: int,
        seed: int,
        sources: Any = None,
    ) -> None:
        super().__init__(space, objectives, fidelities, budget, seed, sources)
        self._rng = np.random.default_rng(seed)
        self._asked = 0

    def ask(self) -> Trial | None:
        """Return an independent uniform draw, None once the budget is asked for."""
        if self._asked == self.budget:
            return None
        self._asked += 1
        return Trial(self._asked - 1, self.space.sample(self._rng))

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""
