"""The unit cube with equal cells, and the neighbourhood."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.optimizers.encoding import as_evaluated, decode, encode
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

SPACE = Space(
    (
        Ordinal("rank", (1, 2, 4, 8), log=True),
        Categorical("modules", ("q", "v", "qv")),
        Integer("warmup", 0, 4),
        Integer("batch", 1, 64, log=True),
        Float("lr", 1e-5, 1e-2, log=True),
        Ordinal("epochs", (3,)),
    )
)


@given(st.integers(0, 2**32))
def test_a_configuration_comes_back_from_its_point(seed):
    config = SPACE.sample(np.random.default_rng(seed))
    point = encode(SPACE, config)
    assert ((point >= 0) & (point <= 1)).all()
    back = decode(SPACE, point)
    assert back.pop("lr") == pytest.approx(config.pop("lr"))
    assert back == config


@pytest.mark.parametrize("axis", ["rank", "modules", "warmup"])
def test_every_value_has_a_cell_of_the_same_length(axis):
    points = np.full((600, len(SPACE)), 0.5)
    points[:, SPACE.names.index(axis)] = (np.arange(600) + 0.5) / 600
    counts = Counter(decode(SPACE, point)[axis] for point in points)
    assert set(counts.values()) == {600 // len(counts)}


def test_the_cells_of_an_integer_range_with_log_are_equal_in_the_logarithm():
    index = SPACE.names.index("batch")
    points = np.full((20_000, len(SPACE)), 0.5)
    points[:, index] = (np.arange(20_000) + 0.5) / 20_000
    counts = Counter(decode(SPACE, point)["batch"] for point in points)
    width = np.log(64.5) - np.log(0.5)
    for value in (1, 2, 31, 64):
        share = (np.log(value + 0.5) - np.log(value - 0.5)) / width
        assert counts[value] / 20_000 == pytest.approx(share, abs=2e-4)


def test_the_corners_of_the_cube_are_in_the_space():
    for corner in (np.zeros(len(SPACE)), np.ones(len(SPACE)), np.full(len(SPACE), 1.7)):
        config = decode(SPACE, corner)
        assert SPACE.canonical(config) == config


def test_a_point_is_kept_unless_the_configuration_was_moved():
    point = np.random.default_rng(0).random(len(SPACE))
    config = decode(SPACE, point)
    assert as_evaluated(SPACE, point, config) is point
    moved = config | {"lr": 1e-3}
    assert (as_evaluated(SPACE, point, moved) == encode(SPACE, moved)).all()


def test_a_neighbour_differs_on_one_axis_and_every_axis_has_its_turn():
    rng = np.random.default_rng(0)
    config = {"rank": 2, "modules": "v", "warmup": 2, "batch": 8, "lr": 1e-4, "epochs": 3}
    changed, ranks = Counter(), Counter()
    for _ in range(5000):
        other = neighbour(SPACE, config, rng)
        (axis,) = [name for name in config if other[name] != config[name]]
        changed[axis] += 1
        if axis == "rank":
            ranks[other["rank"]] += 1
    # 1000 an axis, give or take 28; a third of those of rank each, give or take 15.
    assert set(changed) == {"rank", "modules", "warmup", "batch", "lr"}
    assert all(880 < count < 1120 for count in changed.values()), changed
    assert set(ranks) == {1, 4, 8}
    assert all(260 < count < 410 for count in ranks.values()), ranks


def test_a_single_configuration_is_its_own_neighbour():
    space = Space((Ordinal("epochs", (3,)), Categorical("modules", ("q",))))
    config = {"epochs": 3, "modules": "q"}
    assert neighbour(space, config, np.random.default_rng(0)) == config
