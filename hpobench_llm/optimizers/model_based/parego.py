"""ParEGO: expected improvement on a random scalarisation of the objectives.

Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive
multiobjective optimization problems", IEEE Transactions on Evolutionary Computation 10(1), 2006.
The Gaussian process is scikit-learn's.
"""

import warnings
from collections import deque
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np
from scipy.stats import norm
from scipy.stats.qmc import LatinHypercube

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import decode, features
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.optimizers.scalarisation import chebyshev, normalised
from hpobench_llm.space import Configuration, config_id

try:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise MissingDependencyError("scikit-learn", "surrogate", "the optimizer 'parego'") from None


class Parego(Optimizer):
    """Draws one of the evenly spread weights, fits a Gaussian process, maximises its improvement.

    Defaults of the paper: a Latin hypercube of `11 * d - 1` trials first (trials of an initial
    design are counted among them), weights that are multiples of 1/10 and add up to 1, the
    augmented Chebyshev value with rho 0.05 of losses that are scaled to [0, 1].

    The surrogate has a Matérn 5/2 kernel with a length scale for each axis and a noise level, all
    fitted by maximum likelihood from the last fit on. It sees the space's unit encoding, a
    categorical axis as one column a name.

    Deviations: the paper's kernel has an exponent for each axis instead, and no noise. It
    maximises the improvement by a genetic algorithm, this by looking at 1000 uniform draws and
    250 neighbours, of which it takes the best that was not asked for before. Losses are scaled by
    what was measured, as the true ranges are not known. Beyond 200 trials the process sees the
    100 best by the scalarised value and 100 random others. Running trials are not modelled: other
    weights, and no repetition, keep workers apart. A failed trial is the worst in every objective.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """

    divisions: ClassVar[int] = 10
    draws: ClassVar[int] = 1000
    near: ClassVar[int] = 250
    modelled: ClassVar[int] = 200

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self.startup_trials = 11 * len(self.space) - 1
        cube = LatinHypercube(len(self.space), rng=self._rng)
        points = cube.random(self.startup_trials)
        self._first = deque(decode(self.space, point) for point in points)
        self._weights = lattice(len(self.objectives), self.divisions)
        self._kernel: Kernel | None = None  # as it was fitted last
        self._suggested: set[int] = set()
        self._seen: set[str] = set()  # configurations, and those they were moved to
        self._configs: list[Configuration] = []
        self._losses: list[list[float]] = []
        self._ok: list[bool] = []

    def suggest(self, number: int) -> Suggestion:
        """Return a point of the hypercube, then the most promising candidate."""
        if self._first or not self._configs:  # with many workers the hypercube may be under way
            first = self._first.popleft() if self._first else self.space.sample(self._rng)
            return self._new(number, first)
        weights = self._weights[int(self._rng.integers(len(self._weights)))]
        values = chebyshev(normalised(np.array(self._losses), np.array(self._ok)), weights)
        candidates = self._candidates(self._configs[int(np.argmin(values))])
        if not candidates:
            return self._new(number, self.space.sample(self._rng))
        best = int(np.argmax(self._improvement(values, candidates)))
        return self._new(number, candidates[best])

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the losses of the configuration that was evaluated."""
        if trial.number not in self._suggested and self._first:
            self._first.pop()  # of an initial design
        self._seen.add(config_id(trial.config))
        self._configs.append(trial.config)
        self._losses.append([evaluation.loss(metric) for metric in self.objectives])
        self._ok.append(evaluation.status == "ok")

    def _new(self, number: int, config: Configuration) -> Suggestion:
        self._suggested.add(number)
        self._seen.add(config_id(config))
        return Suggestion(config)

    def _candidates(self, incumbent: Configuration) -> list[Configuration]:
        drawn = [self.space.sample(self._rng) for _ in range(self.draws)]
        drawn += [neighbour(self.space, incumbent, self._rng) for _ in range(self.near)]
        distinct = {config_id(config): config for config in drawn}
        return [config for name, config in distinct.items() if name not in self._seen]

    def _improvement(self, values: np.ndarray, candidates: list[Configuration]) -> np.ndarray:
        order = np.argsort(values, kind="stable")
        if len(order) > self.modelled:
            half = self.modelled // 2
            others = self._rng.choice(order[half:], self.modelled - half, replace=False)
            order = np.concatenate((order[:half], others))
        known = features(self.space, [self._configs[i] for i in order])
        process = GaussianProcessRegressor(
            self._kernel or _prior(known.shape[1]), normalize_y=True, alpha=1e-8
        )
        with warnings.catch_warnings():  # a length scale at its bound is an axis without effect
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(known, values[order])
        self._kernel = process.kernel_
        mean, deviation = process.predict(features(self.space, candidates), return_std=True)
        gain = values.min() - mean
        # The deviation of an observation is that of the function and that of the noise.
        noise = process.kernel_.k2.noise_level * float(np.var(values[order]))
        deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-18))
        score = gain / deviation
        improvement: np.ndarray = gain * norm.cdf(score) + deviation * norm.pdf(score)
        return improvement


def lattice(objectives: int, divisions: int) -> np.ndarray:
    """Return all weights (n, k) that are multiples of `1 / divisions` and add up to 1."""
    slots = divisions + objectives - 1
    rows = []
    for bars in combinations(range(slots), objectives - 1):
        edges = (-1, *bars, slots)
        rows.append([b - a - 1 for a, b in pairwise(edges)])
    return np.array(rows, dtype=np.float64) / divisions


def _prior(columns: int) -> Kernel:
    matern = Matern(np.full(columns, 0.5), (1e-2, 1e2), nu=2.5)
    return ConstantKernel(1.0, (1e-2, 1e3)) * matern + WhiteKernel(1e-3, (1e-6, 1.0))
