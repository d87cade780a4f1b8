"""Model-based methods of one objective: closed forms, invariances, and what each adds."""

import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import norm

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.encoding import columns, decode, encode, snap
from hpobench_llm.optimizers.model_based import gaussian_process
from hpobench_llm.optimizers.model_based.candidates import around, best_unseen, uniform
from hpobench_llm.optimizers.model_based.expected_improvement import (
    log_expected_improvement,
    log_unit_improvement,
)
from hpobench_llm.optimizers.model_based.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
)
from hpobench_llm.optimizers.model_based.history import History, warped
from hpobench_llm.optimizers.model_based.improvement_search import MODELLED, thinned
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space, config_id

LOSS = toy_sphere().metrics["val_loss"]
PLANE = Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))
MIXED = Space(
    (
        Ordinal("rank", (1, 2, 4, 8), log=True),
        Categorical("modules", ("q", "v", "qv")),
        Integer("warmup", 0, 4),
        Integer("batch", 1, 64, log=True),
        Float("lr", 1e-5, 1e-2, log=True),
    )
)


def told(loss, status="ok", **constraints):
    metrics = {"val_loss": loss} if status == "ok" else {}
    return Evaluation(metrics=metrics, cost_seconds=1.0, status=status, constraints=constraints)


def run(optimizer, answer):
    trials = []
    while (trial := optimizer.ask()) is not None:
        trials.append(trial)
        optimizer.tell(trial, answer(trial.config))
    return trials


def smooth(count, columns=4, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    inputs = rng.random((count, columns))
    targets = np.sin(5 * inputs[:, 0]) + inputs[:, 1] ** 2 + noise * rng.normal(size=count)
    return inputs, (targets - targets.mean()) / targets.std()


# encoding, candidates


@given(st.integers(0, 2**32))
def test_snapped_points_are_the_points_of_their_configurations(seed):
    points = np.random.default_rng(seed).uniform(-0.1, 1.1, (5, len(MIXED)))
    wanted = [encode(MIXED, decode(MIXED, point)) for point in points]
    assert np.allclose(snap(MIXED, points), wanted, rtol=0, atol=1e-12)


def test_a_name_is_a_column_of_its_own():
    configs = [MIXED.sample(np.random.default_rng(i)) for i in range(50)]
    rows = columns(MIXED, np.array([encode(MIXED, config) for config in configs]))
    assert rows.shape == (50, 1 + 3 + 3)
    for config, row in zip(configs, rows, strict=True):
        assert row[1:4].tolist() == [float(config["modules"] == name) for name in ["q", "v", "qv"]]


def test_a_small_space_is_looked_at_whole():
    space = Space((Ordinal("rank", (1, 2, 4)), Integer("epochs", 1, 4), Categorical("m", ("a",))))
    points = uniform(space, 12, np.random.default_rng(0))
    assert len({config_id(decode(space, point)) for point in points}) == len(points) == 12
    drawn = uniform(space, 11, np.random.default_rng(0))
    assert len(drawn) < 11  # of 12 with repetition
    assert len(uniform(PLANE, 500, np.random.default_rng(0))) == 500


def test_candidates_around_a_point_are_near_on_one_axis_or_on_all():
    best = np.array([0.3, 0.6])
    near = around(PLANE, best, 200, 0, np.random.default_rng(0))
    assert ((near != best).sum(axis=1) == 1).all()
    steps = np.abs(around(PLANE, best, 0, 2000, np.random.default_rng(0)) - best)
    assert 0.005 < np.median(steps) < 0.015
    assert steps.max() < 0.5


def test_the_best_that_was_not_seen_is_chosen():
    points = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    first, second = decode(PLANE, points[2]), decode(PLANE, points[0])
    scores = np.array([2.0, 1.0, 3.0])
    assert best_unseen(PLANE, points, scores, set()) == first
    assert best_unseen(PLANE, points, scores, {config_id(first)}) == second
    everything = {config_id(decode(PLANE, point)) for point in points}
    assert best_unseen(PLANE, points, scores, everything) is None


# what a model learns from


def test_a_failure_counts_as_the_worst_that_did_not():
    history = History(PLANE)
    for number, (loss, ok) in enumerate([(0.5, True), (9e9, False), (0.7, True), (0.1, True)]):
        history.begin(number, {"x": 0.1 * number, "y": 0.5})
        history.end(number, {"x": 0.1 * number, "y": 0.5}, loss, ok=ok)
    history.begin(9, {"x": 0.9, "y": 0.9})
    assert history.losses.tolist() == [0.5, 0.7, 0.7, 0.1]
    assert history.running.tolist() == [[0.9, 0.9]]
    assert len(history) == 4
    assert len(history.seen) == 5


def test_all_failed_is_all_equal():
    history = History(PLANE)
    for number in range(3):
        history.end(number, {"x": 0.1, "y": 0.1 * number}, 5.0, ok=False)
    assert warped(history.losses).tolist() == [0.0, 0.0, 0.0]


@given(
    st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=2, max_size=40),
    st.floats(0.1, 10.0),
    st.floats(-100.0, 100.0),
)
def test_warping_keeps_the_order_and_forgets_units(losses, scale, shift):
    losses = np.array(losses)
    values = warped(losses)
    assert np.isfinite(values).all()
    order = np.argsort(losses, kind="stable")
    assert (np.diff(values[order]) >= -1e-9).all()
    assert np.allclose(warped(losses * scale + shift), values, atol=1e-6)


