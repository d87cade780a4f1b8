"""Proportions as axes: one canonical form, uniform draws, and the sticks that stand for them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpobench_llm import replay
from hpobench_llm.benchmarks.reference import best_known
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.optimizers.base import Optimizer, Suggestion
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Float, Integer, Ordinal, Simplex, Space
from hpobench_llm.sticks import StickSpace
from hpobench_llm.surrogates.encoding import ConfigEncoder, relaxed
from hpobench_llm.testing.benchmarks import mixture, shares
from tests.problems import table

EIGHTHS = tuple(i / 8 for i in range(9))
NAMES = ("a", "b", "c")
BOUND = (Simplex("share", NAMES),)
LATTICE = Space((*(Ordinal(name, EIGHTHS) for name in NAMES), Ordinal("rank", (1, 2))), BOUND)


@st.composite
def spaces(draw):
    k = draw(st.integers(2, 4))
    names = tuple(f"p{i}" for i in range(k))
    if draw(st.booleans()):
        low = [draw(st.sampled_from((0.0, 0.05, 0.2))) for _ in names]
        axes = [Float(name, least, 1.0) for name, least in zip(names, low, strict=True)]
    else:
        parts = draw(st.integers(2, 6))
        axes = [Ordinal(name, tuple(i / parts for i in range(parts + 1))) for name in names]
    return Space((Integer("n", 1, 5), *axes), (Simplex("share", names),))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(space=spaces(), seed=st.integers(0, 999))
def test_draws_codes_and_json_keep_to_the_simplex(space, seed):
    assert Space.from_json(space.to_json()) == space
    config = space.sample(seed)
    assert sum(config[name] for name in space.names[1:]) == pytest.approx(1.0)
    assert space.canonical(config) == config
    sticks = StickSpace.of(space)
    again = sticks.decode(sticks.encode(config))
    assert again == pytest.approx(config, abs=1e-9)
    rng = np.random.default_rng(seed)
    for coded in sticks.from_unit(rng.random((5, len(sticks)))):
        decoded = sticks.decode(sticks.canonical(coded))
        assert space.canonical(decoded) == decoded
    for snapped in space.from_unit(rng.random((5, len(space)))):
        assert space.canonical(snapped) == snapped


def test_a_lattice_lists_each_mixture_once_and_has_one_id_for_it():
    configs = list(LATTICE.configurations())
    assert len(configs) == LATTICE.size == 45 * 2
    assert len({LATTICE.config_id(config) for config in configs}) == 90
    rounded = {"rank": 1.0, "c": np.float32(0.125), "b": np.float32(0.25), "a": 0.625}
    assert LATTICE.canonical(rounded) == {"a": 0.625, "b": 0.25, "c": 0.125, "rank": 1}
    sticks = StickSpace.of(LATTICE)
    coded = [sticks.encode(config) for config in configs]
    assert [sticks.decode(sticks.canonical(each)) for each in coded] == configs
    assert [sticks.canonical(each) for each in coded] == coded


def test_thirds_which_no_float_holds_are_a_lattice_too():
    thirds = (0.0, 1 / 3, 2 / 3, 1.0)
    assert Space(tuple(Ordinal(name, thirds) for name in NAMES), BOUND).size == 10


def test_uniform_sticks_are_uniform_mixtures():
    sticks = StickSpace.of(LATTICE)
    points = (np.arange(45 * 8) + 0.5) / (45 * 8)
    rng = np.random.default_rng(0)
    cube = np.column_stack((rng.permutation(points), rng.random(len(points)), points))
    counts = Counter(config["a"] for config in map(sticks.decode, sticks.from_unit(cube)))
    assert [counts[level] for level in EIGHTHS] == [(9 - i) * 8 for i in range(9)]

    ranges = Space(tuple(Float(name, 0.0, 1.0) for name in NAMES), BOUND)
    code = StickSpace.of(ranges)
    grid = (np.arange(60) + 0.5) / 60
    cube = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    drawn = np.array([[*code.decode(c).values()] for c in code.from_unit(cube)])
    # Dirichlet(1, 1, 1): each mean 1/3, each variance 1/18, each covariance -1/36.
    assert drawn.mean(axis=0) == pytest.approx(np.full(3, 1 / 3), abs=2e-3)
    covariance = np.full((3, 3), -1 / 36) + np.eye(3) / 12
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=2e-3)


def test_ranges_are_projected_to_the_nearest_mixture():
    space = mixture().space  # chat >= 0, code >= 0.1, maths >= 0.2
    nearest = space.from_unit(np.array([[1.0, 0.0, 0.0]]))[0]
    assert nearest == pytest.approx({"chat": 0.9 - 0.2, "code": 0.1, "maths": 0.2})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.5, 0.5, 0.5), "`share`: a = 0.5, b = 0.5, c = 0.5 sum to 1.5, not to one; nearest: "),
        ((0.0, 0.0, 0.0), "sum to 0, not to one"),
        ((0.3, 0.3, 0.4), "`a`: 0.3 is not on its axis"),
    ],
)
def test_other_sums_are_refused(values, words):
    with pytest.raises(ConfigurationError) as caught:
        LATTICE.canonical({"rank": 1} | dict(zip(NAMES, values, strict=True)))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([Ordinal(n, (0.25, 0.5)) for n in "abc"], None),
        ([Ordinal(n, (0.5, 1.0)) for n in "abc"], "no combination of its levels sums to one"),
        ([Float("a", 0, 1), Ordinal("b", (0, 1)), Float("c", 0, 1)], "all ranges, or all lists"),
        ([Float("a", 0, 1), Float("c", 0, 1), Float("b", 0, 1)], "in this order"),
        ([Float("a", 0, 0.5), Float("b", 0, 1), Float("c", 0, 1)], "`a` ends at 0.5"),
        ([Float(n, 0.4, 1) for n in "abc"], "leave nothing"),
        ([Float("a", 0, 2), Float("b", 0, 1), Float("c", 0, 1)], "lies in [0, 1]"),
        ([Integer("a", 0, 1), Float("b", 0, 1), Float("c", 0, 1)], "has to be a real axis"),
    ],
)
def test_what_is_no_simplex_is_refused_in_one_line(axes, words):
    if words is None:
        assert Space(tuple(axes), BOUND).size == 3
        return
    with pytest.raises(ValueError, match="simplex `share`") as caught:
        Space(tuple(axes), BOUND)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class Stubborn(Optimizer):
    """Suggests proportions where sticks are wanted."""

    def suggest(self, number):
        return Suggestion({"rank": 1, "share_chat": 0.5, "share_code": 0.0, "share_maths": 0.5})

    def learn(self, trial, evaluation):
        pass


def test_an_optimizer_that_suggests_proportions_itself_is_told_how():
    problem = shares()
    metric = problem.metrics["val_loss"]
    solver = build(Stubborn, space=problem.space, objectives=(metric,), budget=2, seed=0)
    with pytest.raises(Exception, match=r"optimizer gives proportions as stick_share_chat"):
        solver.ask()


def test_a_surrogate_fills_a_lattice_in_only_where_that_is_the_simplex():
    filled = relaxed(LATTICE)
    between = {"a": 0.3, "b": 0.3, "c": 0.4, "rank": 1}
    assert ConfigEncoder(filled).numbers_of_many([between, between]).shape == (2, 4)
    with pytest.raises(ConfigurationError, match="not to one"):
        ConfigEncoder(filled).numbers_of_many([between, between | {"a": 0.4}])
    halves = Space(tuple(Ordinal(name, (0.0, 0.25, 0.5)) for name in NAMES), BOUND)
    assert relaxed(halves) == halves  # no share beyond a half was measured
    with pytest.raises(ConfigurationError, match="not on its axis"):
        ConfigEncoder(relaxed(halves)).numbers_of_many([{"a": 0.3, "b": 0.3, "c": 0.4}])


def test_the_best_of_a_simplex_of_ranges_is_found():
    space = mixture().space  # chat >= 0, code >= 0.1, maths >= 0.2
    target = {"chat": 0.15, "code": 0.5, "maths": 0.35}

    def losses(configs):
        return np.array([sum((c[n] - target[n]) ** 2 for n in target) for c in configs])

    config, loss = best_known(space, losses)
    assert loss < 1e-8
    assert space.canonical(config) == config


def test_a_table_of_a_lattice_is_dense_or_draws_what_it_has(tmp_path):
    configs = list(LATTICE.configurations())
    dense = TabularBenchmark(table(tmp_path / "dense", LATTICE, configs))
    assert dense.density == "dense: all 90 configurations of its grid"
    assert dense.space == LATTICE  # also after its way through table.json
    kept = configs[::4]
    sparse = TabularBenchmark(table(tmp_path / "sparse", LATTICE, kept))
    assert sparse.density == "sparse: 23 configurations of 90"
    assert all(sparse.space.sample(seed) in kept for seed in range(20))
    assert sparse.snap(configs[1]) in kept
    config, value = sparse.optimum("val_loss")
    assert value == min(sparse.query(each).metrics["val_loss"] for each in kept)
    assert config in kept
    runs = replay(sparse, "gp", budget=23, seed=0).to_frame()
    assert not runs["duplicate"].any()


def test_grid_search_takes_each_mixture_once():
    problem = shares()
    metric = problem.metrics["val_loss"]
    solver = build("grid", space=problem.space, objectives=(metric,), budget=99, seed=0)
    asked = [trial.config for trial in iter(solver.ask, None)]
    assert len(asked) == len({problem.space.config_id(config) for config in asked}) == 45


def test_a_moved_trial_is_learned_as_it_was_evaluated():
    problem = shares()
    metric = problem.metrics["val_loss"]
    solver = build("random", space=problem.space, objectives=(metric,), budget=9, seed=0)
    seen = []
    solver.learn = lambda trial, evaluation: seen.append(trial.config)
    trial = solver.ask()
    other = next(c for c in problem.space.configurations() if c != trial.config)
    moved = type(trial)(trial.number, other)
    solver.tell(moved, problem.query(other))
    assert seen == [solver.encoded(other)]
