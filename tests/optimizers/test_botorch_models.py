"""What `ehvi` and `mf-kg` compute, where it is known in closed form."""

import math

import numpy as np
import pytest

pytest.importorskip("botorch")

import torch

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.optimizers.botorch_models import (
    Regression,
    alone,
    improvement,
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
        model = Regression().given(X, y)
        values = improvement(
            model, X, np.vstack([between, corner, X[:1]]), NONE, objectives=2, samples=64
        )
        after = improvement(model, X, between, between + 1e-3, objectives=2, samples=64)
    assert values[0] > values[1] + 1
    assert after[0] < values[0]  # a running trial has taken it


def test_the_improvement_counts_where_the_constraint_is_kept():
    y = np.column_stack([X[:, 0], X[:, 0] - 0.5])  # the more the better, to 0.5
    with alone(0):
        model = Regression().given(X, y)
        grid = np.column_stack([np.linspace(0, 1, 41), np.full(41, 0.5)])
        values = improvement(model, X, grid, NONE, objectives=1, samples=64)
    assert grid[int(np.argmax(values)), 0] == pytest.approx(0.5, abs=0.05)


def test_the_posterior_is_the_function():
    y = np.sin(3 * X.sum(axis=1))[:, None] * 5 + 2
    with alone(0):
        model = Regression().given(X, y)
        mean, covariance = posterior(model, X)
        assert noise(model) < 0.1
    assert mean == pytest.approx(y[:, 0], abs=0.3)
    assert covariance.shape == (25, 25)


def test_the_knowledge_gradient_of_two_is_known():
    # E max(0, s Z) = s / sqrt(2 pi); what moves all alike, or nothing, is worth nothing.
    slopes = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    gains = knowledge_gradient(np.zeros(2), slopes)
    known = np.array([1.0, 2.0, 0.0, 0.0]) / math.sqrt(2 * math.pi)
    assert gains == pytest.approx(known, abs=0.05)
    far = knowledge_gradient(np.array([0.0, -9.0]), np.array([[0.0, 1.0]]))
    assert far == pytest.approx(0.0, abs=1e-6)


def test_a_running_trial_is_known_as_far_as_its_noise_allows():
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    assert _conditioned(covariance, 1, 0.0) == pytest.approx(np.array([[0.36]]), abs=1e-6)
    assert _conditioned(covariance, 1, 1e9) == pytest.approx(np.array([[1.0]]), abs=1e-6)


def test_every_fifth_trial_is_in_full_and_the_others_mostly_not():
    problem = toy_sphere()
    optimizer = MfKg(problem.space, [problem.metrics["val_loss"]], problem.fidelities, 31, seed=0)
    trials = []
    while (trial := optimizer.ask()) is not None:
        trials.append(trial)
        optimizer.tell(trial, problem.query(trial.config, fidelity=trial.fidelity))
    late = trials[8:]  # 2 * (3 + 1) first
    assert all(t.fidelity == {"step": 8} for t in late if t.number % 5 == 0)
    assert sum(t.fidelity == {"step": 1} for t in late) > len(late) / 3
    assert any(t.resumes is not None for t in late)
    full = [problem.query(t.config).metrics["val_loss"] for t in late if t.fidelity["step"] == 8]
    assert min(full) < 1 / 8 + 0.02
