"""The best known of a surrogate: found where it is, and no replay finds a better one."""

import numpy as np
import pytest

from hpobench_llm.benchmarks import surrogate as module
from hpobench_llm.benchmarks.reference import best_known
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import toy_bowl
from hpobench_llm.errors import NotMeasuredError
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.conftest import closed_form_rows, write_table

SPACE = Space(
    (
        Float("lr", 1e-5, 1e-1, log=True),
        Float("dropout", 0.0, 0.5),
        Integer("rank", 1, 64, log=True),
        Ordinal("batch", (4, 8, 16, 32)),
        Categorical("kind", tuple(f"k{number}" for number in range(9))),
    )
)
BEST = {"lr": 3.7e-3, "dropout": 0.123456, "rank": 37, "batch": 16, "kind": "k6"}


def needle(configs):
    """A funnel of width 1 with many local minima around it, whose bottom no uniform draw finds."""
    away = SPACE.to_unit(configs) - SPACE.to_unit([BEST])
    others = np.array([config["kind"] != BEST["kind"] for config in configs])
    ripples = 0.02 * (1.0 - np.cos(20.0 * away[:, :2])).sum(axis=1)
    return (away[:, :4] ** 2).sum(axis=1) + ripples + 0.3 * others


def test_the_bottom_of_a_funnel_is_found_to_the_last_digits():
    config, loss = best_known(SPACE, needle)
    assert {name: config[name] for name in ("rank", "batch", "kind")} == {
        name: BEST[name] for name in ("rank", "batch", "kind")
    }
    assert config["lr"] == pytest.approx(BEST["lr"], rel=1e-3)
    assert config["dropout"] == pytest.approx(BEST["dropout"], abs=1e-4)
    rng = np.random.default_rng(0)
    assert loss < 1e-6 < needle(SPACE.from_unit(rng.random((20_000, 5)))).min()


def test_an_optimum_in_a_corner_and_one_among_what_is_not_usable():
    corner, loss = best_known(SPACE, lambda configs: SPACE.to_unit(configs)[:, :2].sum(axis=1))
    assert (corner["lr"], corner["dropout"], loss) == (1e-5, 0.0, 0.0)

    def high_rank_fails(configs):
        units = SPACE.to_unit(configs)
        return np.where(units[:, 2] > 0.5, np.inf, -units[:, 2])

    config, _ = best_known(SPACE, high_rank_fails)
    assert config["rank"] == 8
    assert best_known(SPACE, lambda configs: np.full(len(configs), np.inf)) is None


@pytest.fixture(scope="module")
def bench(tmp_path_factory, quick):
    table = Table.load(write_table(tmp_path_factory.mktemp("t") / "small", closed_form_rows()))
    return SurrogateBenchmark(fit(table, folds=3, extrapolate=False))


@pytest.mark.slow
def test_no_trial_is_better_than_the_best_known(bench):
    _, best = bench.optimum("val_loss")
    for optimizer in ("random", "de", "gp"):
        for seed in range(3):
            trials = replay(bench, optimizer, budget=40, seed=seed).to_frame()
            assert trials.loc[trials["status"] == "ok", "val_loss"].min() >= best - 1e-9
    draws = bench.space.from_unit(np.random.default_rng(1).random((20_000, len(bench.space))))
    assert bench.query_many(draws)["val_loss"].min() >= best


def test_it_is_what_the_benchmark_answers_there_and_searched_for_once(bench, monkeypatch):
    config, best = bench.optimum("score_toy")
    assert bench.query(config).metrics["score_toy"] == best
    monkeypatch.setattr(module, "best_known", None)
    assert bench.optimum("score_toy") == (config, best)
    config["lr"] = 0.0  # the caller's own
    assert bench.optimum("score_toy")[0] != config


def test_bounds_that_nothing_keeps_are_an_error(bench):
    with pytest.raises(NotMeasuredError, match="no configuration in full is expected to be ok"):
        bench.constrained({"cost_seconds": 0.0}).optimum("val_loss")


def test_a_benchmark_says_what_it_is_and_whether_its_optimum_is_known(bench, tmp_path):
    table = TabularBenchmark(Table.load(write_table(tmp_path / "small", closed_form_rows())))
    assert (table.kind, table.optimum_known) == ("table", True)
    assert toy_bowl().optimum_known
    assert (bench.kind, bench.optimum_known) == ("surrogate", False)
    described = bench.identity()
    assert described["kind"] == "surrogate of small 0.0.1"
    assert described["sha256 of the table"] == table.sha256
    assert described["sha256"] == bench.sha256 != table.sha256
    assert described["held-out quality in full"].startswith("val_loss: R² ")
    assert described["ranking check"] == "not made"
