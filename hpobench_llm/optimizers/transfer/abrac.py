"""ABRAC: basis functions of increasing complexity, as many as the evaluations so far support.

Horváth, Klein, Richtárik and Archambeau, "Hyperparameter transfer learning with adaptive
complexity", AISTATS 2021. Our own code.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.optimizers.encoding import Points, columns, encode
from hpobench_llm.optimizers.model_based.base import ModelBased
from hpobench_llm.optimizers.model_based.candidates import best_unseen
from hpobench_llm.optimizers.model_based.expected_improvement import log_expected_improvement
from hpobench_llm.optimizers.model_based.history import warped
from hpobench_llm.optimizers.model_based.improvement_search import ImprovementSearch
from hpobench_llm.optimizers.transfer.knowledge import losses
from hpobench_llm.optimizers.transfer.ordered_basis import OrderedBasis, Task, learned
from hpobench_llm.space import Configuration

Array = NDArray[np.float64]

PRUNED = 1e6  # the precision of a weight from which on it is taken as 0
NOISE = (1e-2, 1e6)  # bounds of the precision of the noise, of targets of variance 1


@dataclass(frozen=True, slots=True)
class RelevanceRegression:
    """A Bayesian linear regression with a precision for each weight.

    Attributes:
        active: the columns `(k,)` of the basis that are left.
        weights: their mean `(k,)`.
        covariance: of them `(k, k)`.
        noise: the precision of the noise.
        effective: how many weights the data determine, the sum of gamma.
        evidence: the logarithm of the marginal likelihood.
    """

    active: NDArray[np.intp]
    weights: Array
    covariance: NDArray[np.floating]
    noise: float
    effective: float
    evidence: float

    @staticmethod
    def of(basis: Array, targets: Array, precisions: Array, noise: float) -> "RelevanceRegression":
        """Return the regression of targets `(n,)` on `basis (n, D)` for given precisions.

        A weight whose precision is 1e6 or above is left out.
        """
        active = np.flatnonzero(precisions < PRUNED)
        phi, alpha = basis[:, active], precisions[active]
        inverse = np.diag(alpha) + noise * phi.T @ phi
        covariance = np.linalg.inv(inverse)
        weights: Array = noise * covariance @ (phi.T @ targets)
        residual = targets - phi @ weights
        evidence = 0.5 * (
            np.log(alpha).sum()
            - float(np.linalg.slogdet(inverse)[1])
            + len(targets) * (np.log(noise) - np.log(2.0 * np.pi))
            - noise * residual @ residual
            - alpha @ weights**2
        )
        effective = float((1.0 - alpha * np.diag(covariance)).sum())
        return RelevanceRegression(active, weights, covariance, noise, effective, float(evidence))

    @staticmethod
    def fit(basis: Array, targets: Array, iterations: int = 100) -> "RelevanceRegression":
        """Return the regression of the largest evidence that MacKay's updates lead to.

        They are `a_i <- g_i / mu_i^2` and `b <- (n - sum g) / |y - Phi mu|^2`, with `g_i = 1 - a_i
        S_ii`, from precisions of 1 and noise of 10 on. They may overshoot: the best of all is
        returned.
        """
        # Noise of a tenth of the targets' variance, which is 1, is where a fit begins.
        precisions, noise = np.ones(basis.shape[1]), 10.0
        best = regression = RelevanceRegression.of(basis, targets, precisions, noise)
        for _ in range(iterations):
            phi = basis[:, regression.active]
            gamma = 1.0 - precisions[regression.active] * np.diag(regression.covariance)
            residual = targets - phi @ regression.weights
            square = max(float(residual @ residual), 1e-12)
            noise = float(np.clip((len(targets) - gamma.sum()) / square, *NOISE))
            precisions = np.full(basis.shape[1], np.inf)
            precisions[regression.active] = np.maximum(gamma, 1e-12) / np.maximum(
                regression.weights**2, 1e-12
            )
            last = regression
            regression = RelevanceRegression.of(basis, targets, precisions, noise)
            # The updates are a fixed point iteration, in which the evidence may fall.
            if regression.evidence > best.evidence:
                best = regression
            if abs(regression.evidence - last.evidence) < 1e-6:
                break
        return best

    def predict(self, basis: Array) -> tuple[Array, Array]:
        """Return mean and deviation `(m,)` of an observation at `basis (m, D)`."""
        phi = basis[:, self.active]
        variance = np.einsum("mk,kl,ml->m", phi, self.covariance, phi)
        return phi @ self.weights, np.sqrt(variance + 1.0 / self.noise)


class Abrac(ModelBased):
    """Asks for the candidate of the largest expected improvement, by a regression on a basis.

    A network of two hidden layers (32 tanh units each) and 20 basis functions is trained on all
    sources, see `ordered_basis`: by nested dropout (0.1) the first functions are those that most
    tasks need. On the target each weight has a precision of its own, so that functions which the
    evaluations do not support are left out: automatic relevance determination. The improvement is
    that of an observation, noise included, over the lowest loss so far, taken as its logarithm.
    The candidates are those of `Gp`; what was asked for before is not asked for again. The first 5
    trials are uniform draws. Losses of each task are `warped`, a failed one as the worst that did
    not fail. A source with fewer than two sound evaluations is left out; where there is no other,
    the basis is a random one. Running trials are not modelled: no repetition keeps workers apart.

    Deviations: the number and width of layers, the dropout, the 400 steps of Adam (rate 0.01) and
    the first draws are ours, since no code was published; on the sources all weights of a task
    share one precision; the paper scales losses by mean and deviation alone.

    Raises:
        OptimizerError: more than one objective.
    """

    startup_trials = 5
    hidden: ClassVar[tuple[int, ...]] = (32, 32)
    functions: ClassVar[int] = 20
    dropout: ClassVar[float] = 0.1
    steps: ClassVar[int] = 400
    rate: ClassVar[float] = 0.01

    def set_up(self) -> None:
        """Learn the basis on the sources."""
        super().set_up()
        self._search = ImprovementSearch(self.space, self.rng)
        tasks = self._tasks()
        inputs = columns(self.space, encode(self.space, self.space.sample(self.rng))[None])
        widths = [inputs.shape[1], *self.hidden, self.functions]
        self.basis = (
            learned(
                tasks, widths, dropout=self.dropout, steps=self.steps, rate=self.rate, rng=self.rng
            )
            if tasks
            else OrderedBasis.random(widths, self.rng)
        )

    def propose(self) -> Configuration:
        """Return the candidate of the largest improvement, a random one if none is left."""
        history = self.history
        targets = warped(history.losses)
        regression = RelevanceRegression.fit(self._functions(history.points), targets)
        candidates = self._search.candidates(history.points[targets.argmin()])
        mean, deviation = regression.predict(self._functions(candidates))
        scores = log_expected_improvement(float(targets.min()), mean, deviation)
        # Where no function is left all candidates are equal, and any of them will do.
        order = self.rng.permutation(len(candidates))
        return best_unseen(self.space, candidates[order], scores[order], history.seen, self.rng)

    def _functions(self, points: Points) -> Array:
        return self.basis(columns(self.space, points))

    def _tasks(self) -> list[Task]:
        tasks = []
        for source in self.sources:
            source_losses = losses(source, (self.objective,))[:, 0]
            if np.isfinite(source_losses).sum() >= 2:
                points = np.array([encode(self.space, config) for config in source.configs])
                filled = np.where(np.isnan(source_losses), np.nanmax(source_losses), source_losses)
                tasks.append((columns(self.space, points), warped(filled)))
        return tasks
