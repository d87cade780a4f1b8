"""ParEGO: expected improvement on a random scalarisation of the objectives.

Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive
multiobjective optimization problems", IEEE Transactions on Evolutionary Computation 10(1), 2006.
Our own code.
"""

from collections import deque
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np
from scipy.stats.qmc import LatinHypercube

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import Point, decode, encode
from hpobench_llm.optimizers.model_based.candidates import best_unseen
from hpobench_llm.optimizers.model_based.improvement_search import ImprovementSearch
from hpobench_llm.optimizers.scalarisation import chebyshev, normalised
from hpobench_llm.space import Configuration, config_id


class Parego(Optimizer):
    """Draws one of the evenly spread weights, fits a Gaussian process, maximises its improvement.

    Defaults of the paper: a Latin hypercube of `11 * d - 1` trials first (trials of an initial
    design are counted among them), weights that are multiples of 1/10 and add up to 1, the
    augmented Chebyshev value with rho 0.05 of losses that are scaled to [0, 1].

    The process, its candidates and the logarithm of the improvement are those of `Gp`.

    Deviations: the paper's kernel has an exponent for each axis, and no noise. It maximises the
    improvement by a genetic algorithm; this takes the best of some candidates that was not asked
    for before. Losses are scaled by what was measured, as the true ranges are not
    known. The scalarised values above their median are warped. Running trials are not modelled:
    other weights, and no repetition, keep workers apart. A failed trial is the worst in every
    objective.
    """

    divisions: ClassVar[int] = 10

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self.startup_trials = 11 * len(self.space) - 1
        cube = LatinHypercube(len(self.space), rng=self._rng)
        points = cube.random(self.startup_trials)
        self._first = deque(decode(self.space, point) for point in points)
        self._weights = lattice(len(self.objectives), self.divisions)
        self._search = ImprovementSearch(self.space, self._rng)
        self._suggested: set[int] = set()
        self._seen: set[str] = set()  # configurations, and those they were moved to
        self._points: list[Point] = []
        self._losses: list[list[float]] = []
        self._ok: list[bool] = []

    def suggest(self, number: int) -> Suggestion:
        """Return a point of the hypercube, then the most promising candidate."""
        if self._first or not self._points:  # with many workers the hypercube may be under way
            first = self._first.popleft() if self._first else self.space.sample(self._rng)
            return self._new(number, first)
        weights = self._weights[int(self._rng.integers(len(self._weights)))]
        values = chebyshev(normalised(np.array(self._losses), np.array(self._ok)), weights)
        points = np.array(self._points)
        candidates = self._search.candidates(points[np.argmin(values)])
        scores = self._search.scores(points, values, points[:0], candidates)
        return self._new(
            number, best_unseen(self.space, candidates, scores, self._seen, self._rng)
        )

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the losses of the configuration that was evaluated."""
        # A trial of an initial design takes the place of one of the hypercube.
        if trial.number not in self._suggested and self._first:
            self._first.pop()
        self._seen.add(config_id(trial.config))
        self._points.append(encode(self.space, trial.config))
        self._losses.append([evaluation.loss(metric) for metric in self.objectives])
        self._ok.append(evaluation.status == "ok")

    def _new(self, number: int, config: Configuration) -> Suggestion:
        self._suggested.add(number)
        self._seen.add(config_id(config))
        return Suggestion(config)


def lattice(objectives: int, divisions: int) -> np.ndarray:
    """Return all weights (n, k) that are multiples of `1 / divisions` and add up to 1."""
    # Stars and bars: each way to set `objectives - 1` bars among the slots is one sum.
    slots = divisions + objectives - 1
    rows = []
    for bars in combinations(range(slots), objectives - 1):
        edges = (-1, *bars, slots)
        rows.append([b - a - 1 for a, b in pairwise(edges)])
    return np.array(rows, dtype=np.float64) / divisions
