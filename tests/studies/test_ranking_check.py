"""The ranking check: agreement is found, disagreement too, and a tie is a tie."""

import numpy as np
import pytest

from hpobench_llm.studies import ranking_check as module
from hpobench_llm.studies.ranking_check import BAR, compare_ranks, mean_ranks, ranking_check
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table

NAMES = ("a", "b", "c", "d")


def test_mean_ranks_follow_the_incumbents_and_share_ties():
    losses = np.array([[[3.0, 1.0, 9.0], [2.0, 2.0, 2.0], [2.0, 5.0, np.inf]]])
    # incumbents: 3 1 1, 2 2 2, 2 2 2
    assert mean_ranks(losses) == pytest.approx(
        np.array([[(3 + 1 + 1) / 3, (1.5 + 2.5 + 2.5) / 3, (1.5 + 2.5 + 2.5) / 3]])
    )


def test_the_same_ranks_agree_and_reversed_ones_do_not():
    rng = np.random.default_rng(0)
    ranks = np.array([1.0, 2.0, 3.0, 4.0]) + rng.normal(0, 0.1, (10, 4))
    same = compare_ranks(ranks, ranks, NAMES)
    assert same["passed"]
    assert same["tau"] == same["interval"][0] == same["tau_of_the_table_with_itself"] == 1.0
    reverse = compare_ranks(ranks, ranks[:, ::-1], NAMES)
    assert not reverse["passed"]
    assert reverse["tau"] == -1.0
    assert f"is below the bar of {BAR}" in reverse["verdict"]


def test_optimizers_that_cannot_be_told_apart_give_a_wide_interval():
    rng = np.random.default_rng(1)
    one, other = (2.5 + rng.normal(0, 1.0, (10, 4)) for _ in range(2))
    found = compare_ranks(one, other, NAMES)
    assert found["interval"][1] - found["interval"][0] > 0.8
    assert found["tau_of_the_table_with_itself"] < 0.6
    equal = np.full((10, 4), 2.5)
    assert compare_ranks(equal, equal, NAMES)["tau"] == 0.0


@pytest.fixture
def fitted(rows, seal_rows, tmp_path, quick):
    table = Table.load(seal_rows(tmp_path / "t", rows))
    return table, fit(table, folds=4, extrapolate=False)


def test_it_runs_the_optimizers_on_both_sides(fitted, monkeypatch):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "nomad", "tpe-optuna"))
    table, surrogate = fitted
    seen = []
    found = ranking_check(
        table, surrogate, seeds=2, budget=6, on_replay=lambda *a: seen.append(a[:2])
    )
    assert seen[-1] == (12, 12)
    assert list(found["mean_ranks"]) == ["random", "nomad", "tpe-optuna"]
    for side in ("table", "surrogate"):
        assert sum(r[side] for r in found["mean_ranks"].values()) == pytest.approx(6.0)
    assert found == ranking_check(table, surrogate, seeds=2, budget=6)


def test_two_optimizers_are_too_few(fitted, monkeypatch):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "nomad"))
    found = ranking_check(*fitted, seeds=1, budget=2)
    assert found["tau"] is None
    assert not found["passed"]
    assert "only 2 of its optimizers are installed" in found["verdict"]
