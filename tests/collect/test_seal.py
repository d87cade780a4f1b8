"""From a ledger to a table: costs of runs alone, losses of rows, seeds that differ, and gaps."""

import shutil
from dataclasses import replace

import pytest
import torch

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.lora.engines.registry import engine
from hpobench_llm.collect.lora.engines.workbench import prepare
from hpobench_llm.collect.lora.packs import plan
from hpobench_llm.collect.seal import lacking_items, seal
from hpobench_llm.errors import IntegrityError, LedgerError
from hpobench_llm.tables.table import Table

CHANGES = (
    ("seeds = [0, 1]", "seeds = [0]\nper_example_runs = 2\nsolo_runs = 1"),
    ("test_rows = 8", "test_rows = 8\nval_subsets = [3]\nleaked_rows = 4"),
    ("[[score]]", "[[repeat]]\nseeds = [1, 2]\nfirst = 1\n\n[[score]]"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains a campaign, once: its bench, and the folder of its ledger."""
    first = []

    def once(campaign, file):
        if not first:
            torch.set_num_threads(1)
            out = tmp_path_factory.mktemp("trained")
            bench = prepare(campaign, file, torch.device("cpu"))
            ledger = Ledger(open_storage(out), campaign.identity())
            ledger.open(bench.header())
            for task in plan(campaign, "packed", 4):
                ledger.append(task, engine(task.engine)(bench, task.runs, lambda _: None))
            first.extend((bench, out))
        return first

    return once


@pytest.fixture
def collected(write_campaign, tmp_path, trained):
    """A ledger of all tasks of a campaign in which one configuration has three seeds."""
    file = write_campaign(*CHANGES)
    campaign = read_campaign(file)
    bench, folder = trained(campaign, file)
    shutil.copytree(folder, tmp_path / "out")
    ledger = Ledger(open_storage(tmp_path / "out"), campaign.identity())
    ledger.open(bench.header())
    ledger.refresh()
    return campaign, ledger, bench


@pytest.mark.slow
def test_a_packed_run_costs_what_its_class_costs_alone(collected, tmp_path):
    campaign, ledger, _ = collected
    frame = seal(campaign, ledger, tmp_path / "table").frame
    last = frame[frame["step"] == 4]
    assert len(last) == 4 + 2
    solo = {r.config_id: r.checkpoints[-1].values["train_seconds"] for r in ledger.solo.values()}
    assert len(solo) == 2  # one of each rank
    for _, rows in last.groupby("rank"):
        (alone,) = [solo[c] for c in rows["config_id"].unique() if c in solo]
        assert rows["train_seconds"].tolist() == pytest.approx([alone] * len(rows))
        timed = rows["solo_train_seconds"].dropna()
        assert timed.tolist() == pytest.approx([alone])
    assert (last["amortised_train_seconds"] > 0).all()
    assert set(last["engine"]) == {"packed"}
    assert sorted(last["pack_size"]) == [1, 1, 2, 2, 2, 2]  # by rank and seed
    start = frame[frame["step"] == 0]
    assert (start["train_seconds"] == 0).all()


def test_without_runs_alone_a_packed_run_costs_its_share(collected, tmp_path):
    campaign, ledger, _ = collected
    ledger.solo.clear()
    frame = seal(campaign, ledger, tmp_path / "table").frame
    assert frame["train_seconds"].tolist() == frame["amortised_train_seconds"].tolist()
    assert frame["solo_train_seconds"].isna().all()
    assert "some runs not yet" in (tmp_path / "table" / "CARD.md").read_text()


def test_runs_that_have_not_kept_their_losses_are_counted(collected, write_campaign):
    _, ledger, _ = collected
    more = ("per_example_runs = 2", "per_example_runs = 3")
    asked = (CHANGES[0][0], CHANGES[0][1].replace(*more))
    campaign = read_campaign(write_campaign(asked, *CHANGES[1:]))
    assert lacking_items(campaign, ledger) == 1
    run_id = campaign.runs()[2].run_id
    record = ledger.records[run_id]
    broken = replace(record.checkpoints[-1], status="diverged")
    ledger.records[run_id] = replace(record, checkpoints=(*record.checkpoints[:-1], broken))
    assert lacking_items(campaign, ledger) == 0


def test_seeds_may_differ_from_configuration_to_configuration(collected, tmp_path):
    campaign, ledger, _ = collected
    table = seal(campaign, ledger, tmp_path / "table")
    assert table.metadata.seeds == (0, 1, 2)
    counts = table.frame[table.frame["step"] == 4].groupby("config_id").size()
    assert sorted(counts) == [1, 1, 1, 3]
    bench = TabularBenchmark(table)
    assert len(bench.configurations()) == 4
    assert (bench.query_many(bench.configurations())["status"] == "ok").all()


def test_the_losses_of_rows_add_up_to_the_table_s(collected, tmp_path):
    campaign, ledger, bench = collected
    table = seal(campaign, ledger, tmp_path / "table")
    examples = table.examples()
    runs = examples.groupby(["config_id", "seed"])
    assert len(runs) == 2
    full = table.frame[table.frame["step"] == 4].set_index(["config_id", "seed"])
    for key, rows in runs:
        rows = rows[rows["column"] == "val_loss"]
        assert tuple(rows["item_id"]) == bench.split.val_ids
        mean = rows["value"].sum() / rows["tokens"].sum()
        assert mean == pytest.approx(full.loc[key, "val_loss"])
        first = rows.head(3)
        part = first["value"].sum() / first["tokens"].sum()
        assert part == pytest.approx(full.loc[key, "val_loss_3"])
    path = tmp_path / "table" / "examples.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match=r"examples\.parquet: sha256 is"):
        Table.load(tmp_path / "table").examples()


def test_an_incomplete_ledger_is_sealed_only_when_asked(collected, tmp_path, write_campaign):
    _, ledger, _ = collected
    campaign = read_campaign(write_campaign(*CHANGES, ("rank = [2, 4]", "rank = [2, 4, 8]")))
    with pytest.raises(LedgerError, match="2 of 8 runs are missing"):
        seal(campaign, ledger, tmp_path / "table")
    table = seal(campaign, ledger, tmp_path / "table", partial=True)
    assert table.metadata.provenance["missing_runs"] == 2
    assert table.metadata.version == "0.0.1+partial.6"
    assert "2 runs of the campaign are missing" in (tmp_path / "table" / "CARD.md").read_text()
    assert len(TabularBenchmark(table).configurations()) == 4


def test_the_items_of_a_score_stand_beside_the_losses_of_rows(collected, tmp_path):
    campaign, ledger, bench = collected
    table = seal(campaign, ledger, tmp_path / "table")
    items = table.examples()
    scores = items[items["column"] == "score_exact"]
    assert set(items["column"]) == {"val_loss", "score_exact"}
    assert scores["tokens"].isna().all()
    full = table.frame[table.frame["step"] == 4].set_index(["config_id", "seed"])
    for key, rows in scores.groupby(["config_id", "seed"]):
        assert tuple(rows["item_id"]) == bench.scorers[0].item_ids
        assert rows["value"].mean() == pytest.approx(full.loc[key, "score_exact"])


def test_items_of_which_nobody_says_which_they_are_cannot_be_sealed(collected, tmp_path):
    campaign, ledger, _ = collected
    run_id = campaign.runs()[0].run_id
    record = ledger.records[run_id]
    for items, words in (
        ({"extra": (0.5,)}, f"run {run_id} holds 1 items of `extra`, campaign.json names 0"),
        ({"val_loss": (0.5,)}, f"run {run_id} holds 1 items of `val_loss`, campaign.json names 8"),
    ):
        ledger.records[run_id] = replace(record, items=items)
        with pytest.raises(LedgerError, match=words):
            seal(campaign, ledger, tmp_path / "table")


@pytest.mark.parametrize("place", ["settings", "constants", "values"])
def test_what_a_record_holds_is_in_the_table_or_an_error_names_it(collected, tmp_path, place):
    campaign, ledger, _ = collected
    run_id = campaign.runs()[1].run_id
    record = ledger.records[run_id]
    if place == "values":
        last = record.checkpoints[-1]
        last = replace(last, values={**last.values, "latency_ms": 3.5})
        record = replace(record, checkpoints=(*record.checkpoints[:-1], last))
    else:
        record = replace(record, **{place: {**getattr(record, place), "latency_ms": 3.5}})
    ledger.records[run_id] = record
    with pytest.raises(LedgerError, match=f"run {run_id} holds `latency_ms`, and no column"):
        seal(campaign, ledger, tmp_path / "table")
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize("scores", [(0.25, 0.25), (0.125, 0.75)])
def test_a_score_without_signal_is_a_column_and_no_metric(collected, tmp_path, scores):
    campaign, ledger, _ = collected
    for number, run_id in enumerate(sorted(ledger.records)):
        record = ledger.records[run_id]
        last = record.checkpoints[-1]
        own = {"score_exact": scores[number % 2], "score_exact_stderr": 0.01}
        last = replace(last, values={**last.values, **own})
        checkpoints = (*record.checkpoints[:-1], last)
        ledger.records[run_id] = replace(record, checkpoints=checkpoints)
    table = seal(campaign, ledger, tmp_path / "table")
    silent = scores[0] == scores[1]
    assert ("score_exact" in table.metadata.metrics) is not silent
    assert set(table.frame[table.frame["step"] == 4]["score_exact"]) == {*scores}
    assert table.metadata.columns["score_exact"].unit == "share of items"
    said = "Without signal, and not ranked: score_exact. Every run has 0.25."
    assert (said in (tmp_path / "table" / "CARD.md").read_text()) is silent
    assert "val_loss" in table.metadata.metrics
