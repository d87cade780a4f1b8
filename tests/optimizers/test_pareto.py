"""Fronts against a definition that nobody can misread, and orders in a front."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.optimizers.pareto import epsilon_net, fronts, unit_scaled
from hpobench_llm.optimizers.scalarisation import chebyshev, normalised


def arrays(low=1):
    """Arrays of 1 to 4 columns of few values, so that ties are common."""
    return st.integers(1, 4).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 3), min_size=k, max_size=k), min_size=low, max_size=12
        ).map(lambda rows: np.array(rows, dtype=float))
    )


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(
        x < y for x, y in zip(a, b, strict=True)
    )


@given(arrays())
def test_fronts_are_those_of_the_definition(losses):
    left, expected = list(range(len(losses))), []
    while left:
        front = [
            i for i in left if not any(dominates(losses[j], losses[i]) for j in left if j != i)
        ]
        expected.append(front)
        left = [i for i in left if i not in front]
    assert [list(front) for front in fronts(losses)] == expected


def test_no_losses_have_no_fronts():
    assert fronts(np.zeros((0, 2))) == []


@given(arrays())
def test_an_epsilon_net_takes_the_farthest_from_all_before(losses):
    order = epsilon_net(losses)
    assert sorted(order) == list(range(len(losses)))
    assert losses[order[0], 0] == losses[:, 0].min()
    scaled = unit_scaled(losses)
    for count in range(1, len(order)):
        before = scaled[order[:count]]
        distances = [min(np.linalg.norm(scaled[i] - p) for p in before) for i in order[count:]]
        assert distances[0] >= max(distances) - 1e-12


def test_units_do_not_matter_to_a_net():
    losses = np.random.default_rng(0).random((20, 2))
    assert epsilon_net(losses) == epsilon_net(losses * [1.0, 1000.0] + [0.0, 5.0])


@given(arrays(2), st.integers(0, 1000))
def test_the_best_scalarised_value_is_on_the_front(losses, seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(losses.shape[1])) + 1e-3
    values = chebyshev(losses, weights)
    best = np.flatnonzero(values <= values.min() * (1 + 1e-12))
    assert set(best) & set(fronts(losses)[0])


def test_every_point_of_a_concave_front_is_best_for_some_weights():
    angles = np.linspace(0.05, np.pi / 2 - 0.05, 9)
    losses = 1.0 - np.column_stack((np.cos(angles), np.sin(angles))) * 0.9
    concave = losses.max() - losses[:, ::-1] + 0.1
    best = {
        int(np.argmin(chebyshev(concave, np.array([w, 1.0 - w]))))
        for w in np.linspace(0.01, 0.99, 199)
    }
    assert best == set(range(9))


def test_failures_do_not_squeeze_the_rest():
    losses = np.array([[1.0, 10.0], [2.0, 30.0], [1e9, 1e9]])
    scaled = normalised(losses, np.array([True, True, False]))
    assert scaled.tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert normalised(losses, np.zeros(3, dtype=bool)).tolist() == [[1.0, 1.0]] * 3
