"""Fronts and hypervolumes against brute force and closed forms; constraints."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.pareto import hypervolume, nondominated


def clouds(objectives):
    point = st.tuples(*[st.integers(0, 5)] * objectives)  # few values: ties and duplicates
    return st.lists(point, min_size=1, max_size=12).map(lambda p: np.array(p, dtype=float))


@given(st.integers(1, 4).flatmap(clouds))
def test_the_front_is_what_brute_force_says(points):
    beaten = [
        any(np.all(other <= point) and np.any(other < point) for other in points)
        for point in points
    ]
    assert list(nondominated(points)) == [not b for b in beaten]


def included_and_excluded(points, reference):
    """The volume of a union of boxes, by inclusion and exclusion."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in combinations(points, size):
            sides = np.maximum(reference - np.max(chosen, axis=0), 0.0)
            total -= (-1) ** size * float(np.prod(sides))
    return total


@given(st.integers(1, 4).flatmap(lambda m: clouds(m).map(lambda p: p[:7])))
def test_the_hypervolume_is_that_of_the_union_of_boxes(points):
    reference = np.full(points.shape[1], 4.0)  # some points lie beyond it
    expected = included_and_excluded(points, reference)
    assert hypervolume(points, reference) == pytest.approx(expected)


def test_a_staircase():
    steps = np.array([[float(i), float(9 - i)] for i in range(10)])
    assert hypervolume(steps, np.array([10.0, 10.0])) == sum(range(1, 11))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_an_excess_is_zero_or_less_where_the_bound_is_kept(value, bound):
    upper = Constraint(name="seconds", bound=bound, unit="s")
    lower = Constraint(name="score", bound=bound, unit="", direction="maximize")
    assert (upper.excess(value) <= 0) == (value <= bound)
    assert (lower.excess(value) <= 0) == (value >= bound)
    for constraint in (upper, lower):
        assert constraint.excesses(np.array([value]))[0] == constraint.excess(value)


def test_what_was_not_measured_keeps_no_bound():
    constraint = Constraint(name="seconds", bound=1.0, unit="s")
    assert constraint.excess(math.nan) == math.inf
    assert list(constraint.excesses(np.array([math.nan, 0.5]))) == [math.inf, -0.5]
    with pytest.raises(ValueError, match="finite bound"):
        Constraint(name="seconds", bound=math.nan, unit="s")


def test_an_evaluation_is_feasible_only_if_every_bound_is_kept():
    def made(**excesses):
        return Evaluation(metrics={}, cost_seconds=0.0, constraints=excesses)

    assert made().feasible
    assert made(a=0.0, b=-1.0).feasible
    assert not made(a=0.0, b=1e-9).feasible
    assert not made(a=math.inf).feasible
