"""Expected hypervolume improvement, noisy and in logarithms: qLogNEHVI, through BoTorch.

Daulton, Balandat and Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with
expected hypervolume improvement", NeurIPS 2021; Ament, Daulton, Eriksson, Balandat and Bakshy,
"Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023.
"""

from collections import deque
from typing import ClassVar

import numpy as np
from scipy.stats.qmc import Sobol

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.barrier import relative_excesses
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.botorch_models import Improvement, Regression, alone
from hpobench_llm.optimizers.encoding import decode, features, real_columns
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.optimizers.pareto import fronts
from hpobench_llm.optimizers.scalarisation import normalised
from hpobench_llm.space import Categorical, Configuration, Ordinal, config_id


class Ehvi(Optimizer):
    """Fits a Gaussian process to each objective and asks where the front's volume grows most.

    BoTorch's defaults: `SingleTaskGP` (a Gaussian kernel with a length scale for each axis under a
    log-normal prior, outputs standardised, noise fitted), a reference point a tenth of the trials'
    range below their worst in each objective. First come `2 * (d + 1)` points of a scrambled Sobol
    sequence, less the trials of an initial design. Running trials are pending
    points, over whose outcomes it is averaged: `posterior`. With one objective it is qLogNEI,
    noisy expected improvement.

    Constraints are further outputs, `c / (1 + |c|)` of the relative excess c, which keeps its
    sign and lies between -1 and 1; the improvement counts as far as they are likely to be kept.
    Until a trial is feasible, the one objective is the sum of the positive excesses.

    The maximum is looked for among candidates that were not asked for before: 250 uniform draws
    and 50 neighbours of the front, or all configurations, where a space has no more than 300. From
    the best 2 of them it is climbed along the real axes, the others as they are.

    Deviations, all for speed: 64 samples instead of 128. A climb ends after 15 steps of L-BFGS-B.
    The hyperparameters are fitted anew when the trials have grown by a quarter. Losses are scaled
    to [0, 1] over the trials that are ok; a failed trial is 1 in every objective. The reference
    point is that of all trials, where BoTorch's documentation takes their front: a front alone
    gave smaller volumes on ZDT2.

    Raises:
        MissingDependencyError: BoTorch is not installed.
    """

    takes_constraints = True
    liar = "posterior"
    seeding = "torch seeds from a NumPy generator"
    draws: ClassVar[int] = 250
    near: ClassVar[int] = 50
    samples: ClassVar[int] = 64
    starts: ClassVar[int] = 2
    steps: ClassVar[int] = 15
    fit_steps: ClassVar[int] = 50

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self.startup_trials = 2 * (len(self.space) + 1)
        sequence = Sobol(len(self.space), rng=self._rng)
        points = sequence.random_base2((self.startup_trials - 1).bit_length())
        self._first = deque(decode(self.space, p) for p in points[: self.startup_trials])
        axes = [d.values for d in self.space if isinstance(d, Ordinal | Categorical)]
        finite = len(axes) == len(self.space)
        # In floating point, as the product of many axes would overflow an integer.
        count = np.prod([len(values) for values in axes], dtype=float)
        listed = finite and count <= self.draws + self.near
        self._every_configuration = list(self.space.configurations()) if listed else []
        self._real = real_columns(self.space)
        self._model, self._phase_one = Regression(self.fit_steps), Regression(self.fit_steps)
        self._pending: dict[int, Configuration] = {}
        self._seen: set[str] = set()  # configurations, and those they were moved to
        self._configs: list[Configuration] = []
        self._losses: list[list[float]] = []
        self._excesses: list[list[float]] = []
        self._ok: list[bool] = []

    def suggest(self, number: int) -> Suggestion:
        """Return a point of the sequence, then the candidate that promises most."""
        if self._first:
            return self._new(number, self._first.popleft())
        candidates = self._candidates()
        if len(self._configs) < 2 or not candidates:
            return self._new(number, self.space.sample(self._rng))
        with alone(int(self._rng.integers(2**31))):
            return self._new(number, self._best(candidates))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the outcome of the configuration that was evaluated."""
        # A trial of an initial design takes the place of one of the sequence.
        if self._pending.pop(trial.number, None) is None and self._first:
            self._first.pop()
        self._seen.add(config_id(trial.config))
        self._configs.append(trial.config)
        self._losses.append([evaluation.loss(metric) for metric in self.objectives])
        self._excesses.append(relative_excesses(self.constraints, evaluation))
        self._ok.append(evaluation.status == "ok")

    def _new(self, number: int, config: Configuration) -> Suggestion:
        self._pending[number] = config
        self._seen.add(config_id(config))
        return Suggestion(config)

    def _candidates(self) -> list[Configuration]:
        drawn = self._every_configuration
        if not drawn:
            drawn = [self.space.sample(self._rng) for _ in range(self.draws)]
            if self._configs:
                parents = (self._configs[i] for i in self._rng.choice(self._front(), self.near))
                drawn += [neighbour(self.space, parent, self._rng) for parent in parents]
        distinct = {config_id(config): config for config in drawn}
        return [config for name, config in distinct.items() if name not in self._seen]

    def _violations(self) -> np.ndarray:
        excesses = np.array(self._excesses).reshape(len(self._configs), len(self.constraints))
        violations: np.ndarray = np.maximum(excesses, 0.0).sum(axis=1)
        return violations

    def _front(self) -> np.ndarray:
        """Return the indices of the front of the trials that break the constraints least."""
        violations = self._violations()
        least = np.flatnonzero(violations == violations.min())
        front: np.ndarray = least[fronts(np.array(self._losses)[least])[0]]
        return front

    def _best(self, candidates: list[Configuration]) -> Configuration:
        """Return the best of the candidates and of where the climbs from the best of them end."""
        improvement = self._improvement()
        points = features(self.space, candidates)
        values = improvement.of(points)
        order = np.argsort(-values, kind="stable")[: self.starts]
        best = candidates[int(order[0])]
        if not self._real:  # nothing to climb along
            return best
        free = np.isin(np.arange(points.shape[1]), [*self._real.values()])
        ends = improvement.climb(points[order], free, self.steps)
        top = int(np.argmax(improvement.of(ends)))
        climbed = candidates[int(order[top])] | {
            axis.name: axis.from_unit(float(ends[top, column]))
            for axis, column in self._real.items()
        }
        return best if config_id(climbed) in self._seen else climbed

    def _improvement(self) -> Improvement:
        inputs = features(self.space, self._configs)
        violations = self._violations()
        if violations.min() > 0:
            model = self._phase_one.fitted_to(inputs, -_bounded(violations)[:, None])
        else:
            gains = -normalised(np.array(self._losses), np.array(self._ok))
            excesses = np.array(self._excesses).reshape(len(inputs), len(self.constraints))
            model = self._model.fitted_to(inputs, np.hstack([gains, _bounded(excesses)]))
        pending = list(self._pending.values())
        return Improvement(
            model,
            inputs,
            features(self.space, pending) if pending else inputs[:0],
            objectives=1 if violations.min() > 0 else len(self.objectives),
            samples=self.samples,
        )


def _bounded(excesses: np.ndarray) -> np.ndarray:
    # An excess of a million would flatten all others; the sign, all that counts, stays.
    bounded: np.ndarray = excesses / (1.0 + np.abs(excesses))
    return bounded
