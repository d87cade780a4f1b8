"""What seeds do: as much as repeated runs say, where they say it, and draws without surprises."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.space import Float, Space
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.surrogates.noise import REACH, SeedNoise, fit_noise
from tests.surrogates.conftest import make_table

PROGRAM = """
import numpy as np
from tests.surrogates.test_noise import made_noise
print(made_noise().normals(np.array([[4.0, 1e-3]]), np.array([[0.2, 0.7]]), 12345).tolist())
"""


def made_noise(configurations=300, seeds=3, common=0.0) -> SeedNoise:
    """Fit seeds of standard deviation 0.01 where 1 is predicted, and tenfold where 2 is.

    `common` is the share of the variance that all configurations of a seed have in common; the
    model errs by 0.5 everywhere, which is none of the seeds' doing.
    """
    rng = np.random.default_rng(1)
    units = np.repeat(rng.random((configurations, 2)), seeds, axis=0)
    who = np.repeat(np.arange(configurations), seeds)
    seed = np.tile(np.arange(seeds), configurations)
    predicted = 1.0 + units[:, :1]
    own = rng.normal(size=(len(who), 1)) * np.sqrt(1 - common)
    shared = rng.normal(size=(seeds, 1))[seed] * np.sqrt(common)
    error = 0.5 * rng.normal(size=(configurations, 1))[who]
    residuals = 0.01 * 10.0 ** units[:, :1] * (own + shared) + error
    return fit_noise(units, residuals, predicted, who, seed, 2)


@pytest.mark.parametrize(("predicted", "deviation"), [(1.1, 0.0126), (1.5, 0.0316), (1.9, 0.0794)])
def test_the_size_is_that_of_the_region_and_knows_no_model_error(predicted, deviation):
    regions = made_noise().regions
    found = regions.deviations(np.array([[predicted]]), np.empty((1, 0)))
    assert found[0, 0] == pytest.approx(deviation, rel=0.25)


def test_fidelities_have_sizes_of_their_own():
    rng = np.random.default_rng(0)
    who, step = np.repeat(np.arange(200), 6), np.tile(np.repeat([0.0, 0.5, 1.0], 2), 200)
    cell, seed = who * 3 + (2 * step).astype(int), np.tile([0, 1], 600)
    features = np.column_stack([rng.random(200)[who], step])
    size = np.select([step == 0.0, step == 0.5], [0.001, 0.1], 0.02)[:, None]
    noise = fit_noise(features, size * rng.normal(size=(1200, 1)), features[:, :1], cell, seed, 1)
    at = np.array([[0.0], [0.5], [0.75], [1.0]])
    found = noise.regions.deviations(np.full((4, 1), 0.5), at)[:, 0]
    between = np.sqrt(0.1 * 0.02)  # linear in the logarithm
    assert found == pytest.approx([0.001, 0.1, between, 0.02], rel=0.3)


def test_where_no_seed_repeats_the_residuals_are_all_that_is_known():
    rng = np.random.default_rng(0)
    units, who = rng.random((400, 2)), np.arange(400)
    residuals = 0.05 * rng.normal(size=(400, 1))
    noise = fit_noise(units, residuals, units[:, :1], who, np.zeros(400, dtype=int), 2)
    found = noise.regions.deviations(np.array([[0.5]]), np.empty((1, 0)))
    assert found[0, 0] == pytest.approx(0.05, rel=0.2)
    assert noise.seed_share.tolist() == [1.0]


def test_what_neighbours_have_in_common_at_a_seed_is_found():
    assert made_noise(400, 10).seed_share == pytest.approx([1.0], abs=0.1)
    assert made_noise(400, 10, common=0.6).seed_share == pytest.approx([0.4], abs=0.2)


def test_over_seeds_a_draw_is_normal_and_over_configurations_as_smooth_as_was_measured():
    noise = made_noise(400, 10, common=0.8)
    one, near = np.array([[0.5, 0.5]]), np.array([[0.52, 0.5]])
    draws = np.array([noise.normals(one, one, seed)[0] for seed in range(3000)])
    beside = np.array([noise.normals(near, near, seed)[0] for seed in range(3000)])
    assert kstest(draws[:, 0], "norm").pvalue > 1e-4
    shared = 1.0 - noise.seed_share[0]
    assert shared > 0.4
    assert np.corrcoef(draws[:, 0], beside[:, 0])[0, 1] == pytest.approx(shared, abs=0.08)


def test_metrics_are_drawn_together_as_their_runs_were():
    rng = np.random.default_rng(3)
    common = rng.normal(size=500)
    residuals = np.column_stack([common, common + 0.1 * rng.normal(size=500), -common])
    units, who = rng.random((500, 2)), np.arange(500)
    noise = fit_noise(units, residuals, np.zeros((500, 3)), who, np.zeros(500, dtype=int), 2)
    at = np.array([[0.3, 0.3]])
    draws = np.array([noise.normals(at, at, seed)[0] for seed in range(1000)])
    found = np.corrcoef(draws.T)
    assert found[0, 1] > 0.95
    assert found[0, 2] < -0.95


@pytest.mark.slow
def test_another_process_draws_the_same():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    mine = made_noise().normals(np.array([[4.0, 1e-3]]), np.array([[0.2, 0.7]]), 12345)
    assert done.stdout.strip() == str(mine.tolist())


def two_regions():
    """Return a table whose good half repeats to 0.01, and whose bad half to 0.3; three seeds."""
    rng = np.random.default_rng(5)
    space = Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))
    rows = []
    for config in space.from_unit(rng.random((120, 2))):
        size = 0.01 if config["x"] < 0.6 else 0.3
        for seed in range(3):
            loss = 2.0 + 2.0 * config["x"] + 0.5 * config["y"] + size * rng.normal()
            rows.append({**config, "seed": seed, "val_loss": loss})
    return make_table(pd.DataFrame(rows), space)


@pytest.mark.slow
def test_a_drawn_table_is_one_that_could_have_been_measured(quick):
    """As noisy as repeated runs where runs are good, and its best value is a possible one."""
    surrogate = fit(two_regions(), extrapolate=False)
    draws = surrogate.quality["draws"]["val_loss"]
    best, *_, worst = draws["regions"]
    assert best["drawn"] == pytest.approx(best["measured"], rel=0.4)
    assert worst["drawn"] == pytest.approx(worst["measured"], rel=0.4)
    low, middle, high = draws["best"]["drawn"]
    assert low - 0.02 <= draws["best"]["measured"] <= high + 0.02
    assert middle == pytest.approx(draws["best"]["measured"], abs=0.04)


@pytest.mark.slow
def test_no_draw_lies_farther_out_than_three_deviations(quick):
    bench = SurrogateBenchmark(fit(two_regions(), extrapolate=False))
    config = {"x": 0.2, "y": 0.5}
    expected = np.log(bench.query(config).metrics["val_loss"])
    drawn = [np.log(bench.query(config, seed=s).metrics["val_loss"]) for s in range(3000)]
    regions = bench.surrogate.noise.regions
    size = regions.deviations(np.array([[expected]]), np.empty((1, 0)))[0, 0]
    assert np.abs(np.array(drawn) - expected).max() == pytest.approx(REACH * size, rel=0.2)
