"""The ranking check: agreement is found, disagreement too, and a tie is a tie."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.cli import main
from hpobench_llm.comparison import ranking_check as module
from hpobench_llm.comparison.incumbents import incumbent_losses
from hpobench_llm.comparison.location import location
from hpobench_llm.comparison.ranking_check import OPTIMIZERS, ranking_check
from hpobench_llm.comparison.ranks import BAR, compare_losses
from hpobench_llm.errors import NotMeasuredError, PoorSurrogateError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Float, Ordinal, Space
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.conftest import closed_form_rows, write_table
from tests.surrogates.conftest import make_table

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


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, quick):
    table = Table.load(write_table(tmp_path_factory.mktemp("t") / "t", closed_form_rows()))
    return table, fit(table, folds=4, extrapolate=False)


@pytest.mark.slow
def test_it_runs_the_optimizers_on_both_sides(fitted, monkeypatch):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "nomad", "tpe-optuna"))
    table, surrogate = fitted[0], SurrogateBenchmark(fitted[1])
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
    where = location(np.arange(100.0), np.arange(100.0), np.full((100, 2), np.nan))
    outcome = made | {"bar": BAR} | check(table, table, again) | {"location": where}
    folder = fitted[1].with_ranking_check(outcome).write(tmp_path / "s")
    assert Surrogate.load(folder).quality["ranking_check"] == outcome
    card = (folder / "CARD.md").read_text()
    assert "| Kendall's tau, 95 % interval | 1.000 [1.000, 1.000] | 1.000 [" in card
    assert "| d | 8 | 4.00 | 4.00 |" in card
    assert "tau within the table's best quarter is 1.00 (bar 0.30)" in card


def test_an_objective_that_is_missing_somewhere_is_named(fitted, monkeypatch):
    def refuse(*_, **__):
        raise NotMeasuredError("t: val_loss was not measured")

    monkeypatch.setattr(module, "OPTIMIZERS", ("random",))
    monkeypatch.setattr(module, "incumbent_losses", refuse)
    found = ranking_check(fitted[0], SurrogateBenchmark(fitted[1]), seeds=1, budgets=(2,))
    assert not found["passed"]
    assert found["verdict"] == "the check cannot be made: t: val_loss was not measured"


@pytest.mark.slow
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


def ridge_and_rank():
    """Return a full grid of a landscape like LoRA's: a valley across two axes, one that helps."""
    space = Space(
        (
            Ordinal("rank", (1, 2, 4, 8, 16, 32, 64), log=True),
            Ordinal("lr", (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), log=True),
            Ordinal("batch", (4, 8, 16, 32), log=True),
        )
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(space.configurations())
    units = space.to_unit(frame.to_dict("records"))
    loss = 3.6 + 4.0 * (units[:, 1] + 0.4 * units[:, 0] - 0.9) ** 2 - 0.3 * units[:, 0]
    loss += 0.2 * units[:, 2]
    return make_table(frame.assign(val_loss=loss + 0.004 * rng.normal(size=len(frame))), space)


class Wrong(Benchmark):
    """A table whose answers are changed: what a bad surrogate says of it."""

    def __init__(self, table, change):
        self.truth, self.change = TabularBenchmark(table), change
        self.name, self.space = "wrong", self.truth.space
        self.fidelities, self.metrics = self.truth.fidelities, self.truth.metrics

    def query(self, config, *, fidelity=None, seed=None, metrics=None):
        config, factor = self.change(dict(config))
        answer = self.truth.query(config, fidelity=fidelity, seed=seed, metrics=metrics)
        values = {name: value * factor for name, value in answer.metrics.items()}
        return replace(answer, metrics=values)


def turned_round(axis):
    levels = next(d.values for d in ridge_and_rank().metadata.space if d.name == axis)

    def change(config):
        return config | {axis: levels[::-1][levels.index(config[axis])]}, 1.0

    return change


def with_noise(sigma):
    def change(config):
        seed = abs(hash(tuple(config.values())))  # of numbers: the same in any process
        return config, float(np.exp(np.random.default_rng(seed).normal(0.0, sigma)))

    return change


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda config: (config, 1.0), True),
        (with_noise(0.003), True),
        (turned_round("rank"), False),
        (turned_round("lr"), False),
        (with_noise(0.1), False),
        (lambda config: (config | {"rank": 8, "batch": 8}, 1.0), False),  # knows lr alone
    ],
    ids=["itself", "a little noise", "rank turned", "lr turned", "noise", "lr alone"],
)
def test_a_surrogate_that_finds_the_best_elsewhere_is_refused(monkeypatch, change, passes):
    monkeypatch.setattr(module, "OPTIMIZERS", ("random", "de"))
    table = ridge_and_rank()
    found = ranking_check(table, Wrong(table, change), seeds=2, budgets=(2, 4))
    assert found["location"]["passed"] is passes
    if not passes:
        assert not found["passed"]
        assert found["location"]["verdict"] in found["verdict"]


