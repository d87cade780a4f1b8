"""Stop when nothing was improved for a while."""

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.optimizers.stopping.rule import StoppingRule


class StopNoImprovement(StoppingRule):
    """Stops when `value` finished trials in a row have improved nothing. Default: 30.

    A trial improves if no earlier one is as good in every objective: with one objective, if its
    loss is the lowest so far; a tie does not improve. A failed or infeasible trial does not
    either, and counts, from the first on. A loss counts whatever its fidelity.
    """

    def set_up(self) -> None:
        """Build the rule's own state."""
        self._front = np.empty((0, len(self.objectives)))
        self._trials_in_vain = 0

    def see(self, trial: Trial, evaluation: Evaluation) -> None:
        """Count the trial, or begin anew."""
        losses = np.array([evaluation.loss(metric) for metric in self.objectives])
        sound = evaluation.status == "ok" and evaluation.feasible
        if not sound or (self._front <= losses).all(axis=1).any():
            self._trials_in_vain += 1
            return
        self._trials_in_vain = 0
        worse = (self._front >= losses).all(axis=1)
        self._front = np.vstack((self._front[~worse], losses))

    def met(self) -> bool:
        """Say whether enough trials have improved nothing."""
        return self._trials_in_vain >= self.value
