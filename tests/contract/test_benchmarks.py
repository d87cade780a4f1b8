"""The contract of every kind of benchmark: pure, one as many, bad input named."""

import math

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError, HpobenchError, UnknownNameError
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.conftest import closed_form_rows, write_table
from tests.problems import FINITE, REAL, SHARE, STEP, points, table

GRID = list(FINITE.configurations())


def _surrogate(folder):
    return SurrogateBenchmark(fit(Table.load(write_table(folder, closed_form_rows())), folds=2))


KINDS = {
    "toy-bowl": lambda _: load("toy-bowl"),
    "toy-sphere": lambda _: load("toy-sphere"),
    "shipped table": lambda _: load("lora-nano"),
    "table": lambda f: TabularBenchmark(table(f, FINITE, GRID)),
    "no fidelity": lambda f: TabularBenchmark(table(f, FINITE, GRID, ())),
    "two fidelities": lambda f: TabularBenchmark(table(f, FINITE, GRID, (STEP, SHARE))),
    "no costs": lambda f: TabularBenchmark(table(f, FINITE, GRID, costs=False)),
    "no grid": lambda f: TabularBenchmark(table(f, REAL, points(REAL, 30))),
    "surrogate": _surrogate,
}


@pytest.fixture(scope="module", params=KINDS)
def bench(request, tmp_path_factory, quick) -> Benchmark:
    return KINDS[request.param](tmp_path_factory.mktemp("b") / "t")


def some(bench, count=6):
    rng = np.random.default_rng(1)
    return [bench.snap(bench.space.sample(rng)) for _ in range(count)]


def test_equal_arguments_give_equal_answers(bench):
    for config in some(bench):
        one, other = bench.query(config), bench.query(dict(reversed(config.items())))
        assert str(one) == str(other)  # NaN costs too
        assert set(one.metrics) <= set(bench.metrics)
        assert one.constraints == {}
        assert one.feasible


def test_many_are_as_one(bench):
    configs = some(bench)
    lowest = {axis.name: axis.values[0] for axis in bench.fidelities}
    for fidelity in (None, lowest, dict(list(lowest.items())[:1])):
        many = bench.query_many(configs, fidelity=fidelity)
        pd.testing.assert_frame_equal(
            bench.query_many(pd.DataFrame(configs), fidelity=fidelity), many
        )
        assert list(many.columns) == [*bench.metrics, "status", "cost_seconds", "tokens"]
        for row, config in enumerate(configs):
            one = bench.query(config, fidelity=fidelity)
            found = [one.metrics.get(name, math.nan) for name in bench.metrics]
            expected = many.loc[row, list(bench.metrics)].to_numpy(dtype=float)
            assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
            assert one.status == many["status"][row]
            assert one.cost_seconds == pytest.approx(many["cost_seconds"][row], nan_ok=True)
            assert one.tokens == pytest.approx(many["tokens"][row], nan_ok=True)


def test_nothing_asked_for_is_no_row(bench):
    assert len(bench.query_many([])) == 0


def test_an_axis_that_is_not_named_is_in_full(bench):
    (config,) = some(bench, 1)
    full = {axis.name: axis.full for axis in bench.fidelities}
    assert str(bench.query(config, fidelity=full)) == str(bench.query(config))
    for name, value in full.items():
        assert str(bench.query(config, fidelity={name: value})) == str(bench.query(config))
        by_numpy = bench.query(config, fidelity={name: np.float64(value)})
        assert str(by_numpy) == str(bench.query(config))


def test_only_the_metrics_asked_for(bench):
    (config,) = some(bench, 1)
    for name in bench.metrics:
        assert set(bench.query(config, metrics=[name]).metrics) <= {name}
    with pytest.raises(UnknownNameError, match="unknown metric 'val_los'; did you mean"):
        bench.query(config, metrics=["val_los"])


def test_nothing_is_better_than_the_optimum(bench):
    for metric in bench.metrics.values():
        config, value = bench.optimum(metric.name)
        answer = bench.query(config)
        assert answer.loss(metric) == pytest.approx(metric.to_loss(value))
        for other in some(bench, 20):
            assert bench.query(other).loss(metric) >= metric.to_loss(value) - 1e-9


