"""What `ehvi` and `mf-kg` compute, where it is known in closed form."""

import numpy as np
import pytest
from scipy.stats import norm

pytest.importorskip("botorch")

import torch

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.optimizers.botorch_models import (
    Improvement,
    Regression,
    alone,
    noise,
    posterior,
)
from hpobench_llm.optimizers.multi_fidelity.knowledge_gradient import (
    MfKg,
    _conditioned,
    knowledge_gradient,
)

RNG = np.random.default_rng(0)
X = RNG.random((25, 2))
NONE = X[:0]


def test_torch_is_left_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = torch.get_rng_state().tolist()
    with alone(3):
        assert torch.get_num_threads() == 1
        one = torch.rand(3).tolist()
    assert torch.get_num_threads() == 2
    assert torch.get_rng_state().tolist() == before
    torch.set_num_threads(threads)
    with alone(3):
        assert torch.rand(3).tolist() == one


def test_the_improvement_is_where_the_front_grows():
    y = -np.column_stack([((X - c) ** 2).sum(axis=1) for c in (0.2, 0.8)])
    between, corner = np.array([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    with alone(0):
        model = Regression().fitted_to(X, y)
        improvement = Improvement(model, X, NONE, objectives=2, samples=64)
        values = improvement.of(np.vstack([between, corner, X[:1]]))
        after = Improvement(model, X, between + 1e-3, objectives=2, samples=64).of(between)
    assert values[0] > values[1] + 1
    assert after[0] < values[0]  # a running trial has taken it


def test_a_climb_moves_what_is_free_and_ends_higher():
    y = -np.column_stack([((X - c) ** 2).sum(axis=1) for c in (0.2, 0.8)])
    starts = np.array([[0.2, 0.9], [0.6, 0.1], [0.0, 0.5]])
    with alone(0):
        model = Regression().fitted_to(X, y)
        improvement = Improvement(model, X, NONE, objectives=2, samples=64)
        before = improvement.of(starts)
        for free in ([True, True], [False, True]):
            ends = improvement.climb(starts, np.array(free), 30)
            assert (improvement.of(ends) >= before).all()
            assert ((ends >= 0.0) & (ends <= 1.0)).all()
            assert (ends[:, ~np.array(free)] == starts[:, ~np.array(free)]).all()
        assert (ends[:, 1] != starts[:, 1]).all()


def test_the_improvement_counts_where_the_constraint_is_kept():
    y = np.column_stack([X[:, 0], X[:, 0] - 0.5])  # the more the better, to 0.5
    with alone(0):
        model = Regression().fitted_to(X, y)
        grid = np.column_stack([np.linspace(0, 1, 41), np.full(41, 0.5)])
        values = Improvement(model, X, NONE, objectives=1, samples=64).of(grid)
    assert grid[int(np.argmax(values)), 0] == pytest.approx(0.5, abs=0.05)


def test_the_posterior_is_the_function():
    y = np.sin(3 * X.sum(axis=1))[:, None] * 5 + 2
    with alone(0):
        model = Regression().fitted_to(X, y)
        mean, covariance = posterior(model, X)
        assert noise(model) < 0.1
    assert mean == pytest.approx(y[:, 0], abs=0.3)
    assert covariance.shape == (25, 25)


def test_the_knowledge_gradient_of_two_is_known():
    # E max(0, s Z - g) - max(0, -g) = s (phi(z) + z Phi(z)), z = -|g| / s; what moves all alike,
    # or nothing, is worth nothing.
    slopes = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-2.0, 1.0]])
    for gap in (0.0, 0.3, -0.3, -4.0):
        spread = np.abs(slopes[:, 0] - slopes[:, 1])
        z = -abs(gap) / np.where(spread > 0, spread, np.inf)
        wanted = spread * (norm.pdf(z) + z * norm.cdf(z))
        gains = knowledge_gradient(np.array([gap, 0.0]), slopes)
        assert gains == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_knowledge_gradient_of_many_is_the_integral(seed):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=30)
    slopes = rng.normal(size=(4, 30)) * np.array([1e-2, 0.1, 1.0, 5.0])[:, None]
    slopes[0, :10] = 0.3  # lines of one slope, of which the highest alone counts
    gains = knowledge_gradient(mean, slopes)
    z = np.linspace(-9.0, 9.0, 200_001)
    for gain, row in zip(gains, slopes, strict=True):
        best = np.max(mean[:, None] + row[:, None] * z, axis=0)
        wanted = np.trapezoid(best * norm.pdf(z), z) - mean.max()
        assert gain == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_a_running_trial_is_known_as_far_as_its_noise_allows():
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    assert _conditioned(covariance, 1, 0.0) == pytest.approx(np.array([[0.36]]), abs=1e-6)
    assert _conditioned(covariance, 1, 1e9) == pytest.approx(np.array([[1.0]]), abs=1e-6)


@pytest.mark.slow
def test_every_fifth_trial_is_in_full_and_the_others_mostly_not():
    problem = toy_sphere()
    best = []
    for seed in range(3):
        objectives = [problem.metrics["val_loss"]]
        optimizer = MfKg(problem.space, objectives, problem.fidelities, 31, seed=seed)
        trials = []
        while (trial := optimizer.ask()) is not None:
            trials.append(trial)
            optimizer.tell(trial, problem.query(trial.config, fidelity=trial.fidelity))
        late = trials[8:]  # 2 * (3 + 1) first
        assert all(t.fidelity == {"step": 8} for t in late if t.number % 5 == 0)
        assert sum(t.fidelity == {"step": 1} for t in late) > len(late) / 3
        assert any(t.resumes is not None for t in late)
        full = [t for t in late if t.fidelity["step"] == 8]
        best.append(min(problem.query(t.config).metrics["val_loss"] for t in full))
    assert np.median(best) < 1 / 8 + 0.02
