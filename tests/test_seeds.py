"""Seeds: which answer, and the two-way model in closed form, by simulation and at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.seeds import SeedEffects, answering, seed_effects, shared_seeds

RUNS = st.lists(st.sets(st.sampled_from([0, 1, 2, 7, 2**62]), min_size=1), min_size=1, max_size=8)


def flat(held: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the configuration and seed of two rows a run."""
    pairs = [(number, seed) for number, seeds in enumerate(held) for seed in seeds] * 2
    configs, seeds = np.array(pairs, dtype=np.int64).T
    return configs, seeds


@given(RUNS)
def test_what_answers_is_shared_by_all_or_as_many_of_each(held: list[set[int]]) -> None:
    configs, seeds = flat(held)
    shared = set.intersection(*held)
    assert shared_seeds(configs, seeds) == sorted(shared)
    used = answering(configs, seeds)
    for number, own in enumerate(held):
        mine = set(seeds[used & (configs == number)].tolist())
        assert mine == (shared or set(sorted(own)[: min(map(len, held))]))


def test_no_rows_have_no_seeds() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert shared_seeds(none, none) == []
    assert len(answering(none, none)) == 0
    assert np.isnan(seed_effects(none, none, none.astype(float)).noise.rest)


def fit(levels: np.ndarray, shifts: np.ndarray, rest: np.ndarray | float = 0.0) -> SeedEffects:
    """Fit every configuration with every seed."""
    configs, seeds = np.indices((len(levels), len(shifts))).reshape(2, -1)
    losses = (levels[:, None] + shifts + rest).ravel()
    return seed_effects(configs, seeds + 5, losses)


def test_seeds_that_shift_all_alike_leave_no_rest() -> None:
    shifts = np.array([-0.02, 0.0, 0.03, 0.01])
    found = fit(np.linspace(3, 4, 30), shifts)
    assert found.noise.shift == pytest.approx(np.std(shifts, ddof=1))
    assert found.noise.rest == pytest.approx(0.0, abs=1e-9)
    assert found.noise.total == pytest.approx(found.noise.shift)
    np.testing.assert_allclose(found.effects, shifts - shifts.mean(), atol=1e-9)
    np.testing.assert_allclose(
        found.of(np.array([6, 5, 99, 0])), [-0.005, -0.025, 0, 0], atol=1e-9
    )


def test_a_balanced_design_has_the_mean_squares_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    rest = rng.normal(0, 0.01, (3, 5))
    shifts = np.array([-0.06, -0.03, 0.0, 0.03, 0.06])
    found = fit(np.zeros(3), shifts, rest)  # so few that all are taken, for 8 degrees of freedom
    table = shifts + rest
    inside = table - table.mean(axis=1, keepdims=True)
    columns = inside.mean(axis=0)
    of_seeds = 3 * (columns**2).sum() / 4
    of_rest = ((inside - columns) ** 2).sum() / 8
    assert found.noise.rest == pytest.approx(np.sqrt(of_rest))
    assert found.noise.shift == pytest.approx(np.sqrt((of_seeds - of_rest) / 3))
    shrink = 3 / (3 + of_rest / found.noise.shift**2)
    np.testing.assert_allclose(found.effects, shrink * columns, atol=1e-12)


def test_both_parts_are_found_where_few_configurations_have_many_seeds() -> None:
    rng = np.random.default_rng(0)
    held = [range(10)] * 12 + [range(3)] * 30 + [range(1)] * 100
    configs, seeds = flat([set(own) for own in held])
    configs, seeds = configs[: len(configs) // 2], seeds[: len(seeds) // 2]
    parts = []
    for _ in range(60):
        shifts = rng.normal(0, 0.012, 10)
        losses = 0.05 * configs + shifts[seeds] + rng.normal(0, 0.004, len(seeds))
        noise = seed_effects(configs, seeds, losses).noise
        parts.append((noise.shift**2, noise.rest**2))
    shift, rest = np.sqrt(np.mean(parts, axis=0))
    assert shift == pytest.approx(0.012, rel=0.15)
    assert rest == pytest.approx(0.004, rel=0.1)


def test_without_a_shift_nothing_is_taken_away() -> None:
    rest = np.tile([[-1.0, 1.0], [1.0, -1.0]], (10, 1))
    found = fit(np.zeros(20), np.zeros(2), rest)
    assert found.noise.shift == 0.0
    np.testing.assert_array_equal(found.effects, 0.0)


def test_bad_configurations_say_nothing_of_the_good() -> None:
    chaos = np.zeros((200, 3))
    chaos[50:] = np.random.default_rng(0).normal(0, 5, (150, 3))
    levels = np.concatenate((np.zeros(50), np.full(150, 100.0)))
    found = fit(levels, np.array([0.0, 0.1, 0.2]), chaos)
    assert found.noise.shift == pytest.approx(0.1)
    assert found.noise.rest == pytest.approx(0.0, abs=1e-7)


def test_seeds_of_their_own_cannot_be_told_from_the_rest() -> None:
    configs = np.repeat(np.arange(20), 2)
    losses = np.tile([0.0, 1.0], 20)
    found = seed_effects(configs, np.arange(40), losses)
    assert np.isnan(found.noise.shift)
    assert found.noise.rest == found.noise.total == pytest.approx(np.sqrt(0.5))
    np.testing.assert_array_equal(found.of(np.arange(40)), 0.0)
    single = seed_effects(np.arange(20), np.zeros(20, dtype=int), np.arange(20.0))
    assert np.isnan(single.noise.rest)


def test_what_was_not_measured_is_left_out() -> None:
    configs = np.repeat(np.arange(12), 3)
    seeds = np.tile([0, 1, 2], 12)
    losses = configs + np.array([0.0, 0.5, 0.0])[seeds]
    whole = seed_effects(configs, seeds, losses)
    part = seed_effects(configs, seeds, np.where(seeds == 2, np.nan, losses))
    assert whole.noise.rest == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(part.effects, [-0.25, 0.25], atol=1e-9)
