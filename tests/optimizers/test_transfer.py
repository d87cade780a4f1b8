"""What methods take from related tasks: which configurations, in which order, how far trusted."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_sphere
from hpobench_llm.errors import OptimizerError, UnknownNameError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Source
from hpobench_llm.optimizers.registry import build, check_name, entry, list_wrappers
from hpobench_llm.optimizers.transfer.abrac import RelevanceRegression
from hpobench_llm.optimizers.transfer.bounding_box import box, holds
from hpobench_llm.optimizers.transfer.knowledge import best_of_all, ranked
from hpobench_llm.optimizers.transfer.ordered_basis import (
    OrderedBasis,
    learned,
    negative_evidence,
    truncation,
)
from hpobench_llm.optimizers.transfer.quantile_transfer import normal_scores
from hpobench_llm.optimizers.transfer.zero_shot import (
    filled_losses,
    portfolio,
    ranks,
    scaled,
)
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

LOSS = Metric(name="val_loss", unit="1", direction="minimize", worst=9.0)
FAR = Metric(name="far", unit="1", direction="minimize", worst=9.0)
AXIS = Space((Ordinal("x", tuple(range(10))),))
WARM = ["simple-ordered", "simple-ordered-shuffled", "simple-previous", "gp+warm-start"]


def source(name, losses, configs=None):
    """Return a source on AXIS; a loss of None is a run that diverged."""
    evaluations = tuple(
        Evaluation(metrics={}, cost_seconds=1.0, status="diverged")
        if loss is None
        else Evaluation(metrics={"val_loss": loss}, cost_seconds=1.0)
        for loss in losses
    )
    return Source(name, tuple({"x": x} for x in configs or range(len(losses))), evaluations)


def made(name, sources, *, space=AXIS, budget=50, seed=0, initial=(), objectives=(LOSS,)):
    return build(
        name,
        space=space,
        objectives=objectives,
        budget=budget,
        seed=seed,
        sources=sources,
        initial=initial,
    )


def asked(name, sources, count=5, **arguments):
    """Return the x of the first trials; each has a loss of 1."""
    optimizer = made(name, sources, **arguments)
    found = []
    for _ in range(count):
        trial = optimizer.ask()
        optimizer.tell(trial, Evaluation(metrics={"val_loss": 1.0}, cost_seconds=1.0))
        found.append(trial.config["x"])
    return found


# Best at 0, 3 and 6; second best at 1, 4 and 7.
PAST = [
    source("oldest", [0.0, 0.1, 5, 5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7]),
    source("older", [7, 7.1, 7.2, 0.0, 0.1, 7.3, 7.4, 7.5, 7.6, 7.7]),
    source("newest", [9, 9.1, 9.2, 9.3, 9.4, 9.5, 0.0, 0.1, 9.6, 9.7]),
]


def test_the_best_of_every_task_then_the_second_the_newest_first():
    assert asked("simple-ordered", PAST) == [6, 3, 0, 7, 4]
    assert asked("tpe-optuna+warm-start", PAST) == [6, 3, 0, 7, 4]
    assert asked("tpe-optuna+warm-start:2", PAST, 2) == [6, 3]
    assert asked("simple-ordered", PAST[::-1]) == [0, 3, 6, 1, 4]
    assert asked("simple-previous", PAST) == [6, 7, 0, 1, 2]


def test_shuffling_changes_the_order_within_a_level_only():
    orders = {tuple(asked("simple-ordered-shuffled", PAST, 3, seed=s)) for s in range(40)}
    assert len(orders) == 6
    assert all(set(order) == {0, 3, 6} for order in orders)


def test_what_two_tasks_share_is_asked_for_once():
    shared = [source("a", [0, 1, 2, 3, 4]), source("b", [0, 2, 1, 4, 3])]
    assert asked("simple-ordered", shared) == [0, 2, 1, 4, 3]


def test_ties_rotate_between_tasks():
    tied = [source("a", [1, 2, 0, 0]), source("b", [0, 0, 3, 4])]
    # b and a take turns while either has another configuration of its best value.
    assert asked("simple-ordered", tied, 4) == [0, 2, 1, 3]


@pytest.mark.parametrize("name", WARM)
def test_failed_configurations_are_not_asked_for_first(name):
    failed = [source("a", [None, 2, None, 0, 1, 3, 4])]
    assert asked(name, failed) == [3, 4, 1, 5, 6]


@pytest.mark.parametrize("name", WARM)
def test_sources_with_too_little_leave_their_places_to_the_method(name):
    assert asked(name, [source("a", [None, 1], [7, 8])], 6)[0] == 8
    assert len(asked(name, [source("a", [None, None])], 6)) == 6


@pytest.mark.parametrize("name", [*WARM, "zero-shot", "zero-shot-scaled"])
def test_a_design_comes_first_and_is_not_repeated(name):
    found = asked(name, PAST, 4, initial=[{"x": 9}, {"x": 6}])
    assert found[:2] == [9, 6]
    assert 6 not in found[2:]


def test_levels_are_distinct_values_or_fronts():
    assert ranked(source("a", [2, 1, None, 1]), [LOSS]) == [[{"x": 1}, {"x": 3}], [{"x": 0}]]
    points = [(0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (2.0, 2.0), (3.0, 3.0)]
    evaluations = [
        Evaluation(metrics={"val_loss": a, "far": b}, cost_seconds=1.0) for a, b in points
    ]
    two = Source("two", tuple({"x": x} for x in range(5)), tuple(evaluations))
    # A front begins with what is far apart.
    assert ranked(two, [LOSS, FAR]) == [
        [{"x": 0}, {"x": 2}, {"x": 1}],
        [{"x": 3}],
        [{"x": 4}],
    ]
    assert best_of_all([two], [LOSS, FAR], 2) == [{"x": 0}, {"x": 2}]


def test_a_portfolio_is_greedy_and_beats_the_average_best():
    # The third is best on average; then the first two help equally; the last cannot help.
    losses = np.array([[0.0, 1.0, 0.3, 0.9], [0.9, 0.0, 0.3, 0.9], [1.0, 0.5, 0.3, 0.9]])
    assert portfolio(losses, 4, np.array) == [2, 0, 1, 3]
    rng = np.random.default_rng(0)
    for _ in range(20):
        random = rng.random((4, 12))
        order = portfolio(random, 12, np.array)
        assert sorted(order) == list(range(12))
        reached = [random[:, order[:n]].min(axis=1).mean() for n in range(1, 13)]
        assert reached[0] == random.mean(axis=0).min()
        # No other single configuration would have been the better second one.
        assert reached[1] == min(
            np.minimum(random[:, order[0]], random[:, other]).mean() for other in range(12)
        )
        assert np.all(np.diff(reached) <= 1e-12)


def by_data_frames(losses):
    """The order of Syne Tune's `ZeroShotTransfer`, told by what its documentation says it does."""
    scores = pd.DataFrame(losses)
    order, ranked = [], scores.rank(axis=1)
    while len(order) < losses.shape[1]:
        best = ranked.mean(axis=0).idxmin()
        order.append(best)
        scores = scores.drop(columns=best)
        ranked = ranked.drop(columns=best).clip(upper=ranked[best], axis=0)
        if ranked.nunique(axis=1).le(1).all() and (scores.shape[1] > 0):
            ranked = scores.rank(axis=1)
    return order