@pytest.mark.slow
def test_the_reference_point_lies_a_tenth_of_the_front_beyond_it(bench):
    names = list(bench.metrics)[:2]
    chosen = [bench.metrics[name] for name in names]
    front = bench.pareto_front(names)
    losses = np.column_stack([m.to_loss(1.0) * front[m.name].to_numpy(float) for m in chosen])
    span = np.ptp(losses, axis=0)
    away = np.array([m.to_loss(m.worst) for m in chosen]) - losses.min(axis=0)
    beyond = losses.max(axis=0) + 0.1 * np.where(span > 0, span, away)
    point = bench.reference_point(names)
    assert [m.to_loss(point[m.name]) for m in chosen] == pytest.approx(beyond)
    assert bench.hypervolume(names, [point]) == pytest.approx(0.0)
    assert bench.hypervolume(names, []) == 0.0
    whole = bench.hypervolume(names, front)
    assert 0 < whole <= 1.1**2 + 1e-9
    assert bench.hypervolume(names, pd.concat([front, front.iloc[:1]])) == pytest.approx(whole)


def test_it_says_what_it_is(bench):
    assert bench.kind in ("table", "surrogate", "live", "toy")
    told = bench.identity(list(bench.metrics))
    assert told["kind"].startswith(bench.kind)
    assert all(isinstance(value, str) and value for value in told.values())
    if bench.kind == "table":
        whole = len(bench.configurations())
        assert told["sha256"] == bench.table.metadata.table_sha256
        words = "dense: all" if "no grid" not in told["configurations"] else "sparse:"
        assert told["configurations"].startswith(f"{words} {whole} configurations")
    if bench.kind == "surrogate":
        assert not bench.optimum_known
        assert told["held-out quality in full"].startswith("val_loss: R²")
        assert told["ranking check"] == "not made"


def test_what_judges_knows_no_less(bench):
    judge = bench.judge()
    for config in some(bench):
        answer, judged = bench.query(config), judge.query(config)
        assert set(judged.metrics) >= set(answer.metrics)
        assert bench.kind == "table" or judge is bench
    for name in list(bench.metrics)[:1]:
        noise = bench.noise(name)
        assert not noise.rest < 0
        assert not noise.shift < 0


BAD = ["missing", "extra", True, "3", math.nan, math.inf, -1e9, None, [1], b"1", 1j]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_bad_configuration_is_named(bench, bad):
    (config,) = some(bench, 1)
    name = bench.space.names[0]
    config = dict(config)
    if bad == "missing":
        del config[name]
    elif bad == "extra":
        config["rnak"] = 1
    else:
        config[name] = bad
    word = "rnak" if bad == "extra" else name
    with pytest.raises(ConfigurationError, match=word):
        bench.query(config)
    with pytest.raises(ConfigurationError, match=word):
        bench.query_many([*some(bench, 2), config])
    good = some(bench, 2)
    frame = pd.DataFrame([config]) if bad in ("missing", "extra") else pd.DataFrame(good)
    if bad not in ("missing", "extra"):
        frame[name] = pd.Series([good[0][name], bad], dtype=object)
    with pytest.raises(ConfigurationError, match=word):
        bench.query_many(frame)


@pytest.mark.parametrize("bad", [True, "1", math.nan, math.inf, None, [1]], ids=repr)
def test_a_bad_fidelity_is_named(bench, bad):
    (config,) = some(bench, 1)
    for axis in bench.fidelities:
        with pytest.raises(ConfigurationError, match=axis.name):
            bench.query(config, fidelity={axis.name: bad})
    with pytest.raises(UnknownNameError, match="unknown fidelity 'stpe'"):
        bench.query(config, fidelity={"stpe": 1})


def test_a_fidelity_beyond_the_range_is_refused(bench):
    (config,) = some(bench, 1)
    for axis in bench.fidelities:
        with pytest.raises(HpobenchError, match=axis.name):
            bench.query(config, fidelity={axis.name: 2 * axis.full})


