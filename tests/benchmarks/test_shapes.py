"""Tables of every shape against a filter over their rows: what is there, and only that."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import (
    ConfigurationError,
    NotInTableError,
    NotMeasuredError,
    UnknownNameError,
)
from hpobench_llm.replaying.replay import replay
from tests.problems import FINITE, METRICS, REAL, SHARE, STEP, points, table

GRID = list(FINITE.configurations())


def naive(bench, config, level, seed):
    """Return the rows of a cell."""
    found = bench.table.frame
    for name, value in {**config, **level}.items():
        found = found[found[name] == value]
    return found if seed is None else found[found["seed"] == seed]


def ragged(number, seed, level):
    """Own seeds for every configuration, and runs that end early."""
    return seed in (number % 3, (number + 1) % 3) and (number % 4 > 0 or level[0] <= 2)


@pytest.fixture
def bench(tmp_path):
    return TabularBenchmark(
        table(tmp_path / "t", FINITE, GRID, (STEP, SHARE), seeds=(0, 1, 2), keep=ragged)
    )


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize("step", STEP.values)
@pytest.mark.parametrize("share", SHARE.values)
def test_every_cell_of_two_axes_is_its_rows_or_an_error(bench, seed, step, share):
    level = {"step": step, "share": share}
    there = []
    for config in GRID:
        rows = naive(bench, config, level, seed)
        if rows.empty:
            with pytest.raises(NotInTableError, match=f"not measured.*step = {step} and share"):
                bench.query(config, fidelity=level, seed=seed)
            with pytest.raises(NotInTableError, match="not measured"):
                bench.query_many([config], fidelity=level, seed=seed)
            continue
        there.append(config)
        answer = bench.query(config, fidelity=level, seed=seed)
        assert answer.metrics["val_loss"] == pytest.approx(rows["val_loss"].mean())
        assert answer.cost_seconds == pytest.approx((rows["train_seconds"] + 0.5).mean())
        assert answer.tokens == pytest.approx(rows["tokens_seen"].mean())
    assert 0 < len(there) <= len(GRID)
    many = bench.query_many(there, fidelity=level, seed=seed)
    one = [bench.query(c, fidelity=level, seed=seed).metrics["val_loss"] for c in there]
    assert list(many["val_loss"]) == one


def test_a_run_that_ended_early_is_no_candidate_and_is_stepped_around(bench):
    ended = [c for number, c in enumerate(GRID) if number % 4 == 0]
    assert bench.query(ended[0], fidelity={"step": 2}).status == "ok"
    with pytest.raises(NotInTableError, match="its run was measured at step = 1 and share"):
        bench.query(ended[0])
    assert bench.snap(ended[0]) not in ended
    assert bench.snap(ended[0], fidelity={"step": 2}) == ended[0]
    for metric in METRICS:
        config, value = bench.optimum(metric.name)
        losses = {
            number: metric.to_loss(
                naive(bench, c, {"step": 4, "share": 1.0}, None)[metric.name].mean()
            )
            for number, c in enumerate(GRID)
            if c not in ended
        }
        best = min(losses, key=losses.get)
        assert (config, value) == (GRID[best], pytest.approx(metric.from_loss(losses[best])))


def test_the_front_is_that_of_the_runs_in_full(bench):
    names = [metric.name for metric in METRICS]
    means = {
        number: [
            m.to_loss(naive(bench, c, {"step": 4, "share": 1.0}, None)[m.name].mean())
            for m in METRICS
        ]
        for number, c in enumerate(GRID)
        if number % 4
    }
    front = [
        bench.space.config_id(GRID[number])
        for number, mine in means.items()
        if not any(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
            for other in means.values()
        )
    ]
    found = bench.pareto_front(names)
    assert sorted(found["config_id"]) == sorted(front)
    corners = np.array(sorted(means[n] for n in means if bench.space.config_id(GRID[n]) in front))
    # In ranges of the front the ideal point is 0, its worst is 1 and the reference point 1.1.
    scaled = (corners - corners.min(axis=0)) / np.ptp(corners, axis=0)
    area, ceiling = 0.0, 1.1
    for loss, other in scaled:
        area += (1.1 - loss) * (ceiling - other)
        ceiling = other
    point = [m.to_loss(bench.reference_point(names)[m.name]) for m in METRICS]
    assert point == pytest.approx(corners.max(axis=0) + 0.1 * np.ptp(corners, axis=0))
    assert bench.hypervolume(names, found) == pytest.approx(area)
    assert bench.hypervolume(names, found[names].to_numpy()) == pytest.approx(area)
    assert bench.hypervolume(names, found[names].to_dict("records")) == pytest.approx(area)
    one_less = found.iloc[1:]
    assert bench.hypervolume(names, one_less) < area
    worst = {metric.name: metric.worst for metric in METRICS}
    far = np.array([metric.to_loss(metric.worst) for metric in METRICS]) - corners.min(axis=0)
    only = bench.hypervolume(names, found.iloc[:1], reference=worst)
    assert area < only < np.prod(far / np.ptp(corners, axis=0))
    with pytest.raises(UnknownNameError, match="metric of `reference` 'score_toy'"):
        bench.hypervolume(names, found, reference={"val_loss": 9.0})


def test_a_front_is_looked_for_once_and_every_variant_has_its_own(bench, monkeypatch):
    names, fronts = [metric.name for metric in METRICS], []
    find = TabularBenchmark.pareto_front
    monkeypatch.setattr(
        TabularBenchmark, "pareto_front", lambda b, n: fronts.append(b) or find(b, n)
    )
    limited, judge = bench.constrained({"peak_memory_bytes": 3500.0}), bench.judge()
    variants = [bench.constrained({}), limited, judge, limited.judge()]
    points = [{m.name: m.worst for m in METRICS}]
    for one in variants:
        first = one.reference_point(names)
        assert one.reference_point(names) == first
        one.hypervolume(names, points)
        assert one.constrained({}).reference_point(names) == first
    assert fronts[::2] == variants
    assert limited.reference_point(names) != variants[0].reference_point(names)


def test_bounds_are_kept_by_the_optimum_and_the_front(bench):
    limited = bench.constrained({"peak_memory_bytes": 3500.0, "score_toy": 0.1})
    assert bench.constraints == ()
    kept = [
        config
        for number, config in enumerate(GRID)
        if number % 4
        and (rows := naive(bench, config, {"step": 4, "share": 1.0}, None))[
            "peak_memory_bytes"
        ].mean()
        <= 3500
        and rows["score_toy"].mean() >= 0.1
    ]
    assert 0 < len(kept) < len(GRID) - 3
    assert limited.optimum("val_loss")[0] in kept
    assert limited.optimum("val_loss") != bench.optimum("val_loss")
    ids = [limited.space.config_id(config) for config in kept]
    assert set(limited.pareto_front(["val_loss", "score_toy"])["config_id"]) <= set(ids)
    many = limited.query_many([c for n, c in enumerate(GRID) if n % 4])
    for row, config in enumerate([c for n, c in enumerate(GRID) if n % 4]):
        answer = limited.query(config)
        assert answer.feasible == (config in kept)
        for name, excess in answer.constraints.items():
            assert many[f"constraint_{name}"][row] == excess
    with pytest.raises(NotMeasuredError, match="keeps peak_memory_bytes 1 bytes"):
        bench.constrained({"peak_memory_bytes": 1}).optimum("val_loss")
    again = limited.constrained({"peak_memory_bytes": 1e9})
    assert [c.bound for c in again.constraints] == [1e9, 0.1]


def test_without_an_axis_every_row_is_in_full(tmp_path):
    bench = TabularBenchmark(table(tmp_path / "t", FINITE, GRID, ()))
    for config in GRID:
        rows = naive(bench, config, {}, 1)
        assert bench.query(config, seed=1).metrics["val_loss"] == rows["val_loss"].item()
    assert bench.fidelity_levels(None) == ()
    assert bench.query(GRID[0]) == bench.query(GRID[0], fidelity={})
    frame = replay(bench, "random", budget=4, seed=0).to_frame()
    assert (frame["cost_seconds"] > 0).all()


def test_unknown_costs_are_nan_and_a_replay_counts_trials(tmp_path):
    bench = TabularBenchmark(table(tmp_path / "t", FINITE, GRID, costs=False))
    answer = bench.query(GRID[0])
    assert math.isnan(answer.cost_seconds)
    assert math.isnan(answer.tokens)
    assert answer.status == "ok"
    assert bench.constrained({"cost_seconds": 5.0}).query(GRID[0]).constraints == {
        "cost_seconds": math.inf
    }
    frame = replay(bench, "random", budget=4, seed=0, workers=2).to_frame()
    assert list(frame["finished_seconds"]) == [1.0, 1.0, 2.0, 2.0]
    assert frame["cost_seconds"].isna().all()


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    return TabularBenchmark(table(tmp_path_factory.mktemp("s") / "t", REAL, points(REAL, 60)))


@given(st.floats(-1.0, 1.0), st.floats(1e-4, 1e-1))
def test_snapping_finds_the_nearest_of_scattered_points(scattered, x, lr):
    config = {"x": x, "lr": lr}
    found = scattered.snap(config)
    (mine,) = REAL.to_unit([config])
    apart = [float(((REAL.to_unit([p])[0] - mine) ** 2).sum()) for p in points(REAL, 60)]
    assert ((REAL.to_unit([found])[0] - mine) ** 2).sum() == pytest.approx(min(apart))
    assert scattered.query(found).status == "ok"


def test_another_name_is_as_far_as_the_ends_of_an_axis(tmp_path):
    configs = [{"rank": 1, "target": "q"}, {"rank": 16, "target": "all"}]
    bench = TabularBenchmark(table(tmp_path / "t", FINITE, configs))
    assert bench.snap({"rank": 4, "target": "all"}) == configs[1]
    assert bench.snap({"rank": 16, "target": "q"}) == configs[0]


@given(st.lists(st.integers(0, 59), max_size=40))
def test_positions_frames_and_mappings_name_the_same_rows(scattered, chosen):
    listed = scattered.configurations()
    configs = listed.drop(columns="config_id").to_dict("records")
    many = scattered.query_many([configs[index] for index in chosen])
    by_position = scattered.query_many(np.array(chosen, dtype=np.int64))
    by_frame = scattered.query_many(listed.iloc[chosen])
    pd.testing.assert_frame_equal(many, by_position)
    pd.testing.assert_frame_equal(many, by_frame)


@pytest.mark.parametrize(
    "bad",
    [np.array([60]), np.array([-1]), np.array([0.0]), np.array([[0]]), np.array([True])],
    ids=repr,
)
def test_a_position_that_is_none_is_named(scattered, bad):
    with pytest.raises(ConfigurationError, match=r"configurations\(\)"):
        scattered.query_many(bad)


def test_another_spelling_is_found_and_a_stranger_is_named_in_a_frame(scattered):
    listed = scattered.configurations().drop(columns="config_id")
    with pytest.raises(NotInTableError, match=r"was not measured; nearest: \{'x'"):
        scattered.query_many(listed.assign(x=0.123))
    with pytest.raises(ConfigurationError, match=r"`lr`: a number is expected, got '0\.01'"):
        scattered.query_many(listed.assign(lr="0.01"))
    as_objects = listed.astype(object)
    pd.testing.assert_frame_equal(scattered.query_many(as_objects), scattered.query_many(listed))


@pytest.mark.parametrize("seed", [True, 1.0, "1", math.nan], ids=repr)
def test_a_seed_that_is_no_whole_number_is_refused(scattered, seed):
    with pytest.raises(ConfigurationError, match="seed: a whole number or None"):
        scattered.query(points(REAL, 60)[0], seed=seed)


def test_a_seed_that_the_table_lacks_is_named(scattered):
    config = points(REAL, 60)[0]
    assert scattered.query(config, seed=np.int64(1)) == scattered.query(config, seed=1)
    with pytest.raises(NotInTableError, match=r"seed 7 .*: 0, 1, nearest: 1"):
        scattered.query(config, seed=7)