@pytest.mark.parametrize("seed", range(10))
def test_a_portfolio_by_ranks_is_syne_tune_s(seed):
    losses = np.random.default_rng(seed).random((3, 15))
    assert portfolio(losses, 15, ranks) == by_data_frames(losses)
    bent = np.exp(9 * losses) - 5.0  # ranks know nothing of the scale
    assert portfolio(bent, 15, ranks) == portfolio(losses, 15, ranks)


def test_gaps_are_filled_by_the_nearest_and_failures_are_the_worst():
    some = [source("a", [10, 20, None, 30]), source("b", [1.0, 2.0], [0, 9])]
    configs, values = filled_losses(AXIS, [*some, source("c", [None])], LOSS)
    assert [config["x"] for config in configs] == [0, 1, 2, 3, 9]
    assert values.tolist() == [[10, 20, np.inf, 30, 30], [1, 1, 1, 1, 2]]
    assert scaled(values).tolist() == [[0, 0.5, 1, 1, 1], [0, 0, 0, 0, 1]]
    assert ranks(values).tolist() == [[1, 2, 5, 3.5, 3.5], [2.5, 2.5, 2.5, 2.5, 5]]


def test_zero_shot_goes_on_with_draws():
    found = asked("zero-shot", [source("a", [2, 0, 1])], 20)
    assert found[:3] == [1, 2, 0]
    assert len(set(found[3:])) > 4


