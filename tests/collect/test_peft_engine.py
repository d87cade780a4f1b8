"""The reference engine against closed forms, against transformers, and when a run breaks."""

import json
import math

import numpy as np
import pytest
import torch

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.model import adapted
from hpobench_llm.collect.lora.data.batches import collate, row_stream
from hpobench_llm.collect.lora.engines.peft_loop import train_runs
from hpobench_llm.collect.lora.engines.workbench import prepare
from hpobench_llm.collect.lora.scores.losses import mean_loss, row_losses
from hpobench_llm.collect.training.schedule import schedule
from hpobench_llm.errors import DataError, SpecError

CPU = torch.device("cpu")
MEASURED = ("train_seconds", "train_wall_seconds", "eval_seconds", "peak_memory_bytes")


@pytest.fixture
def open_bench(write_campaign, tmp_path):
    def build(*pairs):
        torch.set_num_threads(1)
        file = write_campaign(*pairs)
        return prepare(read_campaign(file), file, CPU)

    return build


@pytest.fixture
def bench(open_bench):
    return open_bench()


def train_run(bench, run):
    return train_runs(bench, [run])[0]


def without_measured(record):
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in record.rows()]


@pytest.mark.slow
def test_a_run_repeats_and_leaves_the_base_as_it_was(bench):
    before = {name: p.clone() for name, p in bench.base.named_parameters()}
    run = Run({"rank": 4, "lr": 1e-2}, 0)
    one, other = train_run(bench, run), train_run(bench, run)
    assert without_measured(one) == without_measured(other)
    after = dict(bench.base.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert without_measured(train_run(bench, Run(run.config, 1))) != without_measured(one)


def test_rows_hold_what_was_asked_for(bench):
    record = train_run(bench, Run({"rank": 4, "lr": 1e-2}, 0))
    rows = record.rows()
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert rows[0]["val_loss"] == bench.untrained["val_loss"]
    assert rows[2]["val_loss"] < rows[0]["val_loss"]
    assert all(row["status"] == "ok" for row in rows)
    assert ["score_exact" in row for row in rows] == [True, False, True]
    assert rows[0]["tokens_seen"] == 0 < rows[1]["tokens_seen"] < rows[2]["tokens_seen"]
    for name in ("train_seconds", "eval_seconds"):
        assert rows[0][name] == 0 < rows[1][name] < rows[2][name]
    assert record.settings["dropout"] == 0.0
    assert record.provenance.versions["peft"]


def test_only_lora_is_trained_and_a_fresh_adapter_changes_nothing(bench):
    hyper = bench.campaign.hyperparameters({"rank": 4, "lr": 1e-2})
    with adapted(bench.base, hyper, 0) as (model, parameters):
        names = [n for n, p in model.named_parameters() if p.requires_grad]
        assert all("lora_A" in n or "lora_B" in n for n in names)
        assert len(names) == len(parameters) == 3 * 7 * 2
        assert mean_loss(model, bench.split.val, bench.pad) == bench.untrained["val_loss"]


def test_dropout_of_one_learns_nothing(open_bench):
    """The adapter then sees zeros alone: what still learned would be something else."""
    bench = open_bench(("[grid]", "[defaults]\ndropout = 1.0\n[grid]"))
    rows = train_run(bench, Run({"rank": 4, "lr": 1e-2}, 0)).rows()
    assert [row["val_loss"] for row in rows] == [bench.untrained["val_loss"]] * 3


def test_the_loss_is_that_of_transformers(bench):
    rows = bench.split.val[:4]
    batch = collate(rows, bench.pad, CPU)
    with torch.no_grad():
        theirs = float(bench.base(**batch).loss)
    assert mean_loss(bench.base, rows, bench.pad) == pytest.approx(theirs, rel=1e-5)
    alone = [float(row_losses(bench.base, [row], bench.pad)[0]) for row in rows]
    assert row_losses(bench.base, rows, bench.pad).numpy() == pytest.approx(alone, rel=1e-4)


@pytest.mark.slow
def test_exact_match_is_what_greedy_decoding_gives(open_bench):
    bench = open_bench(
        ("checkpoints = [0, 2, 4]", "checkpoints = [0, 60]"),
        ("checkpoints = [0, 4]", "checkpoints = [0, 60]"),
        ("test_rows = 8", "test_rows = 40"),
    )
    hyper = bench.campaign.hyperparameters({"rank": 16, "lr": 1e-2})
    with adapted(bench.base, hyper, 0) as (model, parameters):
        optimizer = torch.optim.AdamW(parameters, lr=1e-2)
        rows = bench.split.train
        for start in range(0, 60 * 8, 8):
            picked = [rows[i % len(rows)] for i in range(start, start + 8)]
            batch = collate(picked, bench.pad, CPU)
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        right = []
        for row in bench.split.train[:40]:
            prompt = torch.tensor([row.ids[: row.prompt_tokens]])
            made = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=len(row.ids) - row.prompt_tokens,
                do_sample=False,
                pad_token_id=bench.pad,
            )
            right.append(made[0].tolist() == row.ids)
        from hpobench_llm.collect.lora.scores.scorer import _exact_matches

        ours = _exact_matches(model, bench.split.train[:40], bench.pad)
    assert 0 < sum(right) < 40
    assert list(ours == 1.0) == right


