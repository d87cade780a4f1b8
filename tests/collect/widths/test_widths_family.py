"""The family `widths` from campaign to table: killed, continued, sealed, verified, replayed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import hpobench_llm
from hpobench_llm.cli.collect import main
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.families import family_of, read_campaign
from hpobench_llm.collect.trust import NONE
from hpobench_llm.collect.verify import choose_runs, verify
from hpobench_llm.collect.widths.learner import Learner, mean_loss
from hpobench_llm.collect.widths.rows import END, batches, cut, stream_seed
from hpobench_llm.errors import SpecError
from hpobench_llm.tables.table import Table

CAMPAIGN = """
kind = "widths"
name = "tiny-widths"
version = "0.1"
description = "Models of a few thousand parameters on generated sentences."
seeds = [0]
checkpoints = [0, 2, 6]
warm_from = [4, 8]

[model]
layers = 1
head_size = 4
mlp_ratio = 2
context_tokens = 16
base_width = 8

[[corpus]]
generated_sentences = 400
min_characters = 1

[text]
train_rows = 64
val_rows = 8
test_rows = 8

[grid]
width = [8, 16]
parametrisation = ["sp", "mup"]
lr = [1e-2, 1e5]
shrink = [0.0, 0.5, 1.0]

[[repeat]]
seeds = [1]
first = 4

[defaults]
batch_rows = 4
"""
RUNS = 2 * 2 * 2 * 3 + 4


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the campaign, with `old, new` pairs replaced."""

    def write(*pairs):
        text = CAMPAIGN
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "tiny-widths.toml"
        file.write_text(text)
        return file

    return write


def finished(out):
    return len(list((out / "ledger").glob("*.json")))


