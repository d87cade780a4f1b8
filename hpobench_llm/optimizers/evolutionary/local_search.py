"""Local search for several objectives: neighbours of what is not dominated. Our own code.

Klein, Golebiowski, Ma, Perrone and Archambeau, "Structural pruning of pre-trained language models
via neural architecture search", TMLR 2024 (arXiv 2405.02267), where it is as good as the
model-based methods, as the authors' package `whittle` has it.
"""

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.space import Configuration


class LocalSearchMo(Optimizer):
    """Changes one axis of a random member of the Pareto front of all trials so far.

    There is nothing to set. With one objective it is a random hill climber. A configuration may
    come again.

    Deviations: the paper starts at the full network, which a space of hyperparameters does not
    have; here the trials are independent draws until one has succeeded, or been given by an
    initial design. A failed trial never enters the front. A trial that is equal to a member in
    all objectives does not either, where `whittle` removes both.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._front: list[tuple[np.ndarray, Configuration]] = []

    def suggest(self, number: int) -> Suggestion:
        """Return a neighbour of a random member of the front."""
        if not self._front:
            return Suggestion(self.space.sample(self._rng))
        _, config = self._front[int(self._rng.integers(len(self._front)))]
        return Suggestion(neighbour(self.space, config, self._rng))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Let the trial into the front unless one there is as good; what it dominates leaves."""
        if evaluation.status != "ok":
            return
        losses = np.array([evaluation.loss(metric) for metric in self.objectives])
        if any((member_losses <= losses).all() for member_losses, _ in self._front):
            return
        undominated = [member for member in self._front if not (losses <= member[0]).all()]
        self._front = [*undominated, (losses, trial.config)]