def test_warping_forgets_how_bad_the_bad_are():
    losses = np.array([1.0, 1.1, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8])
    worse = np.where(losses > 1.65, 1e3 * losses, losses)
    assert np.allclose(warped(losses), warped(worse))
    # The good half keeps its proportions.
    values = warped(worse)
    assert (values[2] - values[0]) / (values[1] - values[0]) == pytest.approx(3.0)


# Gaussian process


def test_the_process_is_scikit_learn_s():
    process_of = pytest.importorskip("sklearn.gaussian_process")
    kernels = process_of.kernels
    inputs, targets = smooth(60)
    ours = GaussianProcess.fit(inputs, targets, Hyperparameters.default(4))
    found = ours.fitted
    kernel = kernels.ConstantKernel(found.signal) * kernels.Matern(found.lengths, nu=2.5)
    kernel += kernels.WhiteKernel(found.noise)
    theirs = process_of.GaussianProcessRegressor(
        kernel, optimizer=None, alpha=gaussian_process.JITTER
    ).fit(inputs, targets)
    assert ours.evidence == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-6)
    others = np.random.default_rng(1).random((50, 4))
    mean, deviation = ours.predict(others)
    their_mean, their_deviation = theirs.predict(others, return_std=True)
    assert np.allclose(mean, their_mean, atol=1e-8)
    # Theirs is the deviation of an outcome, ours that of the function.
    assert np.allclose(deviation**2 + found.noise, their_deviation**2, atol=1e-8)


