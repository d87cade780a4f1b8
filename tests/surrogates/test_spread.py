"""Predictive distributions: coverage on data whose noise is known."""

import numpy as np
import pytest
from scipy.stats import binom

from hpobench_llm.surrogates.spread import REACH, fit_spread


def residuals_of(rng, configurations):
    """Noise that grows tenfold along the first feature, the same for both targets."""
    features = rng.random((configurations, 2))
    size = 10.0 ** features[:, :1]
    return features, size * rng.normal(size=(configurations, 2))


def made_spread():
    features, residuals = residuals_of(np.random.default_rng(1), 400)
    return fit_spread(features, residuals, np.arange(400))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_intervals_hold_their_share_where_noise_is_small_and_where_it_is_large(coverage):
    features, residuals = residuals_of(np.random.default_rng(2), 2000)
    low, high = made_spread().interval(features, coverage)
    inside = (residuals >= low) & (residuals <= high)
    for region in (features[:, 0] < 0.33, features[:, 0] > 0.67, np.full(2000, True)):
        count = int(region.sum())
        # The intervals were set by 400 runs, so they may miss by their own sampling error too.
        slack = 4 * np.sqrt(coverage * (1 - coverage) * (1 / count + 1 / 400)) + 0.03
        held = inside[region].mean(axis=0)
        assert np.abs(held - coverage).max() < slack, (coverage, held)


def test_few_configurations_give_wider_intervals_not_narrower():
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        features, residuals, who = rng.random((20, 2)), rng.normal(size=(20, 1)), np.arange(20)
        low, high = fit_spread(features, residuals, who).interval(np.full((50, 2), 0.5), 0.8)
        new = rng.normal(size=(50, 1))
        held.append(((new >= low) & (new <= high)).mean())
    assert np.mean(held) > 0.78


def test_quantiles_do_not_leave_what_calibration_saw():
    spread, features = made_spread(), np.array([[0.5, 0.5]])
    far = spread.residuals(features, np.full((1, 2), 9.0))
    assert np.array_equal(far, spread.residuals(features, np.full((1, 2), REACH)))


def test_what_never_differs_is_not_uncertain():
    residuals = np.column_stack([np.full(30, np.nan), np.random.default_rng(0).normal(size=30)])
    spread = fit_spread(np.random.default_rng(1).random((30, 2)), residuals, np.arange(30))
    low, high = spread.interval(np.array([[0.5, 0.5]]), 0.9)
    assert (low[0, 0], high[0, 0]) == (0.0, 0.0)
    assert low[0, 1] < 0.0 < high[0, 1]


def test_many_features_do_not_take_their_square_in_weights():
    rng = np.random.default_rng(0)
    spread = fit_spread(rng.random((2000, 150)), rng.normal(size=(2000, 1)), np.arange(2000))
    assert spread.width.weights.shape == (151, 1)


def test_binomial_bounds_are_what_the_tests_assume():
    """A perfect 90 % interval fails the coverage test above less than once in a thousand."""
    slack = 4 * np.sqrt(0.09 * (1 / 600 + 1 / 400)) + 0.03
    assert binom.cdf(600 * (0.9 - slack), 600, 0.9) < 1e-3
