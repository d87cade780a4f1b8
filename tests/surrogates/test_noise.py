"""Predictive distributions: coverage on data whose noise is known, and draws without surprises."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom, kstest

from hpobench_llm.surrogates.noise import REACH, Noise, fit_noise

PROGRAM = """
import numpy as np
from tests.surrogates.test_noise import made_noise
print(made_noise().normals(np.array([[4.0, 1e-3]]), np.array([[0.2, 0.7]]), 12345).tolist())
"""


def residuals_of(rng, configurations, seeds, model_error=0.0):
    """Noise that grows tenfold along the first feature, the same for both targets."""
    features = np.repeat(rng.random((configurations, 2)), seeds, axis=0)
    size = 10.0 ** features[:, :1]
    own = rng.normal(size=(len(features), 2))
    shared = np.repeat(rng.normal(size=(configurations, 2)), seeds, axis=0) * model_error
    who = np.repeat(np.arange(configurations), seeds)
    return features, size * (own + shared), who


def made_noise(configurations=400, seeds=1, model_error=0.0) -> Noise:
    features, residuals, who = residuals_of(
        np.random.default_rng(1), configurations, seeds, model_error
    )
    return fit_noise(features, residuals, who, who, 2)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_intervals_hold_their_share_where_noise_is_small_and_where_it_is_large(coverage):
    noise = made_noise()
    features, residuals, _ = residuals_of(np.random.default_rng(2), 2000, 1)
    low, high = noise.interval(features, coverage)
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
        noise = fit_noise(features, residuals, who, who, 2)
        low, high = noise.interval(np.full((50, 2), 0.5), 0.8)
        new = rng.normal(size=(50, 1))
        held.append(((new >= low) & (new <= high)).mean())
    assert np.mean(held) > 0.78


def test_the_share_that_seeds_cause_is_found():
    assert made_noise(300, 3, model_error=0.0).seed_share == pytest.approx([1.0, 1.0], abs=0.12)
    # error of variance 4 beside seeds of variance 1
    assert made_noise(300, 3, model_error=2.0).seed_share == pytest.approx([0.2, 0.2], abs=0.06)
    assert made_noise(300, 1, model_error=2.0).seed_share.tolist() == [1.0, 1.0]


def test_over_seeds_a_draw_is_normal_and_over_configurations_it_is_as_smooth_as_the_error():
    noise = made_noise(300, 3, model_error=2.0)
    one, near = np.array([[0.5, 0.5]]), np.array([[0.52, 0.5]])
    draws = np.array([noise.normals(one, one, seed)[0] for seed in range(3000)])
    beside = np.array([noise.normals(near, near, seed)[0] for seed in range(3000)])
    for column in range(2):
        assert kstest(draws[:, column], "norm").pvalue > 1e-4
        # four fifths of the variance are the error, which neighbours share
        assert np.corrcoef(draws[:, column], beside[:, column])[0, 1] == pytest.approx(
            0.8, abs=0.08
        )


def test_metrics_are_drawn_together_as_their_residuals_were():
    rng = np.random.default_rng(3)
    common = rng.normal(size=500)
    residuals = np.column_stack([common, common + 0.1 * rng.normal(size=500), -common])
    who = np.arange(500)
    noise = fit_noise(rng.random((500, 2)), residuals, who, who, 2)
    at = np.array([[0.3, 0.3]])
    draws = np.array([noise.normals(at, at, seed)[0] for seed in range(1000)])
    found = np.corrcoef(draws.T)
    assert found[0, 1] > 0.95
    assert found[0, 2] < -0.95


def test_another_process_draws_the_same():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    mine = made_noise().normals(np.array([[4.0, 1e-3]]), np.array([[0.2, 0.7]]), 12345)
    assert done.stdout.strip() == str(mine.tolist())


def test_draws_do_not_leave_what_calibration_saw():
    noise = made_noise()
    features = np.array([[0.5, 0.5]])
    far = noise.residuals(features, np.full((1, 2), 9.0))
    assert np.array_equal(far, noise.residuals(features, np.full((1, 2), REACH)))


def test_what_never_differs_is_not_uncertain():
    residuals = np.column_stack([np.full(30, np.nan), np.random.default_rng(0).normal(size=30)])
    who = np.arange(30)
    noise = fit_noise(np.random.default_rng(1).random((30, 2)), residuals, who, who, 2)
    low, high = noise.interval(np.array([[0.5, 0.5]]), 0.9)
    assert (low[0, 0], high[0, 0]) == (0.0, 0.0)
    assert low[0, 1] < 0.0 < high[0, 1]


def test_binomial_bounds_are_what_the_tests_assume():
    """A perfect 90 % interval fails the coverage test above less than once in a thousand."""
    slack = 4 * np.sqrt(0.09 * (1 / 600 + 1 / 400)) + 0.03
    assert binom.cdf(600 * (0.9 - slack), 600, 0.9) < 1e-3