@pytest.mark.slow
def test_a_campaign_of_widths_is_killed_continued_and_used(write, tmp_path, capsys):
    file, out = write(), tmp_path / "out"
    command = [sys.executable, "-m", "hpobench_llm.cli.collect", str(file), "--out", str(out)]
    collector = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    deadline = time.monotonic() + 240
    while finished(out) < 2 and time.monotonic() < deadline and collector.poll() is None:
        time.sleep(0.01)
    collector.send_signal(signal.SIGKILL)
    collector.wait()
    assert 2 <= finished(out) < RUNS

    assert main([str(file), "--out", str(out), "--dry-run", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"runs       {RUNS} (24 configurations x 1 seeds, 4 repeats)" in said
    assert "warm       4 to 8, 8 to 16" in said
    assert main([str(file), "--out", str(out), "--device", "cpu"]) == 0
    assert f"sealed {3 * RUNS} rows of {RUNS} runs" in capsys.readouterr().out

    table = Table.load(out)
    frame = table.frame
    diverged = frame[frame["status"] == "diverged"]  # kept, with what they cost
    assert len(diverged) > 0
    assert set(diverged["lr"]) == {1e5}
    assert (diverged["tokens_seen"] <= diverged["step"] * 4 * 16).all()
    assert (diverged["tokens_seen"] > 0).any()
    warm = frame[frame["shrink"] > 0]
    assert (warm["source_width"] == warm["width"] / 2).all()
    assert (warm["source_flops"] > 0).all()
    assert frame[frame["shrink"] == 0]["source_width"].isna().all()
    assert table.metadata.columns["train_flops"].unit == "FLOPs"
    card = (out / "CARD.md").read_text()
    for line in (
        "coordinate check, sp",
        "best learning rate, mup, cold",
        "tokens saved, sp, warm",
    ):
        assert line in card

    chosen = choose_runs(table, 3, 0)
    verified = verify(table, file, chosen, device="cpu")
    assert not verified.problems
    for run in verified.runs:
        assert all(metric.difference == 0 for metric in run.metrics.values())

    benchmark = hpobench_llm.load(out)
    config, best = benchmark.optimum("val_loss")
    assert benchmark.query(config).metrics["val_loss"] == pytest.approx(best)
    trajectory = hpobench_llm.replay(benchmark, "random", budget=5, seed=0)
    assert len(trajectory.to_frame()) == 5


@pytest.mark.slow
def test_runs_of_a_task_are_what_each_is_alone_and_grow_from_the_grid_itself(write):
    file = write(("seeds = [0]\n", "seeds = [0]\ndiverged_factor = 2.0\n"))
    campaign = read_campaign(file)
    family = family_of(campaign)
    config = {"width": 16, "parametrisation": "mup", "lr": 1e-2}
    tasks = family.tasks(campaign, "sequential", 1)
    (task,) = (
        task
        for task in tasks
        if len(task.runs) == 2
        and task.runs[0].seed == 0
        and config.items() <= task.runs[0].config.items()
    )
    assert {run.config["shrink"] for run in task.runs} == {0.5, 1.0}
    assert sorted(run.run_id for task in tasks for run in task.runs) == sorted(
        run.run_id for run in campaign.runs()
    )
    bench = family.open(campaign, file, "cpu", NONE)
    together = bench.run(task, lambda _: None)
    alone = bench.run(Task("runs", "sequential", task.runs[1:]), lambda _: None)[0]

    def losses(record):
        return [point.values["val_loss"] for point in record.checkpoints]

    assert losses(together[1]) == losses(alone)
    assert losses(together[0]) != losses(together[1])
    assert alone.constants["source_seconds"] > 0

    live = hpobench_llm.load(str(file), "live")
    answer = live.query(task.runs[1].config, fidelity={"step": 2}, seed=0)
    assert answer.metrics["val_loss"] == losses(alone)[1]

    # The smaller model is the grid's own cold run: its loss, and its weights in the corner.
    cold = Run({**config, "width": 8, "shrink": 0.0}, 0)
    record = bench.run(Task("runs", "sequential", (cold,)), lambda _: None)[0]
    source = bench._trained(campaign.source_of(task.runs[0]), 0, lambda _: None)
    hyper = campaign.hyperparameters(cold.config)
    trained = Learner(campaign.model, hyper, bench.rows.train, seed=0, steps=6)
    for weight, (name, parameter) in zip(
        source.weights.values(), trained.model.named_parameters(), strict=True
    ):
        assert weight.shape == parameter.shape, name
        parameter.data.copy_(weight)
    assert mean_loss(trained.model, bench.rows.val) == record.checkpoints[-1].values["val_loss"]


def test_rows_are_bytes_and_paragraphs_end():
    rows = cut(["ab", "é"], 3, 9)
    assert rows.tolist() == [[97, 98, END], [0xC3, 0xA9, END]]
    assert len(cut(["abc"] * 99, 4, 5)) == 5
    assert cut([], 4, 5).shape == (0, 4)


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own():
    stream = batches(torch.arange(6)[:, None], 4, seed=3)
    seen = torch.cat([next(stream) for _ in range(3)])[:, 0].tolist()
    first, second = seen[:6], seen[6:]
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    seeds = {stream_seed(seed, width) for seed in range(20) for width in (8, 16)}
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = [8, 16]", "width = [8, 14]", "width 14 is no whole number of heads of"),
        ("[4, 8]", "[4, 6]", "width 6 is no whole number of heads of model.head_size = 4"),
        ("[4, 8]", "[4, 16]", "width 16 cannot grow from 16, which is not smaller"),
        ("[4, 8]", "[8]", r"`warm_from` = \[8\]: one width is expected for each of \[8, 16\]"),
        ("warm_from = [4, 8]", "", "`warm_from`: `shrink` above 0 starts from a smaller model"),
        ("head_size = 4", "head_size = 5", "head_size must be even"),
        ("[0.0, 0.5, 1.0]", "[0.0, 1.5]", "shrink = 1.5 is outside its range"),
        ('["sp", "mup"]', '["sp", "ntk"]', "'ntk'"),
        ("seeds = [0]", "seeds = [0]\ndiverged_factor = 1e308", "nats finite, got 1e\\+308"),
        ("lr = [", "lrr = [", "`grid.lrr`: unknown hyperparameter; did you mean 'lr'"),
        ("[0, 2, 6]", "[2, 6]", "`checkpoints` must start at 0"),
        ("seeds = [0]", "seeds = [0]\nper_example_runs = 1", "keeps no single items"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(write, old, new, message):
    with pytest.raises(SpecError, match=message) as refused:
        read_campaign(write((old, new)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("generated_sentences = 400", "generated_sentences = 3", "`corpus`: the text gives"),
        ("train_rows = 64", "train_rows = 0", "train_rows must be at least 1"),
        ("width = [8, 16]", "width = [8, 14]", "no whole number of heads"),
        ("[4, 8]", "[4, 16]", "cannot grow from 16"),
    ],
)
def test_the_command_ends_with_2_and_one_line(write, tmp_path, capsys, old, new, message):
    file = write((old, new))
    assert main([str(file), "--out", str(tmp_path / "out"), "--dry-run", "--device", "cpu"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_the_campaign_of_the_project_reads(project_root):
    campaign = read_campaign(project_root / "collect" / "width-transfer.toml")
    widths = campaign.extent("width")
    assert len(widths) >= 3
    assert widths[-1] >= 4 * widths[0]
    assert len(campaign.checkpoints) >= 8
    assert all(small < width for small, width in zip(campaign.warm_from, widths, strict=True))
    assert {"lr", "init_std", "parametrisation", "shrink"} <= set(campaign.grid)
    seeds = np.array([run.seed for run in campaign.runs()])
    assert {0, 1} == set(seeds)
