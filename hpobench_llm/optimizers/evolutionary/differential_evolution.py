"""Differential evolution, DE/rand/1/bin. Our own code: SciPy's cannot be asked and told.

Storn and Price, "Differential evolution: a simple and efficient heuristic for global optimization
over continuous spaces", Journal of Global Optimization 11, 1997; for hyperparameters and with the
defaults of Awad, Mallik and Hutter, "Differential evolution for neural architecture search",
arXiv 2012.06400, 2020, and "DEHB", IJCAI 2021.
"""

from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import Point, as_evaluated, decode, encode


class DifferentialEvolution(SingleObjectiveOptimizer):
    """Challenges the members of a population in turn; a trial that is no worse takes the place.

    Defaults of Awad et al.: 20 members, drawn uniformly, scale 0.5, crossover 0.5. A member is a
    point of the unit cube with equal cells, see `encoding`; a coordinate that leaves the cube is
    drawn anew, as there. A configuration may come again.

    Deviations: an outcome counts at once, not at the end of a generation, as in asynchronous
    DEHB; with more workers than members some of them wait. The members are the best 20 of the
    initial design and the first draws, so that a design of 20 or more replaces the draws. A
    failed trial has the metric's worst value.
    """

    members: ClassVar[int] = 20
    startup_trials = members
    scale: ClassVar[float] = 0.5
    crossover: ClassVar[float] = 0.5

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._points: list[Point] = []
        self._losses: list[float] = []
        self._challenges: dict[int, tuple[int | None, Point]] = {}  # None: a first draw
        self._turn = 0

    def suggest(self, number: int) -> Suggestion | None:
        """Return a first draw or a challenge; None while all members are being challenged."""
        # All that runs before the population is complete joins it, of an initial design too.
        if len(self._points) + len(self._running) < self.members:
            target, point = None, self._rng.random(len(self.space))
        else:
            target = self._next_target()
            # A mutant takes three other members: while first draws run there may be too few.
            if target is None or len(self._points) < 4:
                return None
            point = self._challenge(target)
        self._challenges[number] = target, point
        return Suggestion(decode(self.space, point))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Let the trial join the population, or replace the member that it challenged."""
        loss = evaluation.loss(self.objective)
        if trial.number in self._challenges:
            target, point = self._challenges.pop(trial.number)
            point = as_evaluated(self.space, point, trial.config)
        else:
            target, point = None, encode(self.space, trial.config)
        if target is None and len(self._points) < self.members:
            self._points.append(point)
            self._losses.append(loss)
            return
        if target is None:  # no room for it as a member: it challenges the worst
            target = int(np.argmax(self._losses))
        if loss <= self._losses[target]:
            self._points[target], self._losses[target] = point, loss

    def _next_target(self) -> int | None:
        challenged = {target for target, _ in self._challenges.values()}
        for _ in self._points:
            target = self._turn % len(self._points)
            self._turn = target + 1
            if target not in challenged:
                return target
        return None

    def _challenge(self, target: int) -> Point:
        others = [i for i in range(len(self._points)) if i != target]
        a, b, c = (self._points[i] for i in self._rng.choice(others, 3, replace=False))
        mutant = a + self.scale * (b - c)
        outside = (mutant < 0.0) | (mutant > 1.0)
        mutant[outside] = self._rng.random(int(outside.sum()))
        crossed = self._rng.random(len(mutant)) < self.crossover
        crossed[self._rng.integers(len(mutant))] = True  # or a trial might repeat its target
        point: Point = np.where(crossed, mutant, self._points[target])
        return point
