"""Surrogates: closed forms recovered, honest about what was not measured, read back to the bit."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.errors import (
    ConfigurationError,
    IntegrityError,
    NotMeasuredError,
    PoorSurrogateError,
    UnknownNameError,
)
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.card import card
from hpobench_llm.surrogates.encoding import relaxed
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.conftest import SPACE, closed_form_rows, write_table
from tests.surrogates.conftest import LOSS, SCORE, make_table, sparse_table

PASSED = {"passed": True, "objective": "val_loss", "verdict": "passed", "tau": None}
PASSED |= {"location": {"passed": True, "tau": None}}
PROGRAM = """
import sys
from hpobench_llm.benchmarks.catalogue import load
bench = load(sys.argv[1], kind="surrogate")
config = {"rank": 3, "lr": 2e-3}
print(dict(bench.query(config, fidelity={"step": 8}, seed=-3).metrics), bench.query(config))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, quick):
    """A surrogate of the closed-form table, fitted through the front door and written."""
    root = tmp_path_factory.mktemp("s")
    table = Table.load(write_table(root / "small", closed_form_rows()))
    fitted = fit(table, folds=4, extrapolate=False).with_ranking_check(PASSED)
    return fitted.write(root / "surrogate")


@pytest.fixture(scope="module")
def bench(folder):
    return load(str(folder), kind="surrogate")


@pytest.fixture(scope="module")
def sparse(quick):
    return SurrogateBenchmark(fit(sparse_table(100, sigma=0.02)))


configs = st.fixed_dictionaries(
    {"rank": st.integers(1, 16), "lr": st.floats(1e-4, 1e-1, allow_nan=False)}
)


@pytest.mark.slow
@given(
    st.lists(configs, min_size=1, max_size=9),
    st.sampled_from([0, 3, 8, 16]),
    st.none() | st.integers(),
)
def test_single_and_batch_agree_to_the_bit(bench, asked, step, seed):
    options = {"fidelity": {"step": step}, "seed": seed}
    for rows in (asked, pd.DataFrame(asked)):
        many = bench.query_many(rows, **options)
        for index, config in enumerate(asked):
            one = bench.query(config, **options)
            for name in bench.metrics:
                value = many[name][index]
                assert one.metrics.get(name) == (None if np.isnan(value) else value)
            assert one.cost_seconds == many["cost_seconds"][index]
            assert one.tokens == many["tokens"][index]
            assert one.status == many["status"][index]
            alone = bench.query(config, **options, metrics=["test_loss"])
            assert alone.metrics.items() == {
                (name, value) for name, value in one.metrics.items() if name == "test_loss"
            }


def test_a_score_without_signal_is_not_fitted_and_said(quick):
    made = sparse_table(40)
    frame = made.frame.assign(score_toy=0.25, val_loss=2.0)
    flat = make_table(frame, made.metadata.space, metrics=(LOSS, SCORE))
    fitted = fit(flat, folds=2, extrapolate=False)
    assert [target.name for target in fitted.targets] == ["val_loss"]  # the objective always is
    assert list(fitted.metrics) == ["val_loss"]
    assert "score_toy: no signal, every run has 0.25" in fitted.quality["left_out"]
    assert "- score_toy: no signal" in card(fitted.name, fitted.metrics, fitted.quality)
    with pytest.raises(UnknownNameError, match="'score_toy'"):
        SurrogateBenchmark(fitted).query({"lr": 1e-3, "dropout": 0.1}, metrics=["score_toy"])


@given(configs, st.lists(st.floats(0, 16), min_size=2, max_size=6))
def test_costs_are_positive_and_never_fall_along_a_curve(bench, config, steps):
    costs = [bench.query(config, fidelity={"step": s}).cost_seconds for s in sorted(steps)]
    assert all(cost > 0 for cost in costs)
    assert all(a <= b for a, b in pairwise(costs))


@given(configs, st.integers(), st.sampled_from([0, 8, 16]))
def test_answers_stay_in_the_metrics_bounds(bench, config, seed, step):
    answer = bench.query(config, seed=seed, fidelity={"step": step})
    assert all(
        bench.surrogate.targets[i].low <= answer.metrics[name] <= bench.surrogate.targets[i].high
        for i, name in enumerate(bench.metrics)
        if name in answer.metrics
    )


