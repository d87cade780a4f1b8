"""A Gaussian process with a Matérn 5/2 kernel, a length for each column, and noise. Our own code.

Rasmussen and Williams, "Gaussian processes for machine learning", MIT Press, 2006, chapters 2 and
5. scikit-learn's is the same model and takes several times as long to fit; a test compares both.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

LENGTHS = (5e-2, 1e2)  # of the unit cube
SIGNAL = (1e-2, 1e2)  # variances, of targets of variance 1
NOISE = (1e-6, 1.0)
JITTER = 1e-10
ITERATIONS = 50  # of L-BFGS-B; a fit that goes on from the last one takes about ten
_ROOT_5 = math.sqrt(5.0)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The logarithms of lengths `(d,)`, of the variance of the signal and of the noise."""

    logs: Array

    @staticmethod
    def default(columns: int) -> "Hyperparameters":
        """Return where a first fit begins: lengths of 0.5, signal 1, noise 1e-3."""
        return Hyperparameters(np.log([*[0.5] * columns, 1.0, 1e-3]))

    @property
    def lengths(self) -> Array:
        """Lengths `(d,)`."""
        lengths: Array = np.exp(self.logs[:-2])
        return lengths

    @property
    def signal(self) -> float:
        """The variance of the function."""
        return float(np.exp(self.logs[-2]))

    @property
    def noise(self) -> float:
        """The variance of what is added to it."""
        return float(np.exp(self.logs[-1]))


class GaussianProcess:
    """A process of mean 0 that has seen targets `(n,)` at `inputs (n, d)`."""

    def __init__(self, inputs: Array, targets: Array, fitted: Hyperparameters) -> None:
        self.inputs, self.targets, self.fitted = inputs, targets, fitted
        covariance = fitted.signal * _matern(self._squares(inputs))
        covariance[np.diag_indices_from(covariance)] += fitted.noise + JITTER
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), targets, check_finite=False)

    @staticmethod
    def fit(inputs: Array, targets: Array, start: Hyperparameters) -> "GaussianProcess":
        """Return the process of the largest marginal likelihood that is found from `start`."""
        gaps = _squared_gaps(inputs)
        bounds = [LENGTHS] * inputs.shape[1] + [SIGNAL, NOISE]

        def loss(logs: Array) -> tuple[float, Array]:
            return _negative_evidence(gaps, targets, logs)

        found = minimize(
            loss,
            start.logs,
            method="L-BFGS-B",
            jac=True,
            bounds=[(math.log(low), math.log(high)) for low, high in bounds],
            options={"maxiter": ITERATIONS},
        )
        return GaussianProcess(inputs, targets, Hyperparameters(found.x))

    @property
    def evidence(self) -> float:
        """The logarithm of the marginal likelihood."""
        value, _ = _negative_evidence(_squared_gaps(self.inputs), self.targets, self.fitted.logs)
        return -value

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return mean and deviation `(m,)` of the function itself, without noise."""
        cross = self.fitted.signal * _matern(self._squares(inputs))  # (m, n)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = self.fitted.signal - np.einsum("nm,nm->m", half, half)
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, inputs: Array) -> "GaussianProcess":
        """Return the process that has seen its own mean at further `inputs (m, d)`.

        Its mean stays as it is and its deviation falls there: Ginsbourger, Le Riche and Carraro's
        kriging believer, "Kriging is well-suited to parallelize optimization", 2010.
        """
        mean, _ = self.predict(inputs)
        return GaussianProcess(
            np.vstack((self.inputs, inputs)), np.concatenate((self.targets, mean)), self.fitted
        )

    def _squares(self, inputs: Array) -> Array:
        a, b = inputs / self.fitted.lengths, self.inputs / self.fitted.lengths
        squares: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
        return np.maximum(squares, 0.0)


def _matern(squares: Array) -> Array:
    """Return the correlation at squared scaled distances."""
    distance = _ROOT_5 * np.sqrt(squares)
    correlation: Array = (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
    return correlation


def _squared_gaps(inputs: Array) -> Array:
    """Return `(d, n * n)`: the squared difference of every two inputs on each column."""
    gaps: Array = (inputs.T[:, :, None] - inputs.T[:, None, :]) ** 2
    return gaps.reshape(inputs.shape[1], -1)


def _negative_evidence(gaps: Array, targets: Array, logs: Array) -> tuple[float, Array]:
    """Return the negative logarithm of the marginal likelihood, and its gradient by `logs`."""
    count = len(targets)
    inverse_squares = np.exp(-2.0 * logs[:-2])
    signal, noise = np.exp(logs[-2:])
    distance = _ROOT_5 * np.sqrt(inverse_squares @ gaps)
    decay = np.exp(-distance)
    correlation = (1.0 + distance + distance**2 / 3.0) * decay
    covariance = signal * correlation.reshape(count, count)
    covariance[np.diag_indices(count)] += noise + JITTER
    factor = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
    weights = inverse @ targets
    value = 0.5 * (targets @ weights + count * math.log(2.0 * math.pi))
    value += np.log(np.diag(factor)).sum()
    # d value / d theta = 0.5 trace((inverse - weights weights') d covariance / d theta)
    outer = 0.5 * (inverse - np.outer(weights, weights))
    slopes = outer.ravel() * (5.0 / 3.0 * signal) * (1.0 + distance) * decay
    gradient = np.concatenate(
        (
            inverse_squares * (gaps @ slopes),
            [signal * (outer.ravel() @ correlation), noise * np.trace(outer)],
        )
    )
    return float(value), gradient
