"""TuRBO: a Gaussian process in a trust region that grows with successes and shrinks with failures.

Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable global optimization via local Bayesian
optimization", NeurIPS 2019, with one region, TuRBO-1; read in BoTorch's tutorial `turbo_1`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.stats.qmc import Sobol

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.botorch_models import Regression, alone, lengths, posterior
from hpobench_llm.optimizers.encoding import Point, Points, columns, decode, encode, snap
from hpobench_llm.optimizers.scalarisation import normalised
from hpobench_llm.space import Categorical, Configuration, Space, config_id

LONGEST, SHORTEST, FIRST = 1.6, 0.5**7, 0.8  # of the region's sides, in ranges
SUCCESSES = 3


@dataclass(slots=True)
class Region:
    """A trust region with its own trials: `points` of the unit cube with equal cells, `losses`."""

    patience: int
    length: float = FIRST
    successes: int = 0
    failures: int = 0
    points: list[Point] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    ok: list[bool] = field(default_factory=list)
    model: Regression = field(default_factory=Regression)

    def enter(self, point: Point, loss: float, ok: bool, *, counts: bool) -> None:
        """Enter a trial; where it `counts`, as a success or a failure of the region."""
        sound = [loss for loss, ok in zip(self.losses, self.ok, strict=True) if ok]
        best = min(sound, default=None)
        self.points.append(point)
        self.losses.append(loss)
        self.ok.append(ok)
        if not counts:
            return
        if ok and (best is None or loss < best - 1e-3 * abs(best)):
            self.successes, self.failures = self.successes + 1, 0
        else:
            self.successes, self.failures = 0, self.failures + 1
        if self.successes == SUCCESSES:
            self.length, self.successes = min(2.0 * self.length, LONGEST), 0
        elif self.failures == self.patience:
            self.length, self.failures = self.length / 2.0, 0

    @property
    def centre(self) -> Point:
        """The best point so far."""
        losses = np.where(self.ok, self.losses, np.inf)
        return self.points[int(np.argmin(losses))]


class Turbo(SingleObjectiveOptimizer):
    """Draws from the posterior around the best trial, and asks for the lowest point of the draw.

    A region begins with `2 d` points of a scrambled Sobol sequence, less the trials of an initial
    design, and a side of 0.8 of the range, which is stretched along an axis by the
    length scale that was fitted. It doubles, up to 1.6, after 3 successes in a row (the paper's
    number; the tutorial's is 10), and halves after `max(4, d)` failures. A success is better than
    the best by a thousandth of it. Below `2**-7` another region begins, which knows nothing of
    the trials before. Candidates differ from the best in each axis with a probability of
    `min(20 / d, 1)`.

    Deviations: trials count one by one, whatever the number of workers, as batches of one do, and
    running ones are only kept apart by new draws. The process is that of `ehvi`, whose noise is
    fitted, where the tutorial's has at most a thousandth. There are 500 candidates instead of
    2,000 and more; finite axes are snapped to their cells, and what was asked for before is left
    out: where nothing else is in the region, a draw from all of the space comes. Losses are scaled
    to [0, 1] over the trials that are ok; a failed trial is 1.

    Raises:
        MissingDependencyError: BoTorch is not installed.
        OptimizerError: more than one objective.
    """

    liar = "none"
    seeding = "torch seeds from a NumPy generator"
    candidates: ClassVar[int] = 500

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self.startup_trials = 2 * len(self.space)
        self._seen: set[str] = set()
        self._under_way: dict[int, tuple[Region, bool]] = {}
        self._first: deque[Point] = deque()
        self._region = self._begin()

    def suggest(self, number: int) -> Suggestion:
        """Return a point of the sequence, then the lowest of a draw from the posterior."""
        first = bool(self._first) or not any(self._region.ok)
        if self._first:
            config = decode(self.space, self._first.popleft())
        elif first:  # what was asked for first runs, or failed
            config = self.space.sample(self._rng)
        else:
            with alone(int(self._rng.integers(2**31))):
                config = self._drawn()
        self._seen.add(config_id(config))
        self._under_way[number] = self._region, not first
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into the region that asked for it, and begin another if it is over."""
        region, counts = self._under_way.pop(trial.number, (None, False))
        if region is None:  # of an initial design
            region = self._region
            if self._first:
                self._first.pop()
        self._seen.add(config_id(trial.config))
        point = encode(self.space, trial.config)
        ok = evaluation.status == "ok"
        region.enter(point, evaluation.loss(self.objective), ok, counts=counts)
        if self._region.length < SHORTEST:
            self._region = self._begin()

    def _begin(self) -> Region:
        sequence = Sobol(len(self.space), rng=self._rng)
        points = sequence.random_base2((self.startup_trials - 1).bit_length())
        self._first.extend(points[: self.startup_trials])
        return Region(patience=max(4, len(self.space)))

    def _drawn(self) -> Configuration:
        region = self._region
        losses = normalised(np.array(region.losses)[:, None], np.array(region.ok))
        model = region.model.fitted_to(columns(self.space, np.array(region.points)), -losses)
        points, configs = self._around(region.centre, axis_lengths(self.space, lengths(model)))
        if not configs:
            return self.space.sample(self._rng)
        mean, covariance = posterior(model, columns(self.space, points))
        # By eigenvalues, as a Cholesky factor fails on a covariance that is only just positive.
        values, vectors = np.linalg.eigh(covariance)
        noise = vectors @ (np.sqrt(np.maximum(values, 0.0)) * self._rng.normal(size=len(mean)))
        return configs[int(np.argmax(mean + noise))]

    def _around(self, centre: Point, scales: Point) -> tuple[Points, list[Configuration]]:
        """Return candidates of the region that were not asked for before."""
        # Stretched by the length scales, but of an unchanged volume: their geometric mean is 1.
        sides = scales / np.exp(np.log(scales).mean()) * self._region.length
        low, high = np.clip([centre - sides / 2.0, centre + sides / 2.0], 0.0, 1.0)
        axes = len(centre)
        moved = low + (high - low) * self._rng.random((self.candidates, axes))
        changes = self._rng.random(moved.shape) < min(20.0 / axes, 1.0)
        # A candidate has to differ from the centre on one axis at least.
        unchanged = np.flatnonzero(~changes.any(axis=1))
        changes[unchanged, self._rng.integers(axes, size=len(unchanged))] = True
        points = np.unique(snap(self.space, np.where(changes, moved, centre)), axis=0)
        configs = [decode(self.space, point) for point in points]
        new = [i for i, config in enumerate(configs) if config_id(config) not in self._seen]
        return points[new], [configs[i] for i in new]


def axis_lengths(space: Space, scales: Point) -> Point:
    """Return a length scale for each axis (d,), for an axis of names the mean of its columns."""
    widths = [len(d.values) if isinstance(d, Categorical) else 1 for d in space]
    ends = np.cumsum(widths)
    return np.array([scales[end - w : end].mean() for w, end in zip(widths, ends, strict=True)])
