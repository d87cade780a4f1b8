"""How far runs lie from predictions: a width for each place, and one shape for all.

Width: a polynomial of the features for the logarithm of the held-out residuals' size, so that it
differs from place to place. Shape: the quantiles of the residuals in units of that width (fitted
to other configurations, as it is for a new one), widened for the finite number of configurations
(split conformal prediction; Papadopoulos et al., 2002; Lei et al., 2018). Residuals come from
cross-validation, so they hold the model's error and the seeds' noise together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models.ridge import (
    Polynomial,
    affordable,
    count_of_monomials,
    fit_polynomial,
)

STEP, REACH = 0.2, 2.6  # of the quantiles' grid, in standard deviations of a normal number
GRID = np.round(np.arange(-REACH, REACH + STEP / 2, STEP), 10)

_DEGREE = 2
_FOLDS = 10  # of the configurations, to scale residuals by widths that did not see them
_SMALLEST = 1e-3  # a residual counts as at least this share of the median one


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Predictive distributions of several targets around their predictions, on the fitted scale.

    Shapes: `quantiles (targets, grid)` at the normal numbers of `GRID`, in units of the width;
    `log_range (2, targets)` bounds the logarithm of the width to what was seen.
    """

    width: Polynomial
    log_range: FloatArray
    quantiles: FloatArray

    def widths(self, features: FloatArray) -> FloatArray:
        """Return `(n, targets)`."""
        low, high = self.log_range
        logs = np.minimum(np.maximum(self.width.predict(features), low), high)
        widths: FloatArray = np.exp(logs)
        return widths

    def residuals(self, features: FloatArray, normal: FloatArray) -> FloatArray:
        """Return `(n, targets)` residuals at normal numbers of that shape."""
        return at_normal(self.quantiles, normal) * self.widths(features)

    def interval(self, features: FloatArray, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Return the residuals `(n, targets)` between which a run lies with that probability."""
        reach = float(ndtri(0.5 + coverage / 2))
        shape = (len(features), len(self.quantiles))
        low = self.residuals(features, np.full(shape, -reach))
        return low, self.residuals(features, np.full(shape, reach))


def at_normal(quantiles: FloatArray, normal: FloatArray) -> FloatArray:
    """Return the quantiles `(targets, grid)` at normal numbers `(n, targets)`."""
    position = (np.minimum(np.maximum(normal, -REACH), REACH) + REACH) / STEP
    below = np.minimum(position.astype(np.intp), len(GRID) - 2)
    column = np.arange(len(quantiles))
    low, high = quantiles[column, below], quantiles[column, below + 1]
    shape: FloatArray = low + (high - low) * (position - below)
    return shape


def fit_spread(
    features: FloatArray, residuals: FloatArray, configuration: NDArray[np.intp]
) -> Spread:
    """Fit the predictive distributions to held-out residuals.

    Args:
        features: `(n, d)`.
        residuals: `(n, targets)`, held-out value minus prediction; NaN where there is none.
        configuration: `(n,)` number of the row's configuration.
    """
    degree = affordable(features.shape[1], _DEGREE)
    monomials = count_of_monomials(features.shape[1], degree)
    weights = np.zeros((monomials, residuals.shape[1]))
    ranges = np.zeros((2, residuals.shape[1]))
    scaled = np.full(residuals.shape, np.nan)
    for column, residual in enumerate(residuals.T):
        measured = np.flatnonzero(np.isfinite(residual))
        if not len(measured):  # every run has the same value: nothing is uncertain
            continue
        polynomial, *ranges[:, column] = _fit_width(features[measured], residual[measured], degree)
        # The monomials of a lower degree come first: those with the constant as a factor.
        weights[: len(polynomial.weights), column] = polynomial.weights[:, 0]
        scaled[measured, column] = _scaled(
            features[measured], residual[measured], configuration[measured], degree
        )
    shapes = [_conformal_quantiles(column, configuration) for column in scaled.T]
    return Spread(Polynomial(weights, degree), ranges, np.array(shapes))


def log_sizes(residuals: FloatArray) -> FloatArray:
    """Return the logarithms of the residuals' sizes, none of them minus infinity."""
    size = np.abs(residuals)
    floor = max(float(np.median(size)) * _SMALLEST, 1e-12)
    logs: FloatArray = np.log(np.maximum(size, floor))
    return logs


def folds_for_scale(configuration: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return `(n,)` the fold of each row; all rows of a configuration share one."""
    number = np.unique(configuration, return_inverse=True)[1]
    folds: NDArray[np.intp] = (
        np.random.default_rng(0).permutation(number.max() + 1)[number] % _FOLDS
    )
    return folds


def _fit_width(
    features: FloatArray, residuals: FloatArray, degree: int
) -> tuple[Polynomial, float, float]:
    """Return a polynomial for the logarithm of the residuals' size, and its usual range."""
    # Few residuals give one width for all rows.
    enough = len(residuals) >= 10 * (1 + features.shape[1])
    target = log_sizes(residuals)[:, None]
    polynomial = fit_polynomial(features, target, degree if enough else 0, penalty=1.0)
    # A polynomial runs off away from its points, so its answers are bounded to the middle 98 %.
    low, high = np.quantile(polynomial.predict(features)[:, 0], [0.01, 0.99])
    return polynomial, float(low), float(high)


def _scaled(
    features: FloatArray, residuals: FloatArray, configuration: NDArray[np.intp], degree: int
) -> FloatArray:
    """Return the residuals in units of widths that were fitted to other configurations.

    In units of their own fit they would come out too small, and so the intervals.
    """
    fold = folds_for_scale(configuration)
    scaled = np.empty(len(residuals))
    for number in np.unique(fold):
        held_out = fold == number
        # With one fold alone there are no others: their own width then has to do.
        others = np.full(len(held_out), True) if held_out.all() else ~held_out
        polynomial, low, high = _fit_width(features[others], residuals[others], degree)
        logs = np.clip(polynomial.predict(features[held_out])[:, 0], low, high)
        scaled[held_out] = residuals[held_out] / np.exp(logs)
    return scaled


def _conformal_quantiles(scaled: FloatArray, configuration: NDArray[np.intp]) -> FloatArray:
    """Return the conformal quantiles at `GRID`.

    With `n` configurations, the quantile of a level p above one half is the residuals' quantile of
    level p (1 + 1/n), and one below is its mirror image: a new configuration's residual lies
    beyond it with at most the nominal probability.
    """
    measured = np.isfinite(scaled)
    if not measured.any():
        return np.zeros(len(GRID))
    count = len(np.unique(configuration[measured]))
    level = ndtr(np.abs(GRID))
    upper = np.minimum(level * (1.0 + 1.0 / count), 1.0)
    levels = np.where(GRID < 0, 1.0 - upper, upper)
    levels[len(GRID) // 2] = 0.5  # the median is no end, and is not moved
    # Interpolated quantiles may fall by a rounding error, and would cross.
    quantiles: FloatArray = np.maximum.accumulate(np.quantile(scaled[measured], levels))
    return quantiles
