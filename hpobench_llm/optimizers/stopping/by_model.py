"""Stop when a Gaussian process sees nothing more to gain.

Makarova, Shen, Perrone, Klein, Faddoul, Krause, Seeger and Archambeau, "Automatic termination for
hyperparameter optimization", AutoML 2022 (the regret bound); Nguyen, Gupta, Rana, Li and
Venkatesh, "Regret for expected improvement over the best-observed value and stopping condition",
ACML 2017 (expected improvement); Lorenz, Monti, Violante, Faisal, Anagnostopoulos, Leech and
Montana, "Stopping criteria for boosting automatic experimental design using real-time fMRI with
Bayesian optimization", 2015 (probability of improvement). The process is that of `Gp`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.optimizers.encoding import Points, columns
from hpobench_llm.optimizers.model_based.expected_improvement import log_expected_improvement
from hpobench_llm.optimizers.model_based.history import History
from hpobench_llm.optimizers.model_based.improvement_search import ImprovementSearch, fitted
from hpobench_llm.optimizers.stopping.rule import StoppingRule

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a process says of the trials so far and of other configurations.

    Losses are in standard deviations of those that the process sees; `scale` is one such deviation
    in the objective's unit.

    Attributes:
        known_mean, known_deviation: of the function at the trials, `(n,)`.
        mean, deviation: of the function at configurations that were not evaluated, `(m,)`.
        scale: the standard deviation of the losses.
        trials: how many are finished, including those that the process does not see.
    """

    known_mean: Array
    known_deviation: Array
    mean: Array
    deviation: Array
    scale: float
    trials: int


class RuleByModel(StoppingRule):
    """A rule on what a Gaussian process says, from the 10th finished trial in full on.

    As in Syne Tune the process sees the best half of the trials, 20 at least: the bound is about
    the good region, and bad trials would widen it. A failed or infeasible trial counts as the
    worst that did not fail, a trial in part not at all. The candidates are those of `Gp`.

    Raises:
        OptimizerError: more than one objective.
    """

    warm_up: ClassVar[int] = 10
    least: ClassVar[int] = 20  # of the best trials that the process sees

    def check(self) -> None:
        """Refuse several objectives."""
        if len(self.objectives) != 1:
            names = ", ".join(metric.name for metric in self.objectives)
            raise OptimizerError(f"{type(self).__name__} takes one objective, got: {names}")

    def set_up(self) -> None:
        """Build the rule's own state."""
        rng = np.random.default_rng([self.seed, 1])  # apart from the optimizer's own draws
        self._history = History(self.space)
        self._search = ImprovementSearch(self.space, rng)
        self._judged = 0
        self.gains: list[float] = []

    def see(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the loss of a trial in full."""
        axes = self.fidelities
        if all((trial.fidelity or {}).get(axis.name, axis.full) == axis.full for axis in axes):
            sound = evaluation.status == "ok" and evaluation.feasible
            loss = evaluation.loss(self.objectives[0])
            self._history.end(trial.number, trial.config, loss, ok=sound)

    def met(self) -> bool:
        """Say whether the gain has fallen to the threshold."""
        # Asked before each trial: without a new outcome the verdict stays what it was.
        if len(self._history) < self.warm_up or len(self._history) == self._judged:
            return False
        self._judged = len(self._history)
        self.gains.append(self.gain(self._outlook()))
        return self.gains[-1] <= self.value

    @abstractmethod
    def gain(self, outlook: Outlook) -> float:
        """Return what there is to gain, at least 0; it is compared with the threshold."""

    def _outlook(self) -> Outlook:
        points, losses = self._history.points, self._history.losses
        best_half = np.argsort(losses, kind="stable")[: max(self.least, (len(losses) + 1) // 2)]
        incumbent, scale = points[best_half[0]], float(losses[best_half].std())
        # Equal losses have no deviation to be divided by.
        targets = (losses[best_half] - losses[best_half].mean()) / (scale or 1.0)
        process = fitted(self.space, points[best_half], targets)
        candidates = _new(self._search.candidates(incumbent), points)
        return Outlook(
            *process.predict(process.inputs),
            *process.predict(columns(self.space, candidates)),
            scale,
            len(losses),
        )


class StopRegretBound(RuleByModel):
    """Stops when the best trial is at most `value` above the best there may be.

    The bound is `min UCB` over the trials less `min LCB` over trials and candidates, where UCB and
    LCB are the process's mean plus and minus `sqrt(beta)` deviations, with `beta = 2 log(m t^2
    pi^2 / (6 * 0.1)) / 5` for m candidates after t trials: Srinivas, Krause, Kakade and Seeger,
    "Gaussian process optimization in the bandit setting", ICML 2010, with their own factor of one
    fifth. The threshold has the objective's unit: the paper takes the standard error of the
    estimate at the best trial, which an optimizer is not told, so it has no default.
    """

    def gain(self, outlook: Outlook) -> float:
        """Return the regret bound in the objective's unit."""
        # 0.6 is 6 * delta, for a delta of 0.1.
        everywhere = len(outlook.known_mean) + len(outlook.mean)
        beta = 2.0 * np.log(everywhere * outlook.trials**2 * np.pi**2 / 0.6) / 5.0
        return regret_bound(outlook, float(np.sqrt(beta))) * outlook.scale


class StopEi(RuleByModel):
    """Stops when no candidate's expected improvement is above `value`.

    Over the lowest mean among the trials, in standard deviations of the losses that the process
    sees, so that the objective's unit does not matter. Default: 0.01; the papers' thresholds
    depend on their objectives' scales.
    """

    def gain(self, outlook: Outlook) -> float:
        """Return the largest expected improvement; 0 if everything was evaluated."""
        best = float(outlook.known_mean.min())
        logs = log_expected_improvement(best, outlook.mean, outlook.deviation)
        return float(np.exp(logs.max(initial=-np.inf)))


class StopPi(RuleByModel):
    """Stops when no candidate's probability of an improvement is above `value`. Default: 0.01.

    Of an improvement over the lowest mean among the trials, however small: on a real axis beside
    the best trial it stays near one half, so the rule is for finite spaces.
    """

    def gain(self, outlook: Outlook) -> float:
        """Return the largest probability; 0 if everything was evaluated."""
        probabilities = ndtr((outlook.known_mean.min() - outlook.mean) / outlook.deviation)
        return float(probabilities.max(initial=0.0))


def regret_bound(outlook: Outlook, width: float) -> float:
    """Return `min UCB` over the trials less `min LCB` over all, `width` deviations wide.

    It is never below 0, since the trials are among all.
    """
    upper = outlook.known_mean + width * outlook.known_deviation
    lower = np.concatenate(
        (
            outlook.known_mean - width * outlook.known_deviation,
            outlook.mean - width * outlook.deviation,
        )
    )
    return float(upper.min() - lower.min())


def _new(candidates: Points, evaluated: Points) -> Points:
    """Return the candidates that are not among the known points."""
    apart = np.abs(candidates[:, None, :] - evaluated[None, :, :]).max(axis=2)
    fresh: Points = candidates[(apart > 1e-9).all(axis=1)]
    return fresh
