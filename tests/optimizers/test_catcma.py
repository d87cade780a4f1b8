"""`catcma` and `catcma-mo` move the library's distributions, with what was really evaluated."""

import numpy as np
import pytest

pytest.importorskip("cmaes")

from cmaes._uhvi_archiving import UHVIArchive2D
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.evolutionary.catcma import kernel
from hpobench_llm.optimizers.evolutionary.catcma_mo import uncrowded_improvement
from hpobench_llm.optimizers.evolutionary.mixed import MixedSpace
from hpobench_llm.pareto import hypervolume
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.testing.benchmarks import TwoLossToy
from hpobench_llm.testing.drive import configs

SPACE = Space(
    (
        Float("lr", 1e-5, 1e-2, log=True),
        Ordinal("rank", (1, 4, 16, 64)),
        Categorical("modules", ("q", "v", "qv")),
        Ordinal("batch", (8, 16)),
        Integer("epochs", 1, 5),
        Integer("steps", 10, 10_000, log=True),
        Categorical("kind", ("lora",)),
    )
)


def test_every_axis_is_in_the_list_that_fits_it():
    mixed = MixedSpace(SPACE)
    names = [[d.name for d in axes] for axes in (mixed.x, mixed.z, mixed.c)]
    assert names == [["lr", "steps"], ["rank", "epochs"], ["modules", "batch"]]
    assert mixed.lists["z_space"][0] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert mixed.lists["c_space"] == [3, 2]
    assert MixedSpace(Space((Ordinal("r", (8,)), Categorical("k", ("a",))))).empty


@given(st.integers(0, 2**20))
def test_a_configuration_is_one_point_of_the_library(seed):
    mixed, rng = MixedSpace(SPACE), np.random.default_rng(seed)
    start, other = SPACE.sample(rng), SPACE.sample(rng)
    solution = kernel(mixed, start, seed=1).ask()
    asked = SPACE.canonical(mixed.config(solution))
    assert mixed.moved(solution, asked)._v_raw.tolist() == solution._v_raw.tolist()
    moved = mixed.moved(solution, other)
    same = [asked[d.name] == other[d.name] for d in (*mixed.x, *mixed.z)]
    expected = np.where(same, solution._v_raw, mixed.mean(other))
    assert moved._v_raw.tolist() == expected.tolist()
    chosen = [[d.values.index(other[d.name])] for d in mixed.c]
    assert [np.flatnonzero(row).tolist() for row in moved.c] == chosen


def test_names_get_a_distribution_where_cmaes_has_an_order():
    # The good name lies between two bad ones, which an order has to cross.
    space = Space((Categorical("name", tuple("abcde")), Float("x", 0.0, 1.0)))
    problem = TwoLossToy("middle", space)

    def outcome(trial, _):
        loss = (trial.config["name"] != "c") + (trial.config["x"] - 0.3) ** 2
        return trial, Evaluation(metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0)

    late = [
        c["name"]
        for s in range(4)
        for c in configs("catcma", problem, seed=s, budget=120, outcome=outcome)[60:]
    ]
    assert late.count("c") > 0.7 * len(late)


columns = st.tuples(*[st.permutations(range(12))] * 2)  # no two points share a coordinate


@given(columns, st.integers(2, 8))
def test_the_improvement_is_the_library_s_for_two_objectives(columns, count):
    points, reference = np.array(columns, float).T[:count], np.array([12.0, 12.0])
    theirs = UHVIArchive2D(points[1:]).uhvi(points[0], reference)
    assert uncrowded_improvement(points[0], points[1:], reference) == pytest.approx(theirs)


def test_a_tie_with_a_mean_adds_nothing():
    # The library's own formula says -13 here.
    tied = uncrowded_improvement(np.array([0.0, 1.0]), np.zeros((1, 2)), np.full(2, 13.0))
    assert tied == 0.0


def test_the_improvement_of_three_objectives_in_closed_form():
    front = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    reference = np.array([2.0, 2.0, 2.0])
    inside = np.array([0.5, 0.5, 0.5])
    added = hypervolume(np.vstack([front, inside]), reference) - hypervolume(front, reference)
    assert uncrowded_improvement(inside, front, reference) == pytest.approx(added)
    # (1.5, 1.5, 1.5) is dominated by all three; nearest is the corner where two axes are 1.
    worse = uncrowded_improvement(np.array([1.5, 1.5, 1.5]), front, reference)
    assert worse == pytest.approx(-np.sqrt(0.5))
    assert uncrowded_improvement(front[0], front, reference) == 0.0
