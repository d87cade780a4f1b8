"""The trust region of `turbo`: its length, its place and what is drawn in it."""

import numpy as np
import pytest

pytest.importorskip("botorch")

from hpobench_llm.optimizers.model_based.turbo import Region, axis_lengths
from hpobench_llm.space import Categorical, Float, Ordinal, Space
from hpobench_llm.testing.benchmarks import TwoLossToy
from hpobench_llm.testing.drive import build_for

SPACE = Space(
    (Float("x", 0.0, 1.0), Categorical("name", ("a", "b", "c")), Ordinal("r", (1, 2, 4)))
)


def entered(losses, patience=4, **fields):
    region = Region(patience=patience, **fields)
    for number, loss in enumerate(losses):
        ok = np.isfinite(loss)
        region.enter(np.array([float(number)]), loss, ok, counts=number > 0)
    return region


def test_a_region_grows_with_successes_and_shrinks_with_failures():
    assert entered([5, 4, 3, 2]).length == 1.6
    assert entered([5, 4, 3, 2, 1, 0.9, 0.8]).length == 1.6  # no longer than that
    assert entered([5, 4, 3, 3, 2]).length == 0.8  # not in a row
    assert entered([5, 5, 6, 4.999, 7]).length == 0.4  # less than a thousandth is no success
    assert entered([5, np.inf, np.inf, np.inf, np.inf]).length == 0.4
    assert entered([5, 6, 6, 6, 6, 6, 6, 6, 6]).length == 0.2
    assert entered([5] + [6] * 3, length=0.3).length == 0.3


def test_the_centre_is_the_best_that_did_not_fail():
    assert entered([5.0, 3.0, np.inf, 4.0]).centre == 1.0


def test_names_have_the_mean_of_their_columns():
    assert axis_lengths(SPACE, np.array([2.0, 1.0, 2.0, 6.0, 0.5])) == pytest.approx([2, 3, 0.5])


def test_candidates_lie_in_the_region_stretched_by_its_lengths():
    solver = build_for("turbo", TwoLossToy("three", SPACE), budget=20)
    solver._region.length = 0.2
    centre = np.array([0.5, 0.5, 0.5])
    points, configs = solver._around(centre, np.array([4.0, 1.0, 1.0]))
    wide = 0.2 * 4.0 / 4.0 ** (1 / 3) / 2
    assert 0.9 * wide < np.abs(points[:, 0] - 0.5).max() <= wide
    assert {config["name"] for config in configs} == {"b"}  # a cell is a third of the range
    assert len(points) == len(configs) == len({str(config) for config in configs})
