"""A Gaussian process with a length for each column, and noise, under priors. Our own code.

Rasmussen and Williams, "Gaussian processes for machine learning", MIT Press, 2006, chapters 2 and
5. The priors are those of Hvarfner, Hellsten and Nardi, "Vanilla Bayesian optimization performs
great in high dimensions", ICML 2024, as BoTorch 0.18 has them; a test compares both. Without them
the likelihood of few trials often says that there is no noise, and a search stays where it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]
Kernel = Callable[[Array], tuple[Array, Array]]
"""The correlation at squared scaled distances, and its slope by them."""

LENGTHS = (2.5e-2, 1e3)  # of the unit cube
NOISE = (1e-4, 1.0)  # variances, of targets of variance 1
# Mean and deviation of the logarithms; half the logarithm of the columns' number is added to the
# lengths' mean.
LENGTHS_PRIOR = (math.sqrt(2.0), math.sqrt(3.0))
NOISE_PRIOR = (-4.0, 1.0)
SURE = 1e-6  # in place of the noise where there is none: the same input may come twice
JITTER = 1e-10
ITERATIONS = 50  # of L-BFGS-B
# Of L-BFGS-B, by value and by slope: finer ones cost a quarter more and find no better trials.
TOLERANCES = (1e-6, 1e-3)
_ROOT_5 = math.sqrt(5.0)


def gaussian(squares: Array) -> tuple[Array, Array]:
    """The Gaussian kernel, of functions that are smooth everywhere."""
    correlation = np.exp(-0.5 * squares)
    return correlation, -0.5 * correlation


def matern(squares: Array) -> tuple[Array, Array]:
    """The Matérn 5/2 kernel, of functions with two derivatives."""
    distance = _ROOT_5 * np.sqrt(squares)
    decay = np.exp(-distance)
    correlation = (1.0 + distance + distance**2 / 3.0) * decay
    return correlation, -5.0 / 6.0 * (1.0 + distance) * decay


@dataclass(frozen=True, slots=True)
class GpHyperparameters:
    """The logarithms of lengths `(d,)` and of the variance of the noise."""

    logs: Array

    @staticmethod
    def default(columns: int) -> "GpHyperparameters":
        """Return where a fit begins: where the densities of the priors are highest."""
        mean, deviation = _prior(columns)
        return GpHyperparameters(mean - deviation**2)

    @property
    def lengths(self) -> Array:
        """Lengths `(d,)`."""
        lengths: Array = np.exp(self.logs[:-1])
        return lengths

    @property
    def noise(self) -> float:
        """The variance of the noise; the function's own is 1."""
        return float(np.exp(self.logs[-1]))


class GaussianProcess:
    """A process of mean 0 and variance 1 that has seen targets `(n,)` at `inputs (n, d)`.

    The last `believed` of them are values of the function itself, seen without noise.
    """

    def __init__(
        self,
        inputs: Array,
        targets: Array,
        fitted: GpHyperparameters,
        kernel: Kernel,
        believed: int = 0,
    ) -> None:
        self.inputs, self.targets, self.fitted, self.kernel = inputs, targets, fitted, kernel
        covariance, _ = kernel(self._squares(inputs))
        noise = np.full(len(inputs), fitted.noise)
        noise[len(inputs) - believed :] = SURE  # believed values are the function's own
        covariance[np.diag_indices_from(covariance)] += noise + JITTER
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), targets, check_finite=False)

    @staticmethod
    def fit(inputs: Array, targets: Array, kernel: Kernel) -> "GaussianProcess":
        """Return the most plausible process that a search from the default reaches."""
        gaps = _squared_gaps(inputs)
        bounds = [LENGTHS] * inputs.shape[1] + [NOISE]

        def loss(logs: Array) -> tuple[float, Array]:
            return _implausibility(kernel, gaps, targets, logs)

        solution = minimize(
            loss,
            GpHyperparameters.default(inputs.shape[1]).logs,
            method="L-BFGS-B",
            jac=True,
            bounds=[(math.log(low), math.log(high)) for low, high in bounds],
            options={"maxiter": ITERATIONS, "ftol": TOLERANCES[0], "gtol": TOLERANCES[1]},
        )
        return GaussianProcess(inputs, targets, GpHyperparameters(solution.x), kernel)

    @property
    def plausibility(self) -> float:
        """The logarithm of the marginal likelihood times the density of the hyperparameters.

        The density is that of lengths and noise themselves, not of their logarithms, and without
        the constants that all processes on as many columns share.
        """
        gaps = _squared_gaps(self.inputs)
        value, _ = _implausibility(self.kernel, gaps, self.targets, self.fitted.logs)
        return -value

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return mean and deviation `(m,)` of the function itself, without noise."""
        cross, _ = self.kernel(self._squares(inputs))  # (m, n)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        # Of the posterior's covariance the diagonal alone.
        variance = 1.0 - np.einsum("nm,nm->m", half, half)
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, inputs: Array) -> "GaussianProcess":
        """Return the process that takes its own mean for the function at further `inputs (m, d)`.

        Its mean stays as it is and its deviation vanishes there: Ginsbourger, Le Riche and
        Carraro's kriging believer, "Kriging is well-suited to parallelize optimization", 2010. An
        outcome with noise would leave so much in doubt that the next worker is sent there too.
        """
        mean, _ = self.predict(inputs)
        return GaussianProcess(
            np.vstack((self.inputs, inputs)),
            np.concatenate((self.targets, mean)),
            self.fitted,
            self.kernel,
            believed=len(inputs),
        )

    def _squares(self, inputs: Array) -> Array:
        a, b = inputs / self.fitted.lengths, self.inputs / self.fitted.lengths
        # |a - b|^2 multiplied out: one matrix product, which may fall below 0 by rounding.
        squares: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
        return np.maximum(squares, 0.0)


@cache
def _prior(columns: int) -> Array:
    """Return means and deviations `(2, columns + 1)` of the logarithms under the priors."""
    mean, deviation = LENGTHS_PRIOR
    lengths = np.tile([[mean + 0.5 * math.log(columns)], [deviation]], columns)
    return np.column_stack((lengths, NOISE_PRIOR))


def _squared_gaps(inputs: Array) -> Array:
    """Return `(d, n * n)`: the squared difference of every two inputs on each column."""
    gaps: Array = (inputs.T[:, :, None] - inputs.T[:, None, :]) ** 2
    return gaps.reshape(inputs.shape[1], -1)


def _implausibility(
    kernel: Kernel, gaps: Array, targets: Array, logs: Array
) -> tuple[float, Array]:
    """Return the negative of `GaussianProcess.plausibility`, and its gradient by `logs`."""
    count = len(targets)
    inverse_squares = np.exp(-2.0 * logs[:-1])
    noise = math.exp(logs[-1])
    correlation, slope = kernel(inverse_squares @ gaps)
    covariance = correlation.reshape(count, count)
    covariance[np.diag_indices(count)] += noise + JITTER
    factor = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
    weights = inverse @ targets
    value = 0.5 * (targets @ weights + count * math.log(2.0 * math.pi))
    value += np.log(np.diag(factor)).sum()
    # d value / d theta = 0.5 trace((inverse - weights weights') d covariance / d theta)
    outer = 0.5 * (inverse - np.outer(weights, weights))
    gradient = np.append(
        -2.0 * inverse_squares * (gaps @ (outer.ravel() * slope)), noise * np.trace(outer)
    )
    mean, deviation = _prior(len(logs) - 1)
    score = (logs - mean) / deviation
    return float(value + 0.5 * score @ score + logs.sum()), gradient + score / deviation + 1.0