def test_the_fit_is_as_likely_as_scikit_learn_s():
    process_of = pytest.importorskip("sklearn.gaussian_process")
    kernels = process_of.kernels
    for seed in range(3):
        inputs, targets = smooth(40, seed=seed)
        start = Hyperparameters.default(4)
        kernel = kernels.ConstantKernel(start.signal, gaussian_process.SIGNAL)
        kernel *= kernels.Matern(start.lengths, gaussian_process.LENGTHS, nu=2.5)
        kernel += kernels.WhiteKernel(start.noise, gaussian_process.NOISE)
        theirs = process_of.GaussianProcessRegressor(kernel, alpha=gaussian_process.JITTER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a length at its bound
            theirs.fit(inputs, targets)
        ours = GaussianProcess.fit(inputs, targets, start)
        assert ours.evidence > theirs.log_marginal_likelihood_value_ - 0.01


def test_the_gradient_of_the_likelihood_is_its_slope():
    inputs, targets = smooth(30)
    gaps = gaussian_process._squared_gaps(inputs)
    logs = np.log([0.3, 0.5, 0.7, 2.0, 1.3, 0.02])

    def value(at):
        return gaussian_process._negative_evidence(gaps, targets, at)[0]

    def gradient(at):
        return gaussian_process._negative_evidence(gaps, targets, at)[1]

    assert check_grad(value, gradient, logs) < 1e-4 * np.linalg.norm(gradient(logs))


def test_a_believer_keeps_its_mean_and_is_surer():
    inputs, targets = smooth(30)
    process = GaussianProcess.fit(inputs, targets, Hyperparameters.default(4))
    others = np.random.default_rng(1).random((20, 4))
    believing = process.believing(others[:5])
    mean, deviation = process.predict(others)
    believed, surer = believing.predict(others)
    assert np.allclose(mean, believed, atol=1e-6)
    assert (surer <= deviation + 1e-9).all()
    # One outcome at the place itself leaves this much, the other four leave less.
    noise, variance = process.fitted.noise, deviation[:5] ** 2
    assert (surer[:5] ** 2 <= variance * noise / (variance + noise) * 1.001).all()


def test_of_many_trials_the_best_and_some_others_are_modelled():
    losses = np.random.default_rng(0).random(500)
    chosen = thinned(losses, np.random.default_rng(1))
    half = MODELLED // 2
    assert len(set(chosen.tolist())) == MODELLED
    assert set(np.argsort(losses)[:half]) == set(chosen[:half].tolist())
    assert sorted(thinned(losses[:50], np.random.default_rng(1)).tolist()) == list(range(50))


# expected improvement


@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.4, 2.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_the_expected_improvement_is_the_integral(mean, deviation):
    def improvement(value):
        return max(0.3 - value, 0.0) * norm.pdf(value, mean, deviation)

    wanted, _ = quad(improvement, mean - 30 * deviation, 0.3, epsabs=0, points=[mean], limit=200)
    found = log_expected_improvement(0.3, np.array([mean]), np.array([deviation]))
    assert found[0] == pytest.approx(math.log(wanted), rel=1e-6)


def test_its_logarithm_is_right_where_the_improvement_is_0():
    # phi(z) / z**2 * (1 - 3 / z**2 + 15 / z**4 - ...), the asymptotic series
    for z in (-40.0, -1e3, -1e5, -1e7):
        series = -0.5 * z * z - 0.5 * math.log(2 * math.pi) - 2 * math.log(-z)
        series += math.log1p(-3 / z**2 + 15 / z**4)
        assert log_unit_improvement(np.array([z]))[0] == pytest.approx(series, rel=1e-9)
    across = -np.logspace(10, -3, 5000)
    assert (np.diff(log_unit_improvement(across)) > 0).all()
    assert np.exp(log_unit_improvement(np.array([0.0]))) == pytest.approx(norm.pdf(0.0))


# gp


def test_workers_are_sent_to_different_places(monkeypatch):
    def spread():
        distances = []
        for seed in range(5):
            optimizer = build("gp", space=PLANE, objectives=[LOSS], budget=40, seed=seed)
            for _ in range(12):
                trial = optimizer.ask()
                x, y = trial.config["x"], trial.config["y"]
                optimizer.tell(trial, told(math.sin(9 * x) + math.cos(7 * y) + x * y))
            asked = [optimizer.ask().config for _ in range(4)]
            points = np.array([[c["x"], c["y"]] for c in asked])
            gaps = np.linalg.norm(points[:, None] - points, axis=2)
            distances.append(gaps[np.triu_indices(4, 1)].min())
        return np.median(distances)

    apart = spread()
    monkeypatch.setattr(GaussianProcess, "believing", lambda self, inputs: self)
    assert apart > 3 * spread()


def test_gp_asks_for_nothing_twice_until_nothing_is_left():
    grid = Space((Ordinal("x", tuple(range(5))), Categorical("y", ("a", "b", "c"))))
    optimizer = build("gp", space=grid, objectives=[LOSS], budget=20, seed=0)
    trials = run(optimizer, lambda config: told(abs(config["x"] - 3) + (config["y"] != "b")))
    counts = Counter(config_id(trial.config) for trial in trials[:15])
    first = Counter(config_id(trial.config) for trial in trials[:10])  # these may repeat
    assert all(count == 1 for name, count in counts.items() if name not in first)
    assert {"x": 3, "y": "b"} in [trial.config for trial in trials[:14]]


def test_gp_finds_a_narrow_valley():
    def answer(config):
        return told(abs(config["x"] - 0.314) + 0.1 * (config["y"] - 0.7) ** 2)

    found = []
    for seed in range(3):
        trials = run(build("gp", space=PLANE, objectives=[LOSS], budget=40, seed=seed), answer)
        found.append(min(answer(trial.config).metrics["val_loss"] for trial in trials))
    assert np.median(found) < 2e-3  # 40 random draws: about 0.02