def test_normal_scores_are_those_of_ranks_whatever_the_scale():
    losses = np.array([3.0, 1.0, 2.0, np.nan, 10.0])
    scores = normal_scores(losses)
    delta = 1 / (4 * 5**0.25 * np.sqrt(np.pi * np.log(5)))
    assert scores == pytest.approx(norm.ppf([0.6, max(0.2, delta), 0.4, 1 - delta, 0.8]))
    assert normal_scores(7 * losses - 3) == pytest.approx(scores)
    assert normal_scores(np.array([1.0, 1.0])).tolist() == pytest.approx(
        [normal_scores(np.array([1.0, 1.0]))[0]] * 2
    )


@pytest.mark.slow
def test_quantile_transfer_draws_by_what_the_sources_say():
    rising = [source(n, [x * s for x in range(10)]) for n, s in (("a", 1.0), ("b", 1000.0))]
    first = [asked("quantile-transfer", rising, 1, seed=s)[0] for s in range(40)]
    assert np.mean(first) < 2.5
    found = asked("quantile-transfer", rising, 20)
    assert sorted(found[:10]) == sorted(found[10:]) == list(range(10))


BOXED = Space(
    (
        Categorical("modules", ("q", "v", "qv")),
        Integer("steps", 1, 64, log=True),
        Float("lr", 1e-5, 1e-1, log=True),
        Float("decay", 0.0, 1.0),
        Ordinal("rank", (1, 2, 4, 8)),
    )
)
BEST = [
    {"modules": "qv", "steps": 8, "lr": 1e-3, "decay": 0.5, "rank": 2},
    {"modules": "q", "steps": 4, "lr": 1e-2, "decay": 0.5, "rank": 8},
]


def test_the_box_is_the_smallest_that_holds_the_best():
    assert box(BOXED, BEST) == Space(
        (
            Categorical("modules", ("q", "qv")),
            Integer("steps", 4, 8, log=True),
            Float("lr", 1e-3, 1e-2, log=True),
            Ordinal("decay", (0.5,)),
            Ordinal("rank", (2, 4, 8)),
        )
    )
    assert all(holds(box(BOXED, BEST), config) for config in BEST)
    assert not holds(box(BOXED, BEST), BEST[0] | {"lr": 0.1})
    assert not holds(box(BOXED, BEST), BEST[0] | {"decay": 0.4})


def test_bounding_box_asks_inside_only():
    told = Evaluation(metrics={"val_loss": 0.0}, cost_seconds=1.0)
    sources = [Source(str(n), (config,), (told,)) for n, config in enumerate(BEST)]
    optimizer = made("bounding-box", sources, space=BOXED, initial=[BEST[0] | {"lr": 0.1}])
    assert optimizer.ask().config["lr"] == 0.1
    for number in range(1, 20):
        trial = optimizer.ask()
        assert holds(box(BOXED, BEST), trial.config)
        assert repr(BOXED.canonical(trial.config)) == repr(trial.config)
        loss = trial.config["lr"] + number % 3
        optimizer.tell(trial, Evaluation(metrics={"val_loss": loss}, cost_seconds=1.0))


def test_a_feature_survives_nested_dropout_geometrically():
    rng = np.random.default_rng(0)
    kept = np.array([truncation(8, 0.3, rng) for _ in range(20_000)])
    survived = [(kept >= j).mean() for j in range(1, 9)]
    assert survived == pytest.approx([0.7 ** (j - 1) for j in range(1, 9)], abs=0.015)


