"""Benchmarks as test problems of BoTorch."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from botorch.test_functions.base import BaseTestProblem, MultiObjectiveTestProblem  # noqa: E402
from botorch.utils.multi_objective.hypervolume import Hypervolume  # noqa: E402
from botorch.utils.sampling import get_polytope_samples  # noqa: E402

from hpobench_llm.adapters import to_botorch  # noqa: E402
from hpobench_llm.benchmarks.tabular import TabularBenchmark  # noqa: E402
from hpobench_llm.errors import ConfigurationError  # noqa: E402
from hpobench_llm.testing.benchmarks import TwoLossToy, mixed, mixture, shares  # noqa: E402
from tests.problems import FINITE, table  # noqa: E402


@pytest.fixture
def bench(tmp_path):
    return TabularBenchmark(table(tmp_path / "t", FINITE, list(FINITE.configurations())))


def drawn(problem, count=20):
    low, high = problem.bounds
    points = low + (high - low) * torch.rand(
        (count, problem.dim), dtype=torch.double, generator=torch.Generator().manual_seed(0)
    )
    whole = [*problem.discrete_inds, *problem.categorical_inds]
    points[:, whole] = points[:, whole].round()
    return points


def test_points_get_the_losses_of_their_configurations(bench):
    problem = to_botorch(bench)
    assert isinstance(problem, BaseTestProblem)
    points = drawn(problem)
    configs = [problem.configuration(point) for point in points]
    assert len({bench.space.config_id(config) for config in configs}) > 3
    expected = [bench.query(config).metrics["val_loss"] for config in configs]
    assert problem(points).tolist() == expected
    assert problem(points.reshape(4, 5, -1)).shape == (4, 5)
    assert to_botorch(bench, negate=True)(points).tolist() == [-loss for loss in expected]
    assert problem.optimal_value == bench.optimum("val_loss")[1]


def test_every_kind_of_axis_is_reached():
    problem = to_botorch(mixed())
    configs = [problem.configuration(point) for point in drawn(problem, 200)]
    assert {config["modules"] for config in configs} == {"q", "v", "qv"}
    assert {config["rank"] for config in configs} == {1, 2, 4, 8}
    assert min(config["lr"] for config in configs) < 2e-5  # logarithmic


def test_a_fidelity_is_a_coordinate_with_a_price(bench):
    problem = to_botorch(bench, fidelity=True)
    (axis,), points = bench.fidelities, drawn(problem)
    (place,) = problem.target_fidelities
    points[:, place] = 0
    config = problem.configuration(points[0])
    first = bench.query(config, fidelity={axis.name: axis.values[0]})
    assert problem(points[:1]).item() == first.metrics["val_loss"]
    points[:, place] = problem.target_fidelities[place]
    assert problem.cost(points[:1]).item() == bench.query(config).cost_seconds


@pytest.mark.slow
def test_several_objectives_are_losses_with_a_reference_point(bench):
    problem = to_botorch(bench, ["val_loss", "score_toy"])
    assert isinstance(problem, MultiObjectiveTestProblem)
    points = drawn(problem, 3)
    losses = problem(points)
    assert losses.shape == (3, 2)
    score = bench.query(problem.configuration(points[0])).metrics["score_toy"]
    assert losses[0, 1].item() == bench.metrics["score_toy"].to_loss(score)
    names = ["val_loss", "score_toy"]
    point = bench.reference_point(names)
    assert problem.ref_point.tolist() == [bench.metrics[n].to_loss(point[n]) for n in names]
    front = bench.pareto_front(names)
    every = [
        [bench.metrics[n].to_loss(v) for n, v in zip(names, row, strict=True)]
        for row in front[names].to_numpy()
    ]
    negated = to_botorch(bench, names, negate=True)
    volume = Hypervolume(negated.ref_point).compute(-torch.tensor(every, dtype=torch.double))
    assert problem.max_hv == pytest.approx(volume)
    endless = to_botorch(mixed(), names)  # nothing is listed there
    worst = [mixed().metrics[n] for n in names]
    assert endless.ref_point.tolist() == pytest.approx([m.to_loss(m.worst) for m in worst])


class Training(TwoLossToy):
    kind = "live"

    def query(self, config, **kwargs):
        raise AssertionError("it trains")


@pytest.mark.parametrize("metrics", ["val_loss", ["val_loss", "far"]])
def test_nothing_is_trained_to_know_an_optimum(metrics):
    problem = to_botorch(Training("grid", FINITE), metrics)
    assert problem.dim == len(FINITE)


def test_noise_is_that_between_seeds_or_refused(bench, tmp_path):
    problem = to_botorch(bench, noise=True)
    assert problem.noise_std == bench.noise("val_loss").total > 0
    points = drawn(problem, 4)
    assert (problem(points) != problem(points, noise=False)).all()
    single = TabularBenchmark(
        table(tmp_path / "one", FINITE, list(FINITE.configurations()), seeds=(0,))
    )
    with pytest.raises(ConfigurationError, match="noise between seeds is not known"):
        to_botorch(single, noise=True)


@pytest.mark.parametrize("toy", [shares(), mixture()])
def test_proportions_are_bound_by_an_equality(toy):
    problem = to_botorch(toy)
    ((places, weights, total),) = problem.equality_constraints
    names = [toy.space.names[place] for place in places.tolist()]
    assert tuple(names) == toy.space.simplexes[0].axes
    matrix = torch.zeros(1, problem.dim, dtype=torch.double)
    matrix[0, places] = weights
    points = get_polytope_samples(
        8, problem.bounds, equality_constraints=[(places, weights, total)], seed=0
    )
    points[:, problem.discrete_inds] = points[:, problem.discrete_inds].round()
    for point, loss in zip(points, problem(points).tolist(), strict=True):
        config = problem.configuration(point)
        assert toy.space.canonical(config) == config
        assert loss == toy.query(config).metrics["val_loss"]
    points[0, places] = 0.5
    with pytest.raises(ConfigurationError, match=r"sum to 1\.5, not to one"):
        problem(points[:1])
