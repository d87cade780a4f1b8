"""BOHB: Hyperband whose configurations come from kernel densities of good and bad. Our own code.

Falkner, Klein and Hutter, "BOHB: robust and efficient hyperparameter optimization at scale",
ICML 2018.
"""

import math
from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.optimizers.encoding import Point, decode, encode
from hpobench_llm.optimizers.model_based.density import (
    Density,
    from_indices,
    names_of,
    to_indices,
)
from hpobench_llm.optimizers.multi_fidelity.successive_halving import Hyperband
from hpobench_llm.space import Configuration


class Bohb(Hyperband):
    """`Hyperband` that draws where good trials are denser than bad ones.

    Defaults of the paper: a third of the configurations are uniform draws. The rest have the
    largest ratio of densities among 64 points from the density of the good trials, its bandwidths
    times 3. The trials are those of the highest rung with at least d + 3 of them; the good are
    the best 15 %, the bad all others, but either no fewer than d + 1. Bandwidths are by the normal
    reference rule, none below 0.001.

    The densities are over the unit cube with equal cells, names unordered. Deviations: an
    integer and an ordinal axis are a range there, whose points are rounded once the best is
    chosen. The bandwidth of an axis of names is bounded where all are equally likely, and its
    kernel knows all names, not those alone that were tried. Failed trials are the worst. A
    configuration may come again.

    Raises:
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    random_share: ClassVar[float] = 1 / 3
    good_share: ClassVar[float] = 0.15
    candidates: ClassVar[int] = 64
    widened: ClassVar[float] = 3.0
    least_bandwidth: ClassVar[float] = 1e-3

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._names = names_of(self.space)
        self.startup_trials = len(self.space) + 3
        self._finished: list[list[tuple[Point, float]]] = [[] for _ in self.rungs]

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into its rung, as Hyperband does, and among those of the model."""
        # A trial of an initial design is in no bracket, and was run in full.
        of_bracket = trial.number in self._bracket.running
        rung = self._bracket.rung if of_bracket else len(self.rungs) - 1
        loss = evaluation.loss(self.objective) if evaluation.status == "ok" else math.inf
        self._finished[rung].append((encode(self.space, trial.config), loss))
        super().learn(trial, evaluation)

    def sample(self) -> Configuration:
        """Return a uniform draw, or what the densities propose."""
        enough = [rung for rung in self._finished if len(rung) >= self.startup_trials]
        if not enough or self.rng.random() < self.random_share:
            return super().sample()
        points = to_indices(np.array([point for point, _ in enough[-1]]), self._names)
        order = np.argsort([loss for _, loss in enough[-1]], kind="stable")
        good, bad = sizes(len(order), len(self.space), self.good_share)
        promising = Density.fit(points[order[:good]], self._names, self.least_bandwidth)
        others = Density.fit(points[order[-bad:]], self._names, self.least_bandwidth)
        drawn = promising.sample(self.candidates, self.widened, self.rng)
        floor = math.log(1e-32)  # by which the published code bounds both densities from below
        ratio = np.maximum(promising.logarithm(drawn), floor)
        ratio -= np.maximum(others.logarithm(drawn), floor)
        return decode(self.space, from_indices(drawn, self._names)[int(np.argmax(ratio))])


def sizes(count: int, axes: int, good_share: float) -> tuple[int, int]:
    """Return how many of `count` trials are good and how many bad; they overlap if too few."""
    least = axes + 1
    good = max(least, int(good_share * count))
    return good, max(least, count - good)