def test_the_gradient_of_the_evidence_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    phi, targets = rng.standard_normal((7, 3)), rng.standard_normal(7)
    value, by_basis, by_prior, by_noise = negative_evidence(phi, targets, 0.3, 1.1)
    covariance = phi @ phi.T / np.exp(0.3) + np.eye(7) / np.exp(1.1)
    expected = -norm_log_density(targets, covariance)
    assert value == pytest.approx(expected)

    def at(flat):
        return negative_evidence(flat[:21].reshape(7, 3), targets, flat[21], flat[22])[0]

    numeric = approx_fprime(np.concatenate((phi.ravel(), [0.3, 1.1])), at, 1e-7)
    assert np.concatenate((by_basis.ravel(), [by_prior, by_noise])) == pytest.approx(
        numeric, rel=1e-4, abs=1e-5
    )


def norm_log_density(values, covariance):
    _, logdet = np.linalg.slogdet(covariance)
    quadratic = values @ np.linalg.solve(covariance, values)
    return -0.5 * (quadratic + logdet + len(values) * np.log(2 * np.pi))


def test_the_gradient_of_the_network_is_that_of_finite_differences():
    rng = np.random.default_rng(1)
    basis, inputs = OrderedBasis.random([2, 3, 4], rng), rng.random((5, 2))
    slopes = rng.standard_normal((5, 4))
    found = basis.gradients(basis.activations(inputs), slopes)
    flat = [array for layer in basis.layers for array in layer]
    for array, gradient in zip(flat, found, strict=True):
        for place in np.ndindex(array.shape):
            before = (basis(inputs) * slopes).sum()
            array[place] += 1e-6
            after = (basis(inputs) * slopes).sum()
            array[place] -= 1e-6
            assert gradient[place] == pytest.approx((after - before) / 1e-6, rel=1e-3, abs=1e-5)


def test_the_first_functions_are_those_that_tasks_share():
    rng = np.random.default_rng(0)
    tasks = []
    for _ in range(8):
        inputs = rng.random((30, 3))
        values = rng.choice([-1, 1]) * (inputs[:, 0] - 0.3) ** 2  # of one function alone
        tasks.append((inputs, (values - values.mean()) / values.std()))

    def left_by_the_first(dropout):
        basis = learned(
            tasks,
            [3, 16, 10],
            dropout=dropout,
            steps=400,
            rate=0.02,
            rng=np.random.default_rng(0),
        )
        left = []
        for inputs, targets in tasks:
            phi = basis(inputs)[:, :1]
            left.append(((targets - phi @ np.linalg.lstsq(phi, targets)[0]) ** 2).mean())
        return np.mean(left)

    assert left_by_the_first(0.3) < 0.5 * left_by_the_first(1e-12)


def test_equal_precisions_are_ridge_regression():
    rng = np.random.default_rng(0)
    phi, targets = rng.standard_normal((20, 4)), rng.standard_normal(20)
    found = RelevanceRegression.of(phi, targets, np.full(4, 3.0), 6.0)
    ridge = np.linalg.solve(phi.T @ phi + 3.0 / 6.0 * np.eye(4), phi.T @ targets)
    assert found.weights == pytest.approx(ridge)
    covariance = phi @ phi.T / 3.0 + np.eye(20) / 6.0
    assert found.evidence == pytest.approx(norm_log_density(targets, covariance))


def test_relevance_grows_with_the_data_and_drops_what_is_noise():
    rng = np.random.default_rng(0)
    true = np.array([2.0, -1.0, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0])
    effective, pruned = [], []
    for count in (4, 16, 64, 512):
        runs = []
        for _ in range(10):
            phi = rng.standard_normal((count, 8))
            runs.append(
                RelevanceRegression.fit(phi, phi @ true + 0.3 * rng.standard_normal(count))
            )
        effective.append(np.mean([run.effective for run in runs]))
        pruned.append(np.mean([len(set(range(4, 8)) - set(run.active)) for run in runs]))
    assert effective[0] < effective[2]
    assert 3.5 < effective[3] < 6.0
    assert pruned[3] > 1.5
    assert set(range(3)) <= set(runs[0].active)


def test_evidence_never_falls_by_fitting_longer():
    rng = np.random.default_rng(3)
    for _ in range(10):
        phi = rng.standard_normal((12, 5))
        targets = phi[:, 0] + 0.1 * rng.standard_normal(12)
        evidence = [RelevanceRegression.fit(phi, targets, n).evidence for n in (0, 1, 3, 10, 100)]
        assert np.all(np.diff(evidence) >= 0)