@pytest.mark.slow
def test_another_process_answers_the_same(bench, folder):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, check=True
    )
    config = {"rank": 3, "lr": 2e-3}
    mine = f"{dict(bench.query(config, fidelity={'step': 8}, seed=-3).metrics)} "
    assert done.stdout.strip() == mine + str(bench.query(config))


def test_bounds_hold_for_predictions_too(bench):
    configs = bench.space.from_unit(np.random.default_rng(3).random((50, len(bench.space))))
    plain = bench.query_many(configs)
    bound = float(plain["cost_seconds"].median())
    bounded = bench.constrained({"cost_seconds": bound, "score_toy": 0.2})
    answers = bounded.query_many(configs)
    assert answers["constraint_cost_seconds"].tolist() == (plain["cost_seconds"] - bound).tolist()
    assert answers["constraint_score_toy"].tolist() == (0.2 - plain["score_toy"]).tolist()
    for config, (_, row) in zip(configs[:5], answers.iterrows(), strict=False):
        one = bounded.query(config, metrics=["val_loss"])
        assert set(one.metrics) == {"val_loss"}
        assert one.constraints == {n: row[f"constraint_{n}"] for n in one.constraints}
        assert one.feasible == (max(one.constraints.values()) <= 0)
    free, kept = bench.optimum("val_loss"), bounded.optimum("val_loss")
    assert kept[1] >= free[1]
    assert bounded.query(kept[0]).feasible


def test_what_every_configuration_shares_is_answered_as_it_is(bench):
    """The untrained base, whatever the configuration and the seed."""
    for seed in (None, 0, 1):
        answer = bench.query({"rank": 2, "lr": 5e-3}, fidelity={"step": 0}, seed=seed)
        assert answer.metrics["val_loss"] == pytest.approx(6.0, abs=1e-12)


def test_no_score_is_made_up_between_the_base_and_the_end(bench):
    config = {"rank": 4, "lr": 1e-3}
    assert "score_toy" in bench.query(config).metrics
    assert "score_toy" in bench.query(config, fidelity={"step": 0}).metrics
    assert "score_toy" not in bench.query(config, fidelity={"step": 8}).metrics
    assert bench.query_many([config], fidelity={"step": 12})["score_toy"].isna().all()
    with pytest.raises(NotMeasuredError, match=r"score_toy .* step = 12.*measured at \[\[0.0\]"):
        bench.query(config, fidelity={"step": 12}, metrics=["score_toy"])


def test_a_draw_belongs_to_a_configuration_and_a_seed_and_is_one_run(bench):
    config = {"rank": 4, "lr": 1e-3}
    draws = [bench.query(config, seed=seed).metrics["val_loss"] for seed in range(20)]
    assert len(set(draws)) > 10
    assert bench.query(dict(config), seed=3).metrics["val_loss"] == draws[3]
    # a run above its expectation at one step is above it at another
    signs = []
    for seed in range(20):
        gaps = [
            bench.query(config, seed=seed, fidelity=f).metrics["val_loss"]
            - np.median(
                [bench.query(config, seed=s, fidelity=f).metrics["val_loss"] for s in range(20)]
            )
            for f in ({"step": 8}, {"step": 16})
        ]
        signs.append(gaps[0] * gaps[1] >= 0)
    assert np.mean(signs) > 0.8


def diverging_table(folder):
    """Every run diverges at the highest lr, and half of the seeds at the one below."""
    rows = []
    for rank in (1, 2, 4, 8, 16):
        for place, lr in enumerate((1e-4, 1e-3, 1e-2, 1e-1)):
            for seed in range(6):
                gone = place == 3 or (place == 2 and seed % 2 == 0)
                loss = np.nan if gone else 4.0 - 0.2 * place + 0.01 * seed
                status = "diverged" if gone else "ok"
                rows.append(
                    {"rank": rank, "lr": lr, "seed": seed, "val_loss": loss, "status": status}
                )
    space = Space(
        (
            Ordinal("rank", (1, 2, 4, 8, 16), log=True),
            Ordinal("lr", (1e-4, 1e-3, 1e-2, 1e-1), log=True),
        )
    )
    return make_table(pd.DataFrame(rows), space)


