"""The card: its figures are those of the rows and of replays, and foreign text is no markup."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.regret import regrets
from hpobench_llm.metrics import Metric
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.card import card
from hpobench_llm.tables.difficulty import random_search_regret
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import answers, judged, without_signal
from tests.conftest import write_table
from tests.problems import FINITE, table


def test_the_card_says_what_the_rows_say(table_folder):
    text = card(Table.load(table_folder))
    assert "24 runs of 12 configurations (seeds: 12 with 2)" in text
    assert "1 runs ended diverged" in text
    # Seed 1 adds 0.01 to all: a shift of 0.01 / sqrt(2), and nothing else.
    assert "| val_loss | nats per label token | 0.0000 | 0.0071 |" in text
    assert "The table is dense: all 12 configurations of its grid." in text
    assert "from the seeds that all configurations have (0, 1)" in text
    assert "| best by | rank | lr | val_loss | test_loss | train_loss | score_toy |" in text


@pytest.mark.parametrize("n", [1, 2, 3])
def test_random_search_s_regret_is_that_of_all_draws(n):
    answers = np.array([0.3, 0.1, np.inf, 0.2, 0.1, 0.4])
    worth = np.array([0.35, 0.15, 9.0, 0.12, 0.25, 0.38])
    found = []
    for draw in itertools.product(range(6), repeat=n):
        lowest = min(answers[list(draw)])
        found.append(worth[next(i for i in draw if answers[i] == lowest)])  # the first stays
    (regret,) = random_search_regret(answers, worth, (n,))
    assert regret == pytest.approx(np.mean(found) - 0.12)


def test_with_many_draws_random_search_finds_what_it_is_told_is_best():
    answers, worth = np.array([0.2, 0.1, 0.3]), np.array([0.2, 0.25, 0.3])
    assert random_search_regret(answers, worth, (10_000,)) == [pytest.approx(0.05)]


STAR = [
    {"rank": rank, "target": target}
    for rank, target in [(1, "q"), (4, "q"), (16, "q"), (4, "qv"), (4, "all")]
]


@pytest.mark.slow
@pytest.mark.parametrize("configs", [list(FINITE.configurations()), STAR], ids=["dense", "sparse"])
def test_the_card_s_expected_regret_is_that_of_random_in_a_replay(tmp_path, configs):
    """Some were run with a third seed, which judges: by the formula and by the replays."""
    ragged = table(
        tmp_path / "t", FINITE, configs, (), seeds=(0, 1, 2), keep=lambda n, s, _: s < 2 or n % 2
    )
    bench = TabularBenchmark(ragged)
    frames = [replay(bench, "random", budget=3, seed=seed).frame for seed in range(400)]
    frame = pd.concat(frames, ignore_index=True)
    problem = ComparedBenchmark.of(bench, ("val_loss",), frame)
    found = regrets(frame, benchmark=bench.name, optimizers=["random"], compared=problem)
    final = found.curves[0, :, -1]
    metric = ragged.metadata.metrics["val_loss"]
    losses, (worth, _) = answers(ragged, metric), judged(ragged, metric)
    assert len(losses) == len(configs)
    told = bench.query_many(configs)["val_loss"]
    assert losses.to_numpy() == pytest.approx(told.to_numpy())
    known = bench.judge().query_many(configs)["val_loss"]
    assert worth.to_numpy() == pytest.approx(known.to_numpy())
    (expected,) = random_search_regret(
        losses.to_numpy(), worth.reindex(losses.index).to_numpy(), (3,)
    )
    assert expected > 0
    assert abs(final.mean() - expected) < 4 * final.std() / np.sqrt(len(final))


@pytest.mark.parametrize("optimizer", ["random", "grid", "sobol", "tpe-optuna", "de"])
def test_every_configuration_of_a_sparse_table_is_reached(tmp_path, optimizer):
    axes = tuple(Ordinal(name, (1, 2, 3, 4, 5)) for name in "abcd")
    middle = dict.fromkeys("abcd", 3)
    arms = [middle | {name: value} for name in "abcd" for value in (1, 2, 4, 5)]
    bench = TabularBenchmark(table(tmp_path / "t", Space(axes), [middle, *arms], ()))
    assert bench.density == "sparse: 17 configurations of 625"
    frame = replay(bench, optimizer, budget=150, seed=1).frame
    ids = set(bench.configurations()["config_id"])
    assert set(frame["config_id"]) == ids
    if optimizer == "random":  # each as likely as any other
        counts = frame["config_id"].value_counts()
        assert counts.max() < 5 * counts.min() + 10
    else:
        assert set(frame["config_id"].iloc[:40]) == ids


def test_the_card_names_no_winner_where_many_tie_or_nothing_shows(tmp_path, rows, seal_rows):
    flat = rows.assign(score_toy=rows["score_toy"].where(rows["score_toy"].isna(), 0.25))
    text = card(Table.load(seal_rows(tmp_path / "flat", flat)))
    assert "Without signal, and not ranked: score_toy. Every run has 0.25." in text
    assert "| score_toy | share of items |" not in text.split("## Columns")[0]
    assert "- score_toy:" not in text
    tied = rows.assign(score_toy=np.where(rows["lr"] < 1e-2, 0.5, 0.25))
    text = card(Table.load(seal_rows(tmp_path / "tied", tied)))
    assert "| score_toy | 6 tie |  |  |  |  | 0.5000 |" in text


def test_a_score_within_two_standard_errors_has_no_signal(tmp_path, rows):
    metrics = {
        "score": Metric(
            name="score", unit="1", direction="maximize", worst=0.0, stderr="score_stderr"
        )
    }
    share = np.where(rows["lr"] < 1e-2, 1 / 150, 0.0)
    frame = rows.assign(score=share, score_stderr=np.sqrt(share * (1 - share) / 149))
    made = Table.load(write_table(tmp_path / "t", rows))
    metadata = dataclasses.replace(made.metadata, metrics=made.metadata.metrics | metrics)
    silent = without_signal(Table(metadata, frame, made.folder))
    assert list(silent) == ["score"]
    assert "between 0 and 0.006667" in silent["score"]
    loud = frame.assign(score_stderr=0.001)
    assert without_signal(Table(metadata, loud, made.folder)) == {}


def test_foreign_names_are_no_markup_in_the_card(table_folder):
    made = Table.load(table_folder)
    nasty = "<script>alert(1)</script> [x](javascript:1) **b** \n# h | c & _i_ val_loss"
    metadata = dataclasses.replace(
        made.metadata,
        description=nasty,
        context=nasty,
        licence=nasty,
        provenance=made.metadata.provenance | {"split": nasty, "devices": [nasty]},
    )
    text = card(Table(metadata, made.frame, made.folder))
    assert "<script" not in text
    assert "[x](" not in text
    assert "\n# h" not in text
    shown = (
        "&lt;script&gt;alert(1)&lt;/script&gt; \\[x\\](javascript:1) \\*\\*b\\*\\* # h \\| c "
        "&amp; \\_i\\_ val_loss"
    )
    assert text.count(shown) == 9  # of what the datasheet says again too


def test_the_card_says_how_hard_the_table_is(table_folder):
    text = card(Table.load(table_folder))
    assert "## How hard it is" in text
    metric = Table.load(table_folder).metadata.metrics["val_loss"]
    losses, (worth, _) = (f(Table.load(table_folder), metric) for f in (answers, judged))
    known = worth.reindex(losses.index).fillna(metric.worst)
    (regret,) = random_search_regret(losses.to_numpy(), known.to_numpy(), (20,))
    assert f"{regret:.4f} after 20 trials" in text
    assert "12 with 2" in text
