"""Populations: who is replaced, who is restarted, and differential evolution against SciPy's."""

import warnings

import numpy as np
import pytest
from scipy.optimize import differential_evolution
from scipy.stats import ks_2samp

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.evolutionary.differential_evolution import DifferentialEvolution
from hpobench_llm.optimizers.evolutionary.regularized_evolution import RegularizedEvolution
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

METRIC = toy_sphere().metrics["val_loss"]
SPACE = Space(tuple(Float(name, 0.0, 1.0) for name in "abc"))


def told(loss, **others):
    return Evaluation(metrics={"val_loss": loss, **others}, cost_seconds=1.0)


def losses_of(optimizer, function):
    found = []
    while (trial := optimizer.ask()) is not None:
        found.append(function(np.array([float(v) for v in trial.config.values()])))
        optimizer.tell(trial, told(found[-1]))
    return found


def bowl(x):
    return float(((x - 0.3) ** 2).sum())


def valley(x):
    """Rosenbrock's function on [-2, 2]."""
    y = 4 * x - 2
    return float((100 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2).sum())


@pytest.mark.slow
@pytest.mark.parametrize("function", [bowl, valley])
def test_differential_evolution_is_as_good_as_scipy_s(function):
    budget, seeds = 600, range(40)
    ours = [
        min(losses_of(DifferentialEvolution(SPACE, [METRIC], (), budget, seed), function))
        for seed in seeds
    ]
    theirs = []
    for seed in seeds:
        rng = np.random.default_rng(1000 + seed)
        result = differential_evolution(
            function,
            [(0.0, 1.0)] * 3,
            strategy="rand1bin",
            mutation=0.5,
            recombination=0.5,
            init=rng.random((20, 3)),
            maxiter=budget // 20 - 1,
            tol=0.0,
            polish=False,
            rng=rng,
        )
        assert result.nfev == budget
        theirs.append(result.fun)
    assert ks_2samp(ours, theirs).pvalue > 0.02
    # With these 40 seeds a scale of 0.2 is told apart on both.
    other = [min(losses_of(_scaled(0.2, budget, seed), function)) for seed in seeds]
    assert ks_2samp(other, theirs).pvalue < 0.01


def _scaled(scale, budget, seed):
    optimizer = DifferentialEvolution(SPACE, [METRIC], (), budget, seed)
    optimizer.scale = scale
    return optimizer


def test_a_challenge_takes_a_member_s_place_only_if_it_is_no_worse():
    optimizer = DifferentialEvolution(SPACE, [METRIC], (), 1000, 0)
    for _ in range(20):
        optimizer.tell(optimizer.ask(), told(0.5))
    before = [point.tolist() for point in optimizer._points]
    optimizer.tell(optimizer.ask(), told(0.6))
    assert [point.tolist() for point in optimizer._points] == before
    optimizer.tell(optimizer.ask(), told(0.5))  # a tie moves it on
    now = [point.tolist() for point in optimizer._points]
    assert [a != b for a, b in zip(before, now, strict=True)] == [False, True] + [False] * 18


def test_members_are_challenged_in_turn_and_never_twice_at_once():
    optimizer = DifferentialEvolution(SPACE, [METRIC], (), 1000, 0)
    for _ in range(20):
        optimizer.tell(optimizer.ask(), told(0.5))
    running = [optimizer.ask() for _ in range(20)]
    assert optimizer.ask() is None
    optimizer.tell(running[7], told(0.9))
    assert optimizer.ask() is not None
    assert sorted(target for target, _ in optimizer._challenges.values()) == list(range(20))


def test_a_large_design_replaces_the_first_draws():
    design = [{"a": a, "b": 0.5, "c": 0.5} for a in np.linspace(0.0, 1.0, 30)]
    optimizer = DifferentialEvolution(SPACE, [METRIC], (), 1000, 0, initial=design)
    for index in range(30):
        optimizer.tell(optimizer.ask(), told(float(index)))
    assert sorted(optimizer._losses) == [float(index) for index in range(20)]
    asked = optimizer.ask().config
    assert asked["b"] == asked["c"] == 0.5  # the differences of the members are along one axis


