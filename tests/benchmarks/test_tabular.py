"""The tabular benchmark against a naive filter, and its errors."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import (
    ConfigurationError,
    NotInTableError,
    NotMeasuredError,
    UnknownNameError,
)
from hpobench_llm.tables.table import Table
from tests.problems import FINITE, table


@pytest.fixture
def bench(table_folder):
    return TabularBenchmark(Table.load(table_folder))


def naive(rows, config, step, seed):
    found = rows[(rows["step"] == step)]
    for name, value in config.items():
        found = found[found[name] == value]
    return found if seed is None else found[found["seed"] == seed]


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("step", [0, 8, 16])
def test_every_cell_agrees_with_a_filter(bench, rows, step, seed):
    configs = list(bench.space.configurations())
    many = bench.query_many(configs, fidelity={"step": step}, seed=seed)
    for index, config in enumerate(configs):
        cells = naive(rows, config, step, seed)
        one = bench.query(config, fidelity={"step": step}, seed=seed)
        assert one.status == ("diverged" if (cells["status"] != "ok").any() else "ok")
        assert one.status == many["status"][index]
        cost = (cells["train_seconds"] + cells["eval_seconds"]).mean()
        assert one.cost_seconds == many["cost_seconds"][index] == pytest.approx(cost)
        for metric in bench.metrics:
            mean = cells[metric].to_numpy().mean()
            if math.isfinite(mean):
                assert one.metrics[metric] == many[metric][index] == pytest.approx(mean)
            else:
                assert metric not in one.metrics
                assert math.isnan(many[metric][index])


def test_in_full_is_the_last_step_and_answers_repeat(bench):
    config = {"rank": 4, "lr": 1e-3}
    assert bench.query(config) == bench.query(config, fidelity={"step": 16})
    assert bench.query({"lr": 0.001, "rank": 4.0}) == bench.query(config)


def test_answers_cannot_be_changed(bench):
    answer = bench.query({"rank": 4, "lr": 1e-3})
    with pytest.raises(TypeError):
        answer.metrics["val_loss"] = 0.0


def test_a_frame_of_configurations_gives_the_same_as_a_list(bench):
    configs = list(bench.space.configurations())
    pd.testing.assert_frame_equal(
        bench.query_many(bench.configurations()), bench.query_many(configs)
    )
    assert list(bench.configurations()["config_id"]) == [bench.space.config_id(c) for c in configs]


@given(st.lists(st.integers(0, 11), max_size=30))
def test_query_many_keeps_order_and_repeats(chosen):
    bench = _bench()
    configs = list(bench.space.configurations())
    picked = [configs[index] for index in chosen]
    many = bench.query_many(picked)
    assert len(many) == len(picked)
    for index, config in enumerate(picked):
        assert many["cost_seconds"][index] == bench.query(config).cost_seconds


def _bench(made=[]):  # noqa: B006 - made once for all examples
    if not made:
        import tempfile
        from pathlib import Path

        from tests.conftest import closed_form_rows, write_table

        folder = Path(tempfile.mkdtemp())
        made.append(
            TabularBenchmark(Table.load(write_table(folder / "small", closed_form_rows())))
        )
    return made[0]


def test_the_optimum_is_the_best_mean_over_seeds(bench, rows):
    full = rows[rows["step"] == 16].groupby(["rank", "lr"])["val_loss"].mean()
    config, value = bench.optimum("val_loss")
    assert (config["rank"], config["lr"]) == full.idxmin()
    assert value == pytest.approx(full.min())
    score_config, score = bench.optimum("score_toy")
    assert score_config == config
    assert score == pytest.approx(1.0 - value / 10)


def test_the_front_of_agreeing_metrics_is_the_optimum(bench):
    front = bench.pareto_front(["val_loss", "score_toy"])
    best, value = bench.optimum("val_loss")
    assert (front[list(best)] == list(best.values())).all(axis=None)
    assert front["val_loss"].to_numpy() == pytest.approx(value)


def test_noise_is_the_spread_between_seeds(bench):
    noise = bench.noise("val_loss")
    assert noise.shift == pytest.approx(0.01 / math.sqrt(2))  # seed 1 adds 0.01 everywhere
    assert noise.rest == pytest.approx(0.0, abs=1e-9)


def test_snapping_keeps_what_is_in_the_table(bench):
    for config in bench.space.configurations():
        assert bench.snap(config) == config


def test_a_hole_in_the_table_is_an_error_that_names_the_nearest(tmp_path, rows, seal_rows):
    holed = rows[~((rows["rank"] == 4) & (rows["lr"] == 1e-3))].reset_index(drop=True)
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "holed", holed)))
    with pytest.raises(NotInTableError, match=r"was not measured; nearest: \{'rank'"):
        bench.query({"rank": 4, "lr": 1e-3})
    snapped = bench.snap({"rank": 4, "lr": 1e-3})
    assert bench.query(snapped).status == "ok"
    part = rows[~((rows["rank"] == 4) & (rows["seed"] == 1))].reset_index(drop=True)
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "part", part)))
    with pytest.raises(NotInTableError, match="not measured for seed 1"):
        bench.query({"rank": 4, "lr": 1e-3}, seed=1)
    assert bench.query({"rank": 4, "lr": 1e-3}, seed=0).status == "ok"


def test_further_seeds_of_a_part_judge_and_never_answer(tmp_path, rows, seal_rows):
    # Seed 2 is lucky, and only some configurations were run with it.
    more = rows[(rows["rank"] == 4) & (rows["seed"] == 0)].assign(seed=2)
    more["val_loss"] -= 0.3 * (more["step"] > 0)
    ragged = pd.concat([rows, more], ignore_index=True)
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "ragged", ragged, seeds=(0, 1, 2))))
    plain = TabularBenchmark(Table.load(seal_rows(tmp_path / "plain", rows)))
    configs = list(bench.space.configurations())
    pd.testing.assert_frame_equal(bench.query_many(configs), plain.query_many(configs))
    assert bench.optimum("val_loss") == plain.optimum("val_loss")
    lucky = {"rank": 4, "lr": 1e-3}
    loss = plain.query(lucky, seed=0).metrics["val_loss"]
    assert bench.query(lucky, seed=2).metrics["val_loss"] == pytest.approx(loss - 0.3)
    with pytest.raises(NotInTableError, match=r"not measured for seed 2.*; its seeds: 0, 1$"):
        bench.query({"rank": 16, "lr": 1e-3}, seed=2)
    # The shift is removed, so that all are judged alike: as the seed of the mean effect.
    ok = [c for c in configs if bench.query(c).status == "ok"]
    judged = bench.judge().query_many(ok)["val_loss"] - plain.query_many(ok, seed=0)["val_loss"]
    assert judged.to_numpy() == pytest.approx((0.0 + 0.01 - 0.3) / 3, abs=1e-6)
    assert bench.noise("val_loss").shift > 0.1
    assert bench.noise("val_loss").rest == pytest.approx(0.0, abs=1e-6)
    low = bench.judge().query(lucky, fidelity={"step": 8})
    assert low == bench.query(lucky, fidelity={"step": 8})
    one = TabularBenchmark(Table.load(seal_rows(tmp_path / "one", rows[rows["seed"] == 0])))
    assert np.isnan(one.noise("val_loss").rest)
    pd.testing.assert_frame_equal(one.judge().query_many(configs), one.query_many(configs))


def test_a_run_that_failed_for_a_further_seed_is_judged_as_failed(tmp_path, rows, seal_rows):
    more = rows[(rows["rank"] == 4) & (rows["seed"] == 0)].assign(seed=2, status="diverged")
    frame = pd.concat([rows, more], ignore_index=True)
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "t", frame, seeds=(0, 1, 2))))
    config = {"rank": 4, "lr": 1e-3}
    assert bench.query(config).status == "ok"
    assert bench.judge().query(config).status == "diverged"


def test_a_configuration_that_lacks_a_shared_seed_there_has_no_answer(tmp_path, rows, seal_rows):
    early = ~((rows["rank"] == 4) & (rows["seed"] == 1) & (rows["step"] == 16))
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "t", rows[early])))
    config = {"rank": 4, "lr": 1e-3}
    with pytest.raises(
        NotInTableError, match=r"not measured at step = 16; .* at step = 0, step = 8"
    ):
        bench.query(config)
    assert bench.query(config, seed=0).status == bench.query(config, fidelity={"step": 8}).status


@pytest.mark.parametrize(
    ("config", "options", "error", "words"),
    [
        ({"rank": 4, "lr": 2e-3}, {}, ConfigurationError, "nearest: 0.001"),
        ({"rank": 4}, {}, ConfigurationError, "missing: lr"),
        ({"rank": 4, "lr": 1e-3, "x": 1}, {}, ConfigurationError, "unknown hyperparameter 'x'"),
        ({"rank": "4", "lr": 1e-3}, {}, ConfigurationError, "'4'"),
        ({"rank": [4], "lr": 1e-3}, {}, ConfigurationError, r"\[4\]"),
        ({"rank": 4, "lr": 1e-3}, {"seed": 7}, NotInTableError, r"seed 7.*: 0, 1,"),
        ({"rank": 4, "lr": 1e-3}, {"fidelity": {"step": 9}}, NotInTableError, "nearest: 8"),
        ({"rank": 4, "lr": 1e-3}, {"fidelity": {"stpe": 8}}, UnknownNameError, "'step'"),
        ({"rank": 4, "lr": 1e-3}, {"fidelity": {"step": "8"}}, ConfigurationError, "'8'"),
        ({"rank": 4, "lr": 1e-3}, {"metrics": ["vla_loss"]}, UnknownNameError, "'val_loss'"),
        (
            {"rank": 4, "lr": 1e-3},
            {"fidelity": {"step": 8}, "metrics": ["score_toy"]},
            NotMeasuredError,
            r"measured at step = \[0, 16\]",
        ),
    ],
)
def test_a_bad_query_is_named(bench, config, options, error, words):
    with pytest.raises(error, match=words):
        bench.query(config, **options)


def test_a_failed_run_counts_as_the_worst_and_keeps_its_cost(bench):
    answer = bench.query({"rank": 1, "lr": 1e-1})
    assert answer.status == "diverged"
    assert answer.cost_seconds == pytest.approx(2.0 * 16 * (1 + 1 / 16) + 1)
    assert answer.loss(bench.metrics["val_loss"]) == 6.0
    assert answer.loss(bench.metrics["score_toy"]) == 0.0
    assert np.isfinite(bench.query({"rank": 1, "lr": 1e-1}, seed=0).metrics["val_loss"])


def test_toys_and_tables_are_loaded_by_name():
    assert load("toy-bowl").optimum("val_loss")[0] == {"rank": 2, "lr": 1e-3, "dropout": 0.1}
    with pytest.raises(UnknownNameError, match="did you mean 'toy-bowl'"):
        load("toy-bawl")


def test_a_row_whose_config_id_is_of_other_values_is_refused(tmp_path):
    bench = TabularBenchmark(table(tmp_path, FINITE, list(FINITE.configurations())))
    frame = bench.table.frame.drop_duplicates("config_id")[["config_id", *FINITE.names]]
    frame = frame.set_axis([f"row-{number}" for number in range(len(frame))])
    assert len(bench.query_many(frame)) == len(frame)
    stale = frame.assign(rank=frame["rank"].iloc[::-1].to_numpy())
    with pytest.raises(ConfigurationError, match=r"row row-0: `config_id` is '[0-9a-f]{16}'"):
        bench.query_many(stale)