@pytest.mark.slow
def test_divergence_is_a_probability_of_its_own(quick, tmp_path):
    bench = SurrogateBenchmark(fit(diverging_table(tmp_path), extrapolate=False))
    for lr, share in ((1e-4, 0.0), (1e-2, 0.5), (1e-1, 1.0)):
        drawn = [bench.query({"rank": 4, "lr": lr}, seed=seed) for seed in range(300)]
        found = np.mean([answer.status == "diverged" for answer in drawn])
        assert found == pytest.approx(share, abs=0.15), lr
        # the table has no loss of a diverged run, so the surrogate has none either
        assert all(("val_loss" in a.metrics) == (a.status == "ok") for a in drawn)
    assert bench.query({"rank": 4, "lr": 1e-4}).status == "ok"
    assert bench.query({"rank": 4, "lr": 1e-1}).status == "diverged"
    figures = bench.surrogate.quality["targets"]["probability_diverged"]["all"]
    assert figures["brier"] < 0.5 * figures["brier_of_the_share"]
    _, best = bench.optimum("val_loss")
    assert best < LOSS.worst


@pytest.mark.slow
def test_a_small_sparse_table_gives_a_surrogate_with_honest_intervals(sparse):
    quality = sparse.surrogate.quality
    figures = quality["targets"]["val_loss"]["all"]
    assert figures["r2"] > 0.8
    # 100 runs: two binomial standard deviations of their own, and of what set the intervals
    for level, held in figures["coverage"].items():
        wanted = float(level)
        assert held == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 100))
    assert not quality["seeds_repeat"]
    assert quality["targets"]["val_loss"]["own_share_of_seeds"] is None
    assert figures["seed_standard_deviation"] is None
    assert quality["targets"]["val_loss"]["best_quarter"]["cells"] == 25
    answer = sparse.query({"lr": 1e-3, "dropout": 0.1})
    assert np.isnan(answer.cost_seconds)
    assert answer.status == "ok"
    low, high = sparse.interval({"lr": 1e-3, "dropout": 0.1})["val_loss"]
    assert low < answer.metrics["val_loss"] < high
    assert high - low == pytest.approx(2 * 1.645 * 0.02, rel=0.5)


def test_draws_over_seeds_lie_inside_the_interval_as_often_as_it_says(sparse):
    config = {"lr": 2e-4, "dropout": 0.3}
    low, high = sparse.interval(config, coverage=0.8)["val_loss"]
    drawn = np.array([sparse.query(config, seed=seed).metrics["val_loss"] for seed in range(1000)])
    inside = ((drawn >= low) & (drawn <= high)).mean()
    assert inside == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 1000))


def test_a_table_without_a_measurement_is_refused():
    table = sparse_table(10)
    empty = replace(table, frame=table.frame.assign(val_loss=np.nan))
    with pytest.raises(
        ConfigurationError, match=r"val_loss: measured for 0 configurations, fewer than 5"
    ):
        fit(empty)


def test_what_cannot_be_fitted_is_left_out_or_named(quick):
    table = sparse_table(20)
    few = table.frame.assign(score_toy=[0.5, 0.25, *[np.nan] * 18])
    fitted = fit(make_table(few, table.metadata.space, metrics=(LOSS, SCORE)), extrapolate=False)
    assert list(fitted.metrics) == ["val_loss"]
    said = "score_toy: measured for 2 configurations, fewer than 5"
    assert said in fitted.quality["left_out"]
    loss = replace(LOSS, low=-np.inf)
    huge = table.frame.assign(val_loss=np.logspace(0, 240, 20))
    with pytest.raises(ConfigurationError, match=r"val_loss: values of more than 1e\+100 cannot"):
        fit(make_table(huge, table.metadata.space, metrics=(loss,)), extrapolate=False)


def test_edges_are_reported_as_extrapolation(sparse):
    regions = sparse.surrogate.quality["targets"]["val_loss"]["extrapolation"]
    assert {(r["axis"], r["kind"]) for r in regions} == {("lr", "edge"), ("dropout", "edge")}
    assert all(0.0 <= r["coverage"]["0.9"] <= 1.0 for r in regions)


