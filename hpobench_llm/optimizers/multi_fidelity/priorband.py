"""PriorBand: Hyperband that draws around an expert's configuration, and around the best so far.

Mallik, Bergman, Hvarfner, Stoll, Janowski, Lindauer, Nardi and Hutter, "PriorBand: practical
hyperparameter optimization in the age of deep learning", NeurIPS 2023; read in the authors'
library NePS (`neps.optimizers.priorband`), not in the paper. Our own code.
"""

import math
from itertools import chain
from operator import itemgetter
from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.optimizers.encoding import Point, decode, encode
from hpobench_llm.optimizers.model_based.density import from_indices, to_indices
from hpobench_llm.optimizers.multi_fidelity.belief import Belief
from hpobench_llm.optimizers.multi_fidelity.successive_halving import Hyperband
from hpobench_llm.practice import default_configuration
from hpobench_llm.space import Configuration


class PriorBand(Hyperband):
    """`Hyperband` that draws uniformly, from the expert's belief, or near the incumbent.

    The expert's configuration is what PEFT and the Trainer have where nothing is set, see
    `practice.default_configuration`; the belief is a `Belief` around it, a quarter of the range
    wide. At rung r (from 0) a draw is uniform with a probability of `1 / (1 + eta**r)`. The rest
    is the belief's, until the trials have cost as much as one bracket of successive halving and
    one of them was run in full. From then on belief and incumbent share it, by how likely the best
    `1 / eta` of the highest rung of at least eta trials are under each, the k-th of K best
    counting `K + 1 - k`. Near the incumbent each axis changes with a probability of a half: a
    range by a normal step of a quarter, cut off at its ends, names to another one.

    Deviations from NePS: brackets and rungs are those of `hyperband` here; the cost of trials is
    their fidelities, each less what its promotion continues from (NePS multiplies by the rung's
    number); a rung counts from eta trials on (NePS: one of exactly eta has to be there); a width
    of a quarter is NePS's `medium` confidence. Failed trials are the worst.

    Raises:
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    change: ClassVar[float] = 0.5

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._expert = Belief.around(self.space, default_configuration(self.space))
        self._finished: list[list[tuple[Point, float]]] = [[] for _ in self.rungs]
        # What a trial on a rung costs: it goes on from the rung below.
        self._steps = np.diff([0, *self.rungs])
        sizes = [self.size(0) // self.eta**rung for rung in range(len(self.rungs))]
        self._bracket_cost = float(np.dot(sizes, self._steps))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into its rung, as Hyperband does, and into the model's trials."""
        of_bracket = trial.number in self._bracket.running
        rung = self._bracket.rung if of_bracket else len(self.rungs) - 1
        loss = evaluation.loss(self.objective) if evaluation.status == "ok" else math.inf
        point = to_indices(encode(self.space, trial.config)[None], self._expert.names)[0]
        self._finished[rung].append((point, loss))
        super().learn(trial, evaluation)

    def sample(self) -> Configuration:
        """Return a uniform draw, one from the belief, or one near the incumbent."""
        uniform = 1.0 / (1 + self.eta**self._bracket.rung)
        if self.rng.random() < uniform:
            return super().sample()
        if self._incumbent_counts():
            points = chain.from_iterable(self._finished)
            incumbent, _ = min(points, key=itemgetter(1))
            near = Belief(incumbent, self._expert.names)
            if self.rng.random() < self._share(near):
                return self._configuration(self._changed(near))
        return self._configuration(self._expert.sample(self.rng))

    def _incumbent_counts(self) -> bool:
        counts = [len(rung) for rung in self._finished]
        spent = float(np.dot(counts, self._steps))
        return counts[-1] > 0 and max(counts) >= self.eta and spent >= self._bracket_cost

    def _share(self, near: Belief) -> float:
        """Return the incumbent's share of the draws that are not uniform."""
        rung = next(rung for rung in reversed(self._finished) if len(rung) >= self.eta)
        top = sorted(rung, key=itemgetter(1))[: len(rung) // self.eta]
        # Logarithms throughout: of many trials the product of densities would be 0.
        weights = np.log(np.arange(len(top), 0, -1))
        logs = [
            np.logaddexp.reduce(weights + [belief.logarithm(point) for point, _ in top])
            for belief in (near, self._expert)
        ]
        return float(1.0 / (1.0 + np.exp(min(logs[1] - logs[0], 700.0))))  # 710 would overflow

    def _changed(self, near: Belief) -> Point:
        """Return the incumbent with some of its axes changed."""
        moved = np.where(near.names == 0, near.sample(self.rng), near.others(self.rng))
        changes = self.rng.random(len(moved)) < self.change
        return np.where(changes, moved, near.centre)

    def _configuration(self, point: Point) -> Configuration:
        return decode(self.space, from_indices(point[None], self._expert.names)[0])