@pytest.mark.slow
def test_a_run_that_breaks_is_a_row_with_its_cost(open_bench):
    bench = open_bench(("lr = [1e-3, 1e-2]", "lr = [1e-3, 1e30]"))
    rows = train_run(bench, Run({"rank": 4, "lr": 1e30}, 0)).rows()
    assert [row["status"] for row in rows] == ["ok", "diverged", "diverged"]
    assert "val_loss" not in rows[2]
    assert rows[2]["train_seconds"] > 0
    healthy = train_run(bench, Run({"rank": 4, "lr": 1e-3}, 0)).rows()
    assert all(row["status"] == "ok" for row in healthy)


def test_a_run_worse_than_the_untrained_base_at_the_end_is_diverged(open_bench):
    bench = open_bench(('version = "0.0.1"', 'version = "0.0.1"\ndiverged_factor = 0.5'))
    rows = train_run(bench, Run({"rank": 2, "lr": 1e-3}, 0)).rows()
    assert [row["status"] for row in rows] == ["ok", "ok", "diverged"]
    assert rows[2]["val_loss"] > 0.5 * rows[0]["val_loss"]


def test_the_schedule_warms_up_and_ends_near_zero():
    factors = [schedule(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert np.all(np.diff(factors[10:]) < 0)


def test_an_unknown_target_module_is_named(open_bench):
    bench = open_bench(("[grid]", '[defaults]\ntarget_modules = "q_porj"\n[grid]'))
    with pytest.raises(SpecError, match=r"target_modules.*q_porj"):
        train_run(bench, Run({"rank": 4, "lr": 1e-3}, 0))


def test_each_epoch_holds_every_used_row_once():
    rows = list(range(10))
    stream = row_stream(rows, 3, seed=5, fraction=0.6)
    seen = [row for _ in range(4) for row in next(stream)]
    assert sorted(seen[:6]) == sorted(seen[6:]) == rows[:6]
    assert seen[:6] != seen[6:]
    again = row_stream(rows, 6, seed=5, fraction=0.6)
    assert [row for _ in range(2) for row in next(again)] == seen
    other = row_stream(rows, 6, seed=6, fraction=0.6)
    assert [row for _ in range(2) for row in next(other)] != seen


def test_losses_on_parts_of_the_rows_are_those_of_the_parts(open_bench):
    bench = open_bench(("val_rows = 8", "val_rows = 8\nval_subsets = [2, 5]\nleaked_rows = 3"))
    untrained = bench.untrained
    for count in (2, 5):
        part = mean_loss(bench.base, bench.split.val[:count], bench.pad)
        assert untrained[f"val_loss_{count}"] == pytest.approx(part, rel=1e-5)
    leaked = mean_loss(bench.base, bench.split.train[:3], bench.pad)
    assert untrained["leaked_val_loss"] == pytest.approx(leaked, rel=1e-5)


@pytest.mark.slow
def test_leaked_rows_are_learned_faster_than_held_out_ones(open_bench):
    bench = open_bench(
        ("val_rows = 8", "val_rows = 40\nleaked_rows = 16"),
        ("train_rows = 64", "train_rows = 16"),
        ("checkpoints = [0, 2, 4]", "checkpoints = [0, 60]"),
        ("checkpoints = [0, 4]", "checkpoints = [0, 60]"),
    )
    last = train_run(bench, Run({"rank": 4, "lr": 1e-2}, 0)).rows()[-1]
    assert last["leaked_val_loss"] < last["val_loss"] - 0.5


@pytest.mark.slow
def test_the_first_runs_keep_the_loss_of_every_validation_row(open_bench):
    bench = open_bench(('version = "0.0.1"', 'version = "0.0.1"\nper_example_runs = 1'))
    first, second = bench.campaign.runs()[:2]
    kept, plain = train_run(bench, first), train_run(bench, second)
    assert "val_loss" not in plain.items
    labels = sum(len(row.ids) - row.prompt_tokens for row in bench.split.val)
    mean = sum(kept.items["val_loss"]) / labels
    assert mean == pytest.approx(kept.rows()[-1]["val_loss"], rel=1e-7)


def test_rows_longer_than_the_base_takes_are_refused(open_bench):
    with pytest.raises(SpecError, match=r"`data.max_tokens`: 129 is more than the 128 tokens"):
        open_bench(("max_tokens = 48", "max_tokens = 129"))


def test_an_item_longer_than_the_base_takes_is_counted(open_bench, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    long = {"good": "a cat " * 100, "bad": "cat a"}
    short = {"good": "a cat", "bad": "cat a"}
    exact = 'kind = "exact-match"\ncheckpoints = [0, 4]'
    score = f'kind = "minimal-pairs"\npath = "{pairs}"\ncheckpoints = [0, 4]'
    pairs.write_text("\n".join(json.dumps(item) for item in (long, short, long, short)))
    (scorer,) = open_bench((exact, score)).scorers
    assert (scorer.items, scorer.source["unused"]) == (2, 2)
    pairs.write_text(json.dumps(long))
    with pytest.raises(DataError, match="no item fits the 128 tokens"):
        open_bench((exact, score))