def test_the_oldest_dies_however_good():
    optimizer = RegularizedEvolution(SPACE, [METRIC], (), 1000, 0)
    optimizer.population = 5
    optimizer.set_up()
    first = optimizer.ask()
    optimizer.tell(first, told(-1.0))
    for _ in range(4):
        optimizer.tell(optimizer.ask(), told(0.5))

    def unchanged(child, parent):
        return sum(child.config[name] == parent.config[name] for name in "abc")

    # A sample of ten of five leaves the best out with a chance of 0.8**10, one in nine.
    children = [optimizer.ask() for _ in range(60)]
    assert sum(unchanged(child, first) == 2 for child in children) > 40
    for child in children[:5]:
        optimizer.tell(child, told(0.7))
    assert -1.0 not in [loss for loss, _ in optimizer._members]


cmaes = pytest.importorskip("cmaes")
from hpobench_llm.optimizers.evolutionary.cma_es import CmaEs  # noqa: E402 - needs the library


def test_cma_es_begins_at_the_best_of_the_design():
    design = [{"a": 0.1, "b": 0.8, "c": 0.5}, {"a": 0.9, "b": 0.2, "c": 0.5}]
    means = []
    for better in (0, 1):
        optimizer = CmaEs(SPACE, [METRIC], (), 1000, 0, initial=design)
        running = [optimizer.ask(), optimizer.ask()]
        assert optimizer.ask() is None  # it waits for the design
        for index, trial in enumerate(running):
            optimizer.tell(trial, told(float(index != better)))
        optimizer.ask()
        means.append(optimizer._cma.mean)
    assert np.allclose(means, [[0.1, 0.8, 0.5], [0.9, 0.2, 0.5]])


def test_cma_es_restarts_with_twice_the_population():
    optimizer = CmaEs(SPACE, [METRIC], (), 3000, 0)
    found = losses_of(optimizer, bowl)
    assert optimizer._restarts > 0
    assert optimizer._cma.population_size == 7 * 2**optimizer._restarts
    assert min(found) < 1e-8


def test_cma_es_solves_a_mixed_space_without_a_warning():
    space = Space(
        (
            Ordinal("rank", tuple(range(8))),
            Integer("warmup", 0, 30),
            Categorical("modules", ("q", "v", "qv")),
            Float("lr", 0.0, 1.0),
            Ordinal("epochs", (3,)),
        )
    )
    optimizer = CmaEs(space, [METRIC], (), 500, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = np.inf
        while (trial := optimizer.ask()) is not None:
            c = trial.config
            loss = (c["rank"] - 5) ** 2 + (c["warmup"] - 12) ** 2 / 9 + (c["lr"] - 0.3) ** 2
            loss += c["modules"] != "v"
            best = min(best, loss)
            optimizer.tell(trial, told(loss))
    assert best < 1e-4


def test_cma_es_learns_the_coordinates_that_were_moved():
    optimizer = CmaEs(SPACE, [METRIC], (), 1000, 0)
    for _ in range(7):
        trial = optimizer.ask()
        asked = optimizer._under_way[trial.number].point.copy()
        moved = type(trial)(trial.number, trial.config | {"a": 0.25})
        optimizer.tell(moved, told(1.0))
        if optimizer._generation:
            point, _ = optimizer._generation[-1]
            assert point[0] == 0.25
            assert (point[1:] == asked[1:]).all()


def test_a_metric_of_another_direction_is_minimised_too():
    score = Metric(name="score", unit="1", direction="maximize", worst=-1.0)
    optimizer = DifferentialEvolution(SPACE, [score], (), 400, 0)
    best = 0.0
    while (trial := optimizer.ask()) is not None:
        best = max(best, trial.config["a"])
        optimizer.tell(trial, told(0.0, score=trial.config["a"]))
    assert best > 0.999
