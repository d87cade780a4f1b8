"""Model-based methods of one objective: closed forms, invariances, and what each adds."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import lognorm, norm, truncnorm

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.encoding import columns, decode, encode, snap
from hpobench_llm.optimizers.model_based import gaussian_process
from hpobench_llm.optimizers.model_based.candidates import around, best_unseen, uniform
from hpobench_llm.optimizers.model_based.cei import MOST, scaled_excess
from hpobench_llm.optimizers.model_based.climbing import climb, neighbours
from hpobench_llm.optimizers.model_based.density import (
    Density,
    from_indices,
    names_of,
    to_indices,
)
from hpobench_llm.optimizers.model_based.expected_improvement import (
    log_expected_improvement,
    log_unit_improvement,
)
from hpobench_llm.optimizers.model_based.gaussian_process import (
    GaussianProcess,
    GpHyperparameters,
)
from hpobench_llm.optimizers.model_based.history import History, warped
from hpobench_llm.optimizers.model_based.improvement_search import (
    MODELLED,
    fitted,
    thinned,
)
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space, config_id

pytest.importorskip("sklearn")
pytest.importorskip("lightgbm")
from hpobench_llm.optimizers.model_based.bore import by_density_ratio, labels
from hpobench_llm.optimizers.model_based.cqr import (
    Quantiles,
    conformal_quantile,
    conformal_shifts,
)
from hpobench_llm.optimizers.model_based.forest import Forest
from hpobench_llm.optimizers.model_based.smac import improvement_of_logs, log_scaled

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
    rng = np.random.default_rng(0)
    assert best_unseen(PLANE, points, scores, set(), rng) == first
    assert best_unseen(PLANE, points, scores, {config_id(first)}, rng) == second
    everything = {config_id(decode(PLANE, point)) for point in points}
    assert config_id(best_unseen(PLANE, points, scores, everything, rng)) not in everything


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


KERNELS = [gaussian_process.gaussian, gaussian_process.matern]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_process_is_scikit_learn_s(kernel):
    process_of = pytest.importorskip("sklearn.gaussian_process")
    kernels = process_of.kernels
    inputs, targets = smooth(60)
    ours = GaussianProcess.fit(inputs, targets, kernel)
    lengths, noise = ours.fitted.lengths, ours.fitted.noise
    smoothness = math.inf if kernel is gaussian_process.gaussian else 2.5
    theirs = process_of.GaussianProcessRegressor(
        kernels.Matern(lengths, nu=smoothness) + kernels.WhiteKernel(noise),
        optimizer=None,
        alpha=gaussian_process.JITTER,
    ).fit(inputs, targets)
    density = lognorm.logpdf(lengths, math.sqrt(3), scale=math.exp(math.sqrt(2)) * math.sqrt(4))
    wanted = theirs.log_marginal_likelihood_value_ + density.sum()
    wanted += lognorm.logpdf(noise, 1.0, scale=math.exp(-4.0))
    constants = 4 * math.log(math.sqrt(3)) + 5 * 0.5 * math.log(2 * math.pi)
    assert ours.plausibility - constants == pytest.approx(wanted, abs=1e-6)
    others = np.random.default_rng(1).random((50, 4))
    mean, deviation = ours.predict(others)
    their_mean, their_deviation = theirs.predict(others, return_std=True)
    assert np.allclose(mean, their_mean, atol=1e-8)
    # Theirs is the deviation of an outcome, ours that of the function.
    assert np.allclose(deviation**2 + noise, their_deviation**2, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_fit_is_as_plausible_as_botorch_s(kernel):
    pytest.importorskip("botorch")
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
    from gpytorch.means import ZeroMean
    from gpytorch.mlls import ExactMarginalLogLikelihood

    smooth_one = kernel is gaussian_process.gaussian
    for seed in range(3):
        inputs, targets = smooth(40, seed=seed)
        with torch.random.fork_rng():
            model = SingleTaskGP(
                torch.tensor(inputs),
                torch.tensor(targets)[:, None],
                covar_module=get_covar_module_with_dim_scaled_prior(4, use_rbf_kernel=smooth_one),
                mean_module=ZeroMean(),
                outcome_transform=None,
            )
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        lengths = model.covar_module.lengthscale.detach().numpy()[0]
        theirs = np.log([*lengths, model.likelihood.noise.item()])
        ours = GaussianProcess.fit(inputs, targets, kernel)
        found = GaussianProcess(inputs, targets, GpHyperparameters(theirs), kernel)
        assert ours.plausibility > found.plausibility - 0.01
        # One maximum, not two of the same height; what does not matter has any great length.
        assert ours.fitted.logs[-1] == pytest.approx(theirs[-1], abs=0.2)
        assert ours.fitted.logs[:2] == pytest.approx(theirs[:2], abs=0.2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_the_plausibility_is_its_slope(kernel):
    inputs, targets = smooth(30)
    gaps = gaussian_process._squared_gaps(inputs)
    logs = np.log([0.3, 0.5, 0.7, 2.0, 0.02])

    def value(at):
        return gaussian_process._implausibility(kernel, gaps, targets, at)[0]

    def gradient(at):
        return gaussian_process._implausibility(kernel, gaps, targets, at)[1]

    assert check_grad(value, gradient, logs) < 1e-4 * np.linalg.norm(gradient(logs))


def test_the_kernel_is_the_one_that_fits():
    inputs = np.random.default_rng(0).random((40, 1))
    space = Space((Float("x", 0.0, 1.0),))
    for targets, kernel in (
        (np.sin(9 * inputs[:, 0]), gaussian_process.gaussian),
        (np.abs(inputs[:, 0] - 0.4), gaussian_process.matern),
    ):
        process = fitted(space, inputs, (targets - targets.mean()) / targets.std())
        assert process.kernel is kernel


def test_a_believer_keeps_its_mean_and_is_surer():
    inputs, targets = smooth(30)
    process = GaussianProcess.fit(inputs, targets, KERNELS[1])
    others = np.random.default_rng(1).random((20, 4))
    believing = process.believing(others[:5])
    mean, deviation = process.predict(others)
    believed, surer = believing.predict(others)
    assert np.allclose(mean, believed, atol=1e-6)
    assert (surer <= deviation + 1e-9).all()
    assert (surer[:5] <= 2 * math.sqrt(gaussian_process.SURE)).all()


def test_of_many_trials_the_best_and_some_others_are_modelled():
    order = np.random.default_rng(0).permutation(500)
    chosen = thinned(order, np.random.default_rng(1))
    half = MODELLED // 2
    assert len(set(chosen.tolist())) == MODELLED
    assert (chosen[:half] == order[:half]).all()
    assert (thinned(order[:MODELLED], np.random.default_rng(1)) == order[:MODELLED]).all()


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
    monkeypatch.setattr(History, "running", np.empty((0, 2)))
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


# cei

BOUND = Constraint(name="memory", bound=1.0, unit="GB")


def corner(config):
    """The loss falls towards (0, 0); only x + y >= 0.8 is feasible: the best is on that line."""
    x, y = config["x"], config["y"]
    return told(x**2 + y**2, memory=0.8 - x - y)


@pytest.mark.slow
def test_cei_ends_at_the_best_feasible_point():
    found = []
    for seed in range(3):
        optimizer = build(
            "cei", space=PLANE, objectives=[LOSS], budget=40, seed=seed, constraints=[BOUND]
        )
        trials = run(optimizer, corner)
        feasible = [t.config for t in trials if corner(t.config).feasible]
        found.append(min(corner(config).metrics["val_loss"] for config in feasible))
        late = [corner(trial.config).constraints["memory"] for trial in trials[20:]]
        assert np.median(np.abs(late)) < 0.1  # it searches along the bound
    # The best is 0.32, at (0.4, 0.4).
    assert np.median(found) < 0.33
    assert min(found) >= 0.32


@pytest.mark.slow
def test_cei_is_better_than_gp_behind_a_barrier():
    def regret(name):
        best = []
        for seed in range(4):
            optimizer = build(
                name, space=PLANE, objectives=[LOSS], budget=30, seed=seed, constraints=[BOUND]
            )
            asked = [trial.config for trial in run(optimizer, corner)]
            losses = [corner(c).metrics["val_loss"] for c in asked if corner(c).feasible]
            best.append(min(losses) - 0.32)
        return np.mean(best)

    assert regret("cei") < regret("gp")


def test_cei_looks_for_something_feasible_first():
    def answer(config):  # a small feasible disc that no first trial of these seeds hits
        distance = math.hypot(config["x"] - 0.8, config["y"] - 0.2)
        return told(config["x"], memory=distance - 0.08)

    for seed in range(3):
        optimizer = build(
            "cei", space=PLANE, objectives=[LOSS], budget=25, seed=seed, constraints=[BOUND]
        )
        configs = [trial.config for trial in run(optimizer, answer)]
        feasible = [answer(config).feasible for config in configs]
        assert not any(feasible[:10])
        assert sum(feasible[10:]) >= 5


def test_cei_without_constraints_is_gp():
    def configs(name):
        optimizer = build(name, space=PLANE, objectives=[LOSS], budget=16, seed=4)
        return [trial.config for trial in run(optimizer, lambda c: told(c["x"] + c["y"]))]

    assert configs("cei") == configs("gp")


def test_excesses_keep_their_sides_and_lose_their_units():
    excesses = np.array([-2.0, 1.0, 4.0, 1e9, math.inf, -1e9])
    scaled = scaled_excess(excesses)
    assert (np.sign(scaled) == np.sign(excesses)).all()
    assert np.abs(scaled).max() == MOST
    assert scaled[:3].tolist() == [-0.5, 0.25, 1.0]  # the median size is 4
    assert scaled_excess(np.array([math.inf, math.inf])).tolist() == [MOST, MOST]


# bore


@given(st.lists(st.floats(-5.0, 5.0), min_size=4, max_size=60, unique=True))
def test_a_quarter_is_good_whatever_the_scale(losses):
    good = labels(np.array(losses))
    assert good.sum() == math.floor(0.25 * (len(losses) - 1)) + 1
    assert set(np.flatnonzero(good)) == set(np.argsort(losses)[: good.sum()])


@pytest.mark.parametrize("monotone", [np.exp, lambda v: -1.0 / (1.0 + v), lambda v: 1e6 * v])
def test_bore_sees_the_order_of_losses_alone(monotone):
    def configs(transform):
        optimizer = build("bore", space=MIXED, objectives=[LOSS], budget=30, seed=3)

        def answer(config):
            distance = (MIXED.to_unit([config]) ** 2).sum()
            return told(float(transform(distance)))

        return [trial.config for trial in run(optimizer, answer)]

    assert configs(monotone) == configs(lambda value: value)


def test_bore_draws_at_random_while_all_losses_are_equal():
    optimizer = build("bore", space=PLANE, objectives=[LOSS], budget=200, seed=0)
    points = np.array(
        [[t.config["x"], t.config["y"]] for t in run(optimizer, lambda _: told(1.0))]
    )
    assert np.abs(points.mean(axis=0) - 0.5).max() < 0.08


def test_bore_chooses_where_the_ratio_of_two_known_densities_is_largest():
    # Good trials have x of density 2x, bad ones of density 2 (1 - x): the ratio grows with x.
    rng = np.random.default_rng(0)
    history = History(PLANE)
    for number in range(400):
        good = number % 4 == 0
        x = math.sqrt(rng.random())
        config = {"x": x if good else 1.0 - x, "y": rng.random()}
        history.end(number, config, rng.random() + (not good), ok=True)
    chosen = [by_density_ratio(PLANE, history, np.random.default_rng(i))["x"] for i in range(10)]
    assert np.mean(chosen) > 0.8


@pytest.mark.parametrize("name", ["bore", "cqr", "smac-rf"])
def test_what_was_asked_for_is_not_asked_for_again(name):
    grid = Space((Ordinal("x", tuple(range(9))), Categorical("y", ("a", "b", "c"))))
    optimizer = build(name, space=grid, objectives=[LOSS], budget=24, seed=0)
    asked = [
        config_id(trial.config)
        for trial in run(optimizer, lambda c: told(abs(c["x"] - 3) + (c["y"] != "b")))
    ]
    if name == "smac-rf":  # every fifth is a uniform draw
        assert len(set(asked)) >= 17
        return
    first = optimizer.startup_trials
    for index in range(first, len(asked)):
        assert asked[index] not in asked[:index]


# cqr


def test_the_conformal_quantile_is_that_of_the_finite_sample():
    errors = np.array([5.0, 1.0, 3.0, 2.0])
    assert conformal_quantile(errors, 2 / 3) == 5.0  # the ceil(5 * 2 / 3) = 4th
    assert conformal_quantile(errors, 1 / 3) == 2.0
    assert conformal_quantile(errors, 0.9) == math.inf
    assert conformal_quantile(errors[:2], 5 / 6 - 1 / 6) == 5.0


@pytest.mark.parametrize(("held", "coverage"), [(4, 0.800), (10, 0.727)])
def test_a_conformal_band_covers_what_theory_says(held, coverage):
    # ceil((n + 1) p) / (n + 1) for p = 2/3, whatever the model: here it always says the same.
    rng = np.random.default_rng(held)
    hits = 0
    for _ in range(4000):
        outcomes = rng.normal(size=held + 1)
        predicted = np.tile([-0.5, -0.2, 0.0, 0.2, 0.5], (held, 1))
        shifts = conformal_shifts(predicted, outcomes[:-1])
        hits += -0.5 + shifts[0] <= outcomes[-1] <= 0.5 + shifts[-1]
    assert hits / 4000 == pytest.approx(coverage, abs=0.025)


def test_the_median_is_never_moved_and_the_bands_are_symmetric():
    predicted = np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], (8, 1))
    shifts = conformal_shifts(predicted, np.linspace(-3.0, 3.0, 8))
    assert shifts[2] == 0.0
    assert (shifts[:2] == -shifts[:2:-1]).all()


def test_few_trials_are_not_conformalised():
    inputs, losses = smooth(40)
    rng = np.random.default_rng(0)
    assert not Quantiles.fit(inputs[:32], losses[:32], rng).shifts.any()
    assert Quantiles.fit(inputs[:33], losses[:33], rng).shifts.any()


def test_quantiles_are_equivariant_and_do_not_cross():
    inputs, losses = smooth(80)
    others = np.random.default_rng(1).random((200, 4))
    plain = Quantiles.fit(inputs, losses, np.random.default_rng(2)).predict(others)
    moved = Quantiles.fit(inputs, 7.0 * losses - 30.0, np.random.default_rng(2)).predict(others)
    assert (np.diff(plain, axis=1) >= 0).all()
    assert np.allclose(moved, 7.0 * plain - 30.0, atol=1e-3)


def test_a_draw_is_any_of_the_quantiles():
    inputs, losses = smooth(60)
    model = Quantiles.fit(inputs, losses, np.random.default_rng(2))
    others = np.repeat(inputs[:3], 1000, axis=0)
    drawn = model.draw(others, np.random.default_rng(3)).reshape(3, 1000)
    for values, quantiles in zip(drawn, model.predict(inputs[:3]), strict=True):
        counts = [np.isclose(values, quantile).sum() for quantile in quantiles]
        assert np.isclose(values[:, None], quantiles).any(axis=1).all()
        assert min(counts) > 150  # of 200 each, more where two are equal


def test_one_wild_loss_leaves_the_median_where_it_is():
    inputs, losses = smooth(30)
    wild = losses.copy()
    wild[np.argmax(losses)] = 1e3
    others = np.random.default_rng(1).random((200, 4))
    plain = Quantiles.fit(inputs, losses, np.random.default_rng(2)).predict(others)[:, 2]
    moved = Quantiles.fit(inputs, wild, np.random.default_rng(2)).predict(others)[:, 2]
    assert np.median(np.abs(moved - plain)) < 0.3  # of losses with a deviation of 1


def test_cqr_covers_new_outcomes():
    hits, total = 0, 0
    for seed in range(10):
        inputs, losses = smooth(160, seed=seed, noise=0.5)
        model = Quantiles.fit(inputs[:100], losses[:100], np.random.default_rng(seed))
        predicted = model.predict(inputs[100:])
        hits += ((predicted[:, 0] <= losses[100:]) & (losses[100:] <= predicted[:, -1])).sum()
        total += 60
    assert hits / total > 2 / 3 - 0.05


# smac-rf


def test_smac_s_first_trials_are_a_quarter_of_the_budget_or_ten_an_axis():
    for budget, wanted in ((3, 1), (40, 10), (100, 20), (1000, 20)):
        optimizer = build("smac-rf", space=PLANE, objectives=[LOSS], budget=budget, seed=0)
        assert optimizer.startup_trials == wanted


def test_the_improvement_of_logarithms_is_the_integral():
    for mean, variance in ((0.0, 0.04), (-0.5, 0.3), (0.4, 1.0)):
        deviation = math.sqrt(variance)

        def improvement(log, mean=mean, deviation=deviation):
            return max(math.exp(0.1) - math.exp(log), 0.0) * norm.pdf(log, mean, deviation)

        wanted, _ = quad(improvement, mean - 12 * deviation, 0.1, limit=200)
        found = improvement_of_logs(0.1, np.array([mean]), np.array([variance]))
        assert found[0] == pytest.approx(wanted, rel=1e-6)


def test_log_scaled_losses_keep_their_order_and_forget_units():
    losses = np.random.default_rng(0).normal(size=60)
    scaled = log_scaled(losses)
    assert (np.argsort(scaled) == np.argsort(losses)).all()
    assert scaled.max() == 0.0
    assert np.allclose(log_scaled(5.0 * losses + 3.0), scaled, atol=1e-6)
    assert log_scaled(np.ones(4)).tolist() == [0.0] * 4


def test_a_leaf_is_the_logarithm_of_the_mean():
    inputs = np.zeros((6, 1))
    logs = np.log([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    rng = np.random.default_rng(0)
    forest = Forest.fit(inputs, logs, 200, rng)
    mean, variance = forest.predict(inputs[:1])
    # Every tree is one leaf: the logarithm of the mean of six draws from 1 ... 6.
    drawn = np.log(np.random.default_rng(1).integers(1, 7, (20_000, 6)).mean(axis=1))
    assert mean[0] == pytest.approx(drawn.mean(), abs=0.05)
    assert variance[0] == pytest.approx(drawn.var(), rel=0.3)


def test_a_local_search_climbs_to_the_top_of_a_mixed_space():
    target = encode(MIXED, {"rank": 4, "modules": "v", "warmup": 3, "batch": 8, "lr": 1e-3})

    def score(points):
        return -np.abs(points - target).sum(axis=1)

    begin = snap(MIXED, np.random.default_rng(0).random((5, len(MIXED))))
    before = begin.copy()
    points, scores = climb(MIXED, begin, score, np.random.default_rng(1))
    assert (begin == before).all()
    assert scores.min() > -0.05
    assert np.allclose(score(points), scores)


def test_a_neighbour_in_the_local_search_differs_on_its_axis_alone():
    points = snap(MIXED, np.random.default_rng(0).random((3, len(MIXED))))
    around_them = neighbours(MIXED, points, np.random.default_rng(1))
    assert around_them.shape == (3, 4 * len(MIXED), len(MIXED))
    changed = np.abs(around_them - points[:, None]) > 1e-12
    for axis in range(len(MIXED)):
        rows = changed[:, 4 * axis : 4 * axis + 4]
        assert not np.delete(rows, axis, axis=2).any()
    rank = np.abs(around_them[:, :4, 0] - points[:, None, 0]) * 4
    assert (np.isclose(rank, 1.0) | np.isclose(rank, 0.0)).all()  # one level, or at the end none


# kernel densities


def plain_density(density, point):
    """The product of kernels, in the words of the definition."""
    total = 0.0
    for centre in density.centres:
        product = 1.0
        for x, c, h, names in zip(point, centre, density.bandwidths, density.names, strict=True):
            if names:
                product *= 1.0 - h if x == c else h / (names - 1)
            else:
                product *= norm.pdf(x, c, h)
        total += product
    return total / len(density.centres)


def test_a_density_is_the_mean_of_its_kernels():
    names = np.array([0, 3, 0])
    rng = np.random.default_rng(0)
    centres = np.column_stack((rng.random(12), rng.integers(0, 3, 12), rng.random(12)))
    density = Density.fit(centres, names, 1e-3)
    wanted = 1.06 * centres[:, 0].std() * 12 ** (-1 / 7)
    assert density.bandwidths[0] == pytest.approx(wanted)
    assert density.bandwidths[1] <= 2 / 3
    points = density.sample(20, 3.0, rng)
    logs = density.logarithm(points)
    assert np.allclose(np.exp(logs), [plain_density(density, point) for point in points])
    assert density.logarithm(np.array([[1e6, 0.0, 0.0]]))[0] < -1e6  # and not minus infinity


def test_points_of_a_density_are_around_its_centres():
    names = np.array([0, 4])
    density = Density(np.array([[0.02, 1.0]]), np.array([0.01, 0.3]), names)
    points = density.sample(4000, 3.0, np.random.default_rng(0))
    assert points[:, 0].min() >= 0.0
    assert points[:, 0].max() < 0.02 + 5 * 0.03
    truncated = truncnorm(-0.02 / 0.03, 0.98 / 0.03, 0.02, 0.03)
    assert points[:, 0].mean() == pytest.approx(truncated.mean(), abs=0.002)
    assert (points[:, 1] == 1.0).mean() == pytest.approx(0.7 + 0.3 / 4, abs=0.03)
    assert set(points[:, 1]) == {0.0, 1.0, 2.0, 3.0}


def test_indices_of_names_come_back():
    names = names_of(MIXED)
    points = snap(MIXED, np.random.default_rng(0).random((40, len(MIXED))))
    indices = to_indices(points, names)
    assert set(indices[:, 1]) == {0.0, 1.0, 2.0}
    assert np.allclose(from_indices(indices, names), points)