def test_the_location_in_closed_form():
    truth = np.arange(100.0)
    nothing = np.full((100, 2), np.nan)
    same = location(truth, truth, nothing)
    assert (same["best"], same["regret"], same["share"]) == (10, 0.0, 0.0)
    assert same["tau"] == pytest.approx(1.0)
    late = location(truth, np.roll(truth, 10), nothing)  # holds 10 to 19 best
    assert late["regret"] == pytest.approx(10.0)
    assert late["share"] == pytest.approx(10.0 / (49.5 - 4.5))
    assert not late["passed"]
    tied = location(truth, np.zeros(100), nothing)
    assert tied["tau"] == 0.0
    small = location(truth[:12], truth[:12], nothing[:12])
    assert (small["best"], small["tau"], small["passed"]) == (2, None, True)  # too few for a tau


def test_the_order_in_the_best_quarter_is_held_against_what_seeds_do():
    rng = np.random.default_rng(0)
    truth = np.arange(200.0)
    noisy = np.column_stack([truth, truth]) + rng.normal(0, 25, (200, 2))
    between = location(truth, truth, noisy)["tau_between_seeds"]
    assert location(truth, truth, noisy)["tau_bar"] == pytest.approx(max(between, 0) / 2)
    assert location(truth, truth, np.column_stack([truth, truth]))["tau_bar"] == 0.5


def noise_after_a_curve():
    """Return a table whose curve all configurations share, and whose end is noise alone."""
    rng = np.random.default_rng(0)
    space = Space((Float("a", 0.0, 1.0), Float("b", 0.0, 1.0)))
    steps = (1, 2, 4, 8, 16)
    rows = [
        {**config, "step": step, "val_loss": 5.0 - 0.5 * np.log(step) + end}
        for config in space.from_unit(rng.random((60, 2)))
        for end in (rng.normal(0, 0.05),)
        for step in steps
    ]
    axis = Fidelity(name="step", unit="steps", values=steps)
    return make_table(pd.DataFrame(rows), space, fidelities=(axis,))


@pytest.mark.slow
def test_a_common_curve_is_no_knowledge_of_configurations(quick):
    surrogate = fit(noise_after_a_curve(), folds=4, extrapolate=False)
    assert surrogate.quality["targets"]["val_loss"]["all"]["r2"] > 0.95
    where = location(np.arange(100.0), np.arange(100.0), np.full((100, 2), np.nan))
    outcome = {"passed": True, "verdict": "", "objective": "val_loss", "location": where}
    with pytest.raises(PoorSurrogateError, match=r"val_loss in full .*R² -?0\.\d\d"):
        surrogate.with_ranking_check(outcome).refuse_if_poor()


def test_the_gate_asks_for_half_of_what_seeds_allow(fitted):
    where = {"passed": True, "tau": None}
    outcome = {"passed": True, "verdict": "", "objective": "val_loss", "location": where}
    surrogate = deepcopy(fitted[1].with_ranking_check(outcome))
    targets = surrogate.quality["targets"]
    figures = targets["val_loss"]["by_fidelity"][-1]
    assert figures["fidelity"] == {"step": 16.0}
    for r2, ceiling, opens in ((0.41, 0.8, True), (0.39, 0.8, False), (-0.1, -0.3, False)):
        figures |= {"r2": r2, "r2_ceiling": ceiling}
        if opens:
            surrogate.refuse_if_poor()
        else:
            with pytest.raises(PoorSurrogateError, match=f"R² {r2:.2f}: not above 0, or less"):
                surrogate.refuse_if_poor()
    figures |= {"r2": 0.45, "r2_ceiling": None}
    with pytest.raises(PoorSurrogateError, match="no seed repeats"):
        surrogate.refuse_if_poor()
    del outcome["location"]
    with pytest.raises(PoorSurrogateError, match=r"older design.*--check-only"):
        fitted[1].with_ranking_check(outcome).refuse_if_poor()


def test_one_that_trains_in_part_is_compared_after_as_much_work(fitted):
    table = TabularBenchmark(fitted[0])
    metric = table.metrics["val_loss"]
    ids = table.configurations()["config_id"]
    known = {config_id: float(number) for number, config_id in enumerate(ids)}
    options = {"seed": 0, "metric": metric, "in_full": known}
    losses = incumbent_losses(table, "asha", budgets=(1, 4), **options)
    assert losses.shape == (2,)
    assert set(losses) <= {*known.values(), metric.worst}
    whole = incumbent_losses(table, "random", budgets=(1, 4), **options)
    assert whole[0] in known.values()
    assert incumbent_losses(table, "random", budgets=(4,), **options)[0] == whole[1]


def test_model_based_and_multi_fidelity_optimizers_take_part():
    assert {"gp", "bore", "asha"} <= set(OPTIMIZERS)
