"""Regularized evolution: the oldest dies, not the worst. Our own code.

Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search",
AAAI 2019, Algorithm 1.
"""

from collections import deque
from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.space import Configuration


class RegularizedEvolution(SingleObjectiveOptimizer):
    """Mutates the best of a sample of the last hundred configurations.

    Defaults of Syne Tune: a population of 100 and a sample of 10, drawn with replacement as in
    the paper, whose own are 100 and 25. The first 100 trials are therefore independent draws, the
    initial design among them: a study with fewer compares nothing but random search. A mutation
    gives one axis another value, see `neighbours`; the paper's are those of its cells.

    Deviation: with several workers a child joins the population, and the oldest leaves it, when
    its outcome is known. A failed trial joins with the metric's worst value. A configuration may
    come again.
    """

    population: ClassVar[int] = 100
    startup_trials = population
    sample: ClassVar[int] = 10

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._members: deque[tuple[float, Configuration]] = deque(maxlen=self.population)

    def suggest(self, number: int) -> Suggestion:
        """Return an independent draw, or a mutated winner once the population is complete."""
        if len(self._members) < self.population:
            return Suggestion(self.space.sample(self._rng))
        indices = self._rng.integers(len(self._members), size=self.sample)
        _, parent = min((self._members[i] for i in indices), key=lambda member: member[0])
        return Suggestion(neighbour(self.space, parent, self._rng))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Let the trial join the population, from which the oldest leaves."""
        self._members.append((evaluation.loss(self.objective), trial.config))
