"""The ranking check: agreement is found, disagreement too, and a tie is a tie."""

from dataclasses import replace

import numpy as np
import pytest

from hpobench_llm.cli import main
from hpobench_llm.errors import NotMeasuredError
from hpobench_llm.studies import ranking_check as module
from hpobench_llm.studies.ranking_check import BAR, compare_losses, ranking_check
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table

NAMES, BUDGETS = ("a", "b", "c", "d"), (4, 8)


def losses(rng, means, noise=0.1, seeds=20):
    """Return `(seeds, optimizers, budgets)` losses around each optimizer's mean."""
    return np.array(means)[None, :, None] + rng.normal(0, noise, (seeds, len(means), 2))


def check(*sides):
    return compare_losses(*sides, optimizers=NAMES, budgets=BUDGETS)


def test_the_same_order_passes_and_the_reverse_does_not():
    rng = np.random.default_rng(0)
    table, again = (losses(rng, [1.0, 2.0, 3.0, 4.0]) for _ in range(2))
    same = check(table, 10 * table, again)
    assert same["passed"]
    assert (same["pairs"], same["told_apart"]) == (12, 12)
    assert same["tau"] == same["interval"][0] == same["ceiling"]["tau"] == 1.0
    assert same["correlation"]["surrogate"]["spearman"] == pytest.approx(1.0)
    reverse = check(table, -table, again)
    assert not reverse["passed"]
    assert reverse["tau"] == -1.0
    assert f"does not reach {BAR:.0%}" in reverse["verdict"]
    assert reverse["correlation"]["surrogate"]["pearson"] == pytest.approx(-1.0)


def test_pairs_that_the_table_does_not_tell_apart_do_not_count():
    rng = np.random.default_rng(1)
    table, again = (losses(rng, [1.0, 1.0, 1.0, 4.0]) for _ in range(2))
    surrogate = losses(rng, [3.0, 2.0, 1.0, 4.0])  # another order of what the table ties
    found = check(table, surrogate, again)
    assert found["told_apart"] == 6  # each of three against the last, at two budgets
    assert found["tau"] == 1.0
    assert found["passed"]


def test_a_surrogate_that_ties_what_the_table_tells_apart_agrees_with_nothing():
    rng = np.random.default_rng(2)
    table, again = (losses(rng, [1.0, 2.0, 3.0, 4.0]) for _ in range(2))
    found = check(table, np.ones_like(table), again)
    assert found["tau"] == 0.0
    assert not found["passed"]


def test_half_of_the_pairs_reversed_is_a_tau_by_hand():
    rng = np.random.default_rng(3)
    table, again = (losses(rng, [1.0, 2.0, 3.0, 4.0]) for _ in range(2))
    surrogate = losses(rng, [2.0, 1.0, 3.0, 4.0])  # one of six pairs
    found = check(table, surrogate, again)
    assert found["tau"] == pytest.approx((5 - 1) / 6)
    assert not found["passed"]


def test_a_table_on_which_all_tie_judges_nothing():
    equal = np.ones((20, 4, 2))
    found = check(equal, equal, equal)
    assert found["tau"] is None
    assert not found["passed"]
    assert "tells 0 of 12 pairs" in found["verdict"]
    few = equal.copy()
    few[:, 0, 0] = 0.0  # three pairs at one budget
    found = check(few, few, few)
    assert (found["told_apart"], found["tau"]) == (3, 1.0)
    assert not found["passed"]
    assert "too few to judge by" in found["verdict"]


def test_a_wide_interval_is_one_of_few_and_noisy_pairs():
    rng = np.random.default_rng(4)
    table, surrogate, again = (losses(rng, [1.0, 1.05, 1.1, 1.15], noise=0.15) for _ in range(3))
    found = check(table, surrogate, again)
    low, high = found["interval"]
    assert high - low > 0.2
    assert found["ceiling"]["interval"][0] < 1.0


@pytest.fixture
def fitted(rows, seal_rows, tmp_path, quick):
    table = Table.load(seal_rows(tmp_path / "t", rows))
    return table, fit(table, folds=4, extrapolate=False)


def test_it_runs_the_optimizers_on_both_sides(fitted, monkeypatch):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "nomad", "tpe-optuna"))
    table, surrogate = fitted
    seen = []
    found = ranking_check(
        table, surrogate, seeds=2, budgets=(3, 6), on_replay=lambda *a: seen.append(a[:2])
    )
    assert seen[-1] == (18, 18)
    assert found["optimizers"] == ["random", "nomad", "tpe-optuna"]
    assert {"optuna", "PyNomadBBO"} <= set(found["versions"])
    assert [cell["trials"] for cell in found["cells"]] == [3, 6] * 3
    for side in ("table", "surrogate"):
        last = [cell["mean_rank"][side] for cell in found["cells"] if cell["trials"] == 6]
        assert sum(last) == pytest.approx(6.0)
    assert found == ranking_check(table, surrogate, seeds=2, budgets=(3, 6))


def test_the_card_and_the_artefact_keep_the_outcome(fitted, tmp_path):
    rng = np.random.default_rng(0)
    table, again = (losses(rng, [1.0, 2.0, 3.0, 4.0]) for _ in range(2))
    made = {"objective": "val_loss", "optimizers": list(NAMES), "seeds": 20, "budgets": [4, 8]}
    outcome = made | {"bar": BAR} | check(table, table, again)
    folder = fitted[1].with_ranking_check(outcome).write(tmp_path / "s")
    assert Surrogate.load(folder).quality["ranking_check"] == outcome
    card = (folder / "CARD.md").read_text()
    assert "| Kendall's tau, 95 % interval | 1.000 [1.000, 1.000] | 1.000 [" in card
    assert "| d | 8 | 4.00 | 4.00 |" in card


def test_an_objective_that_is_missing_somewhere_is_named(fitted, monkeypatch):
    def refuse(*_, **__):
        raise NotMeasuredError("t: val_loss was not measured")

    monkeypatch.setattr(module, "OPTIMIZERS", ("random",))
    monkeypatch.setattr(module, "replay", refuse)
    found = ranking_check(*fitted, seeds=1, budgets=(2,))
    assert not found["passed"]
    assert found["verdict"] == "the check cannot be made: t: val_loss was not measured"


def test_the_check_alone_is_made_again_and_the_models_stay(fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "sobol"))
    table, surrogate = fitted
    folder = surrogate.write(tmp_path / "s")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["fit", str(table.folder), "--out", str(folder), "--check-only"]) == 0
    assert "ranking check: the table tells" in capsys.readouterr().out
    renewed = {"quality.json", "CARD.md", "surrogate.json"}
    changed = {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == renewed
    assert Surrogate.load(folder).quality["ranking_check"]["optimizers"] == ["random", "sobol"]
    replace(surrogate, table_sha256="0" * 64).write(tmp_path / "other")
    other = ["fit", str(table.folder), "--out", str(tmp_path / "other"), "--check-only"]
    assert main(other) != 0
    assert "fit it again" in capsys.readouterr().err