def test_the_closed_form_is_recovered_away_from_the_rows(sparse):
    rng = np.random.default_rng(3)
    units = rng.random((200, 2))
    truth = 2.0 + (units[:, 0] - 0.6) ** 2 + 0.5 * units[:, 1]
    found = sparse.query_many(sparse.space.from_unit(units))["val_loss"]
    assert np.abs(found - truth).mean() < 0.02
    best, value = sparse.optimum("val_loss")
    assert value == pytest.approx(2.0, abs=0.03)
    assert best["dropout"] < 0.05


@pytest.mark.slow
def test_several_fidelity_axes(quick):
    rng = np.random.default_rng(0)
    space = Space((Float("x", 0.0, 1.0), Categorical("kind", ("a", "b", "c"))))
    rows = []
    for config in space.from_unit(rng.random((30, 2))):
        for step in (1, 4, 16):
            for share in (0.5, 1.0):
                extra = {"a": 0.0, "b": 0.5, "c": 0.1}[config["kind"]]
                loss = 3.0 + config["x"] + extra - 0.1 * np.log(step) - share
                rows.append(
                    {**config, "step": step, "share": share, "val_loss": loss}
                    | {"train_seconds": (1 + config["x"]) * step * share, "score_toy": 0.5}
                )
    axes = (
        Fidelity(name="step", unit="", values=(1, 4, 16)),
        Fidelity(name="share", unit="", values=(0.5, 1.0)),
    )
    frame = pd.DataFrame(rows)
    frame.loc[(frame["share"] < 1.0) & (frame["step"] == 16), "score_toy"] = np.nan
    table = make_table(frame, space, fidelities=axes, metrics=(LOSS, SCORE))
    bench = SurrogateBenchmark(fit(table, folds=3, extrapolate=False))
    answer = bench.query({"x": 0.5, "kind": "b"}, fidelity={"step": 4, "share": 0.5})
    assert answer.metrics["val_loss"] == pytest.approx(3.361, abs=0.1)
    assert answer.cost_seconds == pytest.approx(3.0, rel=0.1)
    middle = {"step": 8, "share": 0.75}  # one corner of its cell has no score
    assert "score_toy" not in bench.query({"x": 0.5, "kind": "b"}, fidelity=middle).metrics
    rising = [
        bench.query({"x": 0.2, "kind": "a"}, fidelity={"step": 7, "share": s}).cost_seconds
        for s in (0.5, 0.6, 0.9, 1.0)
    ]
    assert rising == sorted(rising)


def test_the_space_is_filled_in_between_the_levels():
    assert relaxed(SPACE).dimensions == (
        Integer("rank", 1, 16, log=True),
        Float("lr", 1e-4, 1e-1, log=True),
    )


@pytest.mark.slow
def test_a_configuration_it_never_saw_is_not_known_beforehand(quick, tmp_path):
    """Were a configuration's other seed or steps in its training folds, pure noise would fit."""
    rng = np.random.default_rng(0)
    rows = closed_form_rows()
    noise = {config_id: rng.normal() for config_id in rows["config_id"].unique()}
    noisy = rows.assign(val_loss=5.0 + rows["config_id"].map(noise))
    table = Table.load(write_table(tmp_path / "noisy", noisy))
    report = fit(table, folds=6, extrapolate=False).quality["targets"]
    # By luck, twelve values may seem to be smooth; a leak would give nearly 1.
    assert report["val_loss"]["all"]["r2"] < 0.6
    assert report["val_loss"]["all"]["kendall_tau"] < 0.6


def test_it_is_read_back_to_the_bit(folder, tmp_path):
    once = Surrogate.load(folder)
    once.write(tmp_path / "again")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_card_says_what_the_quality_says(folder):
    card = (folder / "CARD.md").read_text()
    quality = json.loads((folder / "quality.json").read_text())
    for name, target in quality["targets"].items():
        assert f"| {name} | " in card
        at = target["by_fidelity"][-1]
        if target["kind"] == "metric":
            assert f"{at['kendall_tau']:.3f}" in card
    assert "Not good for" in card