def test_numpy_numbers_are_numbers(bench):
    (config,) = some(bench, 1)
    spelled = {
        name: value if isinstance(value, str) else np.float64(value)
        for name, value in config.items()
    }
    assert str(bench.query(spelled)) == str(bench.query(config))
    assert str(bench.query_many([spelled])) == str(bench.query_many([config]))


def test_a_row_of_its_configurations_can_be_asked_for(bench):
    if not bench.space.finite and not isinstance(bench, TabularBenchmark):
        pytest.skip("an interval has no list of configurations")
    frame = bench.configurations().head(3)
    configs = frame.drop(columns="config_id").to_dict("records")
    expected = [str(bench.query(config)) for config in configs]
    rows = [row for _, row in frame.iterrows()]
    assert [str(bench.query(row)) for row in rows] == expected
    assert [str(bench.query(row.to_dict())) for row in rows] == expected
    assert str(bench.query_many(rows)) == str(bench.query_many(configs))
    other = {**configs[0], "config_id": bench.space.config_id(configs[1])}
    with pytest.raises(ConfigurationError, match=r"`config_id` is .*leave it out"):
        bench.query(other)
    with pytest.raises(ConfigurationError, match="unknown hyperparameter 'val_loss'"):
        bench.query(rows[0].drop("config_id").to_dict() | {"val_loss": 1.0})
    with pytest.raises(ConfigurationError, match="unknown hyperparameter 'val_loss'"):
        bench.query(pd.concat([rows[0], pd.Series({"val_loss": 1.0})]))


def test_a_number_is_the_value_of_the_one_fidelity_axis(bench):
    (config,) = some(bench, 1)
    if len(bench.fidelities) == 1:
        (axis,) = bench.fidelities
        for value in (axis.values[0], np.int64(axis.full), float(axis.full)):
            assert str(bench.query(config, fidelity=value)) == str(
                bench.query(config, fidelity={axis.name: value})
            )
            assert str(bench.query_many([config], fidelity=value)) == str(
                bench.query_many([config], fidelity={axis.name: value})
            )
        with pytest.raises(HpobenchError, match=axis.name):
            bench.query(config, fidelity=2 * axis.full)
    else:
        with pytest.raises(ConfigurationError, match=r"fidelity: a value by name of .* got 4"):
            bench.query(config, fidelity=4)
    for bad in ("step", [4], True):
        with pytest.raises(ConfigurationError, match="fidelity: a value by name of"):
            bench.query(config, fidelity=bad)


@pytest.mark.slow
def test_a_text_is_the_name_of_one_metric(bench):
    (config,) = some(bench, 1)
    named = bench.query(config, metrics="val_loss")
    assert str(named) == str(bench.query(config, metrics=["val_loss"]))
    assert bench.pareto_front("val_loss").equals(bench.pareto_front(["val_loss"]))
    assert set(bench.reference_point("val_loss")) == {"val_loss"}
    with pytest.raises(UnknownNameError, match="unknown metric 'val_los'; did you mean"):
        bench.query(config, metrics="val_los")


def test_numbers_of_32_bits_are_the_values_that_they_were_rounded_from(bench):
    if not bench.space.finite:
        pytest.skip("an interval holds the rounded number itself")
    (config,) = some(bench, 1)
    rounded = {k: v if isinstance(v, str) else np.float32(v) for k, v in config.items()}
    plain = {k: v if isinstance(v, str) else float(v) for k, v in rounded.items()}
    for spelled in (rounded, plain):
        assert str(bench.query(spelled)) == str(bench.query(config))
        assert str(bench.query_many(pd.DataFrame([spelled]))) == str(bench.query_many([config]))
        assert bench.space.config_id(spelled) == bench.space.config_id(config)


def test_what_cannot_be_bounded_is_named(bench):
    with pytest.raises(UnknownNameError, match="quantity to bound 'peak_memry'"):
        bench.constrained({"peak_memry": 1.0})
    for name in list(bench.measures())[:1]:
        for bad in (math.nan, math.inf, True, "1"):
            with pytest.raises(ConfigurationError, match=name):
                bench.constrained({name: bad})