def scaled_sources(scale):
    sphere, rng = toy_sphere(), np.random.default_rng(0)
    configs = tuple(sphere.space.sample(rng) for _ in range(30))
    evaluations = tuple(
        Evaluation(
            metrics={"val_loss": scale * sphere.query(c).metrics["val_loss"]}, cost_seconds=1.0
        )
        for c in configs
    )
    return [Source("sphere", configs, evaluations)]


@pytest.mark.parametrize("name", ["abrac", "simple-ordered", "zero-shot", "quantile-transfer"])
def test_the_scale_of_a_source_does_not_matter(name):
    def trials(scale):
        optimizer = made(name, scaled_sources(scale), space=toy_sphere().space)
        found = []
        for _ in range(8):
            trial = optimizer.ask()
            loss = toy_sphere().query(trial.config).metrics["val_loss"]
            optimizer.tell(trial, Evaluation(metrics={"val_loss": loss}, cost_seconds=1.0))
            found.append(trial.config)
        return json.dumps(found)

    assert trials(1.0) == trials(1024.0)  # a power of two: no digit is lost


def test_a_method_that_transfers_needs_a_source():
    for name in ("zero-shot", "random+warm-start"):
        with pytest.raises(OptimizerError, match=f"{name.split('+')[0]}.* at least one source"):
            made(name, [])


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("tpe", UnknownNameError, "optimizer 'tpe'; did you mean 'tpe-nni' or 'tpe-optuna'"),
        ("rndom+warm-start", UnknownNameError, "unknown optimizer 'rndom'; did you mean 'random'"),
        (
            "random+warm-stat",
            UnknownNameError,
            "random\\+warm-stat: unknown wrapper.*'warm-start'",
        ),
        ("random+", UnknownNameError, "unknown wrapper of an optimizer ''"),
        ("random+warm-start:x", OptimizerError, "random\\+warm-start:x: warm-start.*got 'x'"),
        ("random+warm-start:2.5", OptimizerError, "a whole number above 0 .*got '2.5'"),
        ("random+warm-start:0", OptimizerError, "got '0'"),
        ("random+stop-ei:nan", OptimizerError, "got 'nan'"),
        ("random+stop-ei:", OptimizerError, "got ''"),
        ("random+stop-regret-bound", OptimizerError, "in the objective's unit.*got None"),
    ],
)
def test_a_bad_name_is_named(name, error, words):
    with pytest.raises(error, match=words):
        check_name(name)
    with pytest.raises(error, match=f"study.toml: .*{words.split(':', maxsplit=1)[-1]}"):
        check_name(name, "study.toml")


def test_wrappers_change_what_is_known_of_an_optimizer():
    plain, wrapped = entry("nsga2"), entry("nsga2+warm-start:3+stop-no-improve:9")
    assert (plain.transfer, plain.stops) == (False, False)
    assert (wrapped.transfer, wrapped.stops, wrapped.objectives) == (True, True, "several")
    assert wrapped.distribution == plain.distribution
    assert entry("nsga2+stop-ei").objectives == "one"
    assert {name: w.columns()["default"] for name, w in list_wrappers().items()} == {
        "warm-start": 5,
        "stop-no-improve": 30,
        "stop-regret-bound": None,
        "stop-ei": 0.01,
        "stop-pi": 0.01,
    }


@pytest.mark.slow
def test_transfer_is_better_than_none_on_a_related_task():
    target = ToyBenchmark("target", toy_sphere().space)

    def best(name):
        found = []
        for seed in range(5):
            optimizer = made(name, scaled_sources(3.0), space=target.space, seed=seed)
            losses = []
            for _ in range(8):
                trial = optimizer.ask()
                losses.append(target.query(trial.config).metrics["val_loss"])
                told = Evaluation(metrics={"val_loss": losses[-1]}, cost_seconds=1.0)
                optimizer.tell(trial, told)
            found.append(min(losses))
        return np.mean(found)

    alone = best("random")
    for name in ("simple-ordered", "zero-shot", "quantile-transfer", "abrac"):
        assert best(name) < alone, name