def test_every_file_is_guarded(folder, tmp_path):
    for path in folder.iterdir():
        if path.name == "CARD.md":  # for people; nothing is read from it
            continue
        copy = tmp_path / path.stem
        copy.mkdir()
        for other in folder.iterdir():
            (copy / other.name).write_bytes(other.read_bytes())
        content = bytearray(path.read_bytes())
        place = content.rindex(b"0") if path.suffix == ".json" else len(content) // 2
        content[place] ^= 1
        (copy / path.name).write_bytes(bytes(content))
        with pytest.raises(IntegrityError, match=path.name.replace(".", r"\.")):
            Surrogate.load(copy)
        (copy / path.name).unlink()
        with pytest.raises(IntegrityError, match=path.name.replace(".", r"\.")):
            Surrogate.load(copy)


def test_another_format_is_refused(folder, tmp_path):
    raw = json.loads((folder / "surrogate.json").read_text())
    (tmp_path / "surrogate.json").write_text(json.dumps(raw | {"format": 1}))
    with pytest.raises(IntegrityError, match=r"format 3 \(found 1\); fit it again"):
        Surrogate.load(tmp_path)


def test_a_surrogate_below_its_bar_is_refused_unless_told_otherwise(folder, tmp_path):
    passed = Surrogate.load(folder)
    poor = {"passed": False, "verdict": "tau 0.10 is below the bar of 0.5", "tau": 0.1}
    for outcome, words in ((poor, "tau 0.10 is below"), (None, "was never put to")):
        changed = replace(passed, quality=passed.quality | {"ranking_check": outcome})
        if outcome is not None:
            outcome |= {"interval": [0.0, 0.2], "bar": 0.5, "tau_of_the_table_with_itself": 1.0}
            outcome |= {"seeds": 1, "budget": 1, "objective": "val_loss", "mean_ranks": {}}
        where = str(changed.write(tmp_path / words[:5].strip()))
        with pytest.raises(PoorSurrogateError, match=f"{words}.*allow_poor=True"):
            load(where, kind="surrogate")
        assert load(where, kind="surrogate", allow_poor=True).name == "small"


@pytest.mark.parametrize(
    ("config", "options", "error", "words"),
    [
        ({"rank": 32, "lr": 1e-3}, {}, ConfigurationError, r"`rank`: 32 .*\[1, 16\]"),
        ({"rank": 1.5, "lr": 1e-3}, {}, ConfigurationError, "integer"),
        ({"rank": True, "lr": 1e-3}, {}, ConfigurationError, "number is expected"),
        ({"rank": "4", "lr": 1e-3}, {}, ConfigurationError, "number is expected"),
        ({"rank": 4, "lr": float("nan")}, {}, ConfigurationError, "finite"),
        ({"rank": 4}, {}, ConfigurationError, "missing: lr"),
        ({"rank": 4, "lr": 1e-3, "x": 1}, {}, ConfigurationError, "unknown hyperparameter 'x'"),
        ({"rank": 4, "lr": 1e-3}, {"fidelity": {"step": 17}}, ConfigurationError, "range"),
        ({"rank": 4, "lr": 1e-3}, {"seed": 1.5}, ConfigurationError, "`seed`: an integer"),
        ({"rank": 4, "lr": 1e-3}, {"metrics": ["vla_loss"]}, UnknownNameError, "'val_loss'"),
    ],
)
def test_a_bad_query_is_named(bench, config, options, error, words):
    with pytest.raises(error, match=words):
        bench.query(config, **options)
    if "metrics" not in options:
        with pytest.raises(error, match=words):
            bench.query_many([{"rank": 4, "lr": 1e-3}, config], **options)


def test_unknown_names_are_named():
    with pytest.raises(UnknownNameError, match="unknown surrogate 'none'"):
        load("none", kind="surrogate")
    with pytest.raises(UnknownNameError, match="did you mean 'surrogate'"):
        load("lora-nano", kind="surogate")


def test_too_few_configurations_are_refused():
    with pytest.raises(
        ConfigurationError, match="val_loss: measured for 4 configurations, fewer than 5"
    ):
        fit(sparse_table(4))
