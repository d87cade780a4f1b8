"""A campaign of sub-networks from its file to a replay; what cannot be is one clear line."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import hpobench_llm
from hpobench_llm.cli.collect import main
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.architecture import untrained
from hpobench_llm.collect.lora.bases.spec import Architecture
from hpobench_llm.collect.subnets.findings import findings
from hpobench_llm.collect.subnets.sampling import bins_of
from hpobench_llm.collect.subnets.subnet import parameters, subnet_of
from hpobench_llm.collect.verify import choose_runs, verify
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.tables.table import Table

CAMPAIGN = """
kind = "subnets"
name = "subnets-tiny"
version = "0.1"
description = "Sub-networks of a network of a few thousand parameters, for tests."
seeds = [0, 1]
checkpoints = [0, 6]
sample = 6
bins = 3
alone = 3
per_example_runs = 1
latency_rows = 2
latency_repeats = 3

[base]
path = "base"

[base.shape]
hidden_size = 16
intermediate_size = 12
layers = 2
heads = 2
vocabulary = 512
tied_head = true

[data]
max_tokens = 48
train_rows = 32
val_rows = 8
test_rows = 8

[[data.source]]
name = "generated"
generated_tasks = 400

[calibration]
rows = 8

[training]
finetune_steps = 2
batch_rows = 2

[grid]
width = [8, 16]
heads = [1, 2]
mlp_ratio = [0.25, 0.75]
depth = [0, 1, 2]

[[score]]
name = "choice"
kind = "answer-choice"
checkpoints = [6]
items = 4
"""
RUNS = 6 * 2


@pytest.fixture
def campaign(tmp_path, project_root):
    shape = Architecture(
        vocabulary=512, hidden_size=16, layers=2, heads=2, intermediate_size=12, context_tokens=64
    )
    untrained(shape, 0).save_pretrained(tmp_path / "base")
    for path in (project_root / "collect" / "bases" / "tiny").glob("tokenizer*"):
        shutil.copy(path, tmp_path / "base")
    file = tmp_path / "subnets-tiny.toml"
    file.write_text(CAMPAIGN)
    return file


@pytest.mark.slow
def test_a_campaign_is_collected_verified_and_replayed(campaign, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(campaign), "--out", str(out), "--dry-run"]) == 0
    assert "then 6 of 4 passes for each of 2 super-networks" in capsys.readouterr().out
    command = [sys.executable, "-m", "hpobench_llm.cli.collect", str(campaign), "--out", str(out)]
    collector = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("ledger/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    collector.send_signal(signal.SIGKILL)
    collector.wait()
    assert len(list(out.glob("ledger/*.json"))) >= 2
    assert main([str(campaign), "--out", str(out)]) == 0
    assert f"sealed {2 * RUNS} rows of {RUNS} runs" in capsys.readouterr().out

    table = Table.load(out)
    full = table.frame[table.frame["step"] == 6]
    assert full["alone_val_loss"].notna().sum() == 6  # three configurations of two seeds
    assert full.groupby("seed")["supernet_sha256"].nunique().eq(1).all()
    assert full["supernet_sha256"].nunique() == 2
    assert full["order_sha256"].nunique() == 1
    assert (full["latency_seconds"] > 0).all()
    assert len(table.examples()) == 8 + 4
    assert "noise of seeds, super-networks: between seeds 0 and 1 tau is" in (
        out / "CARD.md"
    ).read_text().replace("\n", " ")
    baselines = table.metadata.provenance["baselines"]
    methods = Counter(one["method"] for one in baselines)
    assert methods.pop("magnitude pruning") >= 2
    assert methods == {
        "fine-tuned, nothing cut": 1,
        "last layers dropped": 1,
        "least important layers dropped": 1,
    }
    measured = {"val_loss", "test_loss", "parameters", "flops", "latency_seconds", "score_choice"}
    assert all(measured <= one["values"].keys() for one in baselines)
    whole = full[full["parameters"] == full["parameters"].max()].iloc[0]
    assert baselines[0]["values"]["parameters"] == whole["parameters"]
    untouched = table.frame[(table.frame["step"] == 0) & (table.frame["seed"] == 0)]
    at_start = untouched.set_index("config_id").loc[whole["config_id"]]
    assert baselines[0]["values"]["val_loss"] == pytest.approx(at_start["val_loss"], abs=1e-5)
    assert "| magnitude pruning | width 1" in (out / "CARD.md").read_text()
    roles = {name: metric.role for name, metric in table.metadata.metrics.items()}
    assert roles["val_loss"] == "objective"
    assert roles["parameters"] == roles["flops"] == roles["latency_seconds"] == "cost"

    verification = verify(table, campaign, choose_runs(table, 2, 0))
    assert not verification.problems
    assert all(run.metrics["val_loss"].difference == 0 for run in verification.runs)

    benchmark = hpobench_llm.load(out)
    names = ("val_loss", "parameters", "latency_seconds")
    trajectory = hpobench_llm.replay(benchmark, "nsga2", budget=6, seed=0, objectives=names)
    assert len(trajectory.to_frame()) == 6
    compared = ComparedBenchmark.of(benchmark, names[:2], trajectory.to_frame())
    assert len(compared.baselines) == len(baselines)


def test_a_sample_has_as_many_small_as_large_ones(campaign):
    spec = read_campaign(campaign)
    chosen = spec.configs()
    assert len(chosen) == 6
    sizes = [
        parameters(subnet_of(config, spec.whole), spec.whole)
        for config in [*spec.space.configurations(), *chosen]
    ]
    assert np.bincount(bins_of(sizes, 3)[-6:]).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("heads = [1, 2]", "heads = [1, 4]", "`grid.heads`: heads 4: the base has 1 to 2"),
        ("width = [8, 16]", "width = [8, 32]", "`grid.width`: width 32: the base has 1 to 16"),
        ("0.75]", "2.0]", "`grid.mlp_ratio`: units 16: the base has 1 to 12"),
        ("depth = [0, 1, 2]", "layers = [1, 2]", "those of one space are expected"),
        ("sample = 6", "sample = 60", "`sample` = 60, but the grid has 24 configurations"),
        ("layers = 2\n", "layers = 3\n", "`base.shape`: says Whole"),
        ("rows = 8\n\n[training]", "rows = 40\n\n[training]", "more than data.train_rows"),
    ],
)
def test_what_a_base_cannot_have_is_one_line(campaign, tmp_path, capsys, old, new, line):
    assert old in CAMPAIGN
    campaign.write_text(CAMPAIGN.replace(old, new))
    assert main([str(campaign), "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    said = capsys.readouterr().err.strip()
    assert line in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "rows.jsonl: the file is empty"),
        ('{"instruction": "", "output": ""}\n', "wants 8 rows, there are 0 usable ones"),
    ],
)
def test_calibration_without_rows_is_one_line(campaign, tmp_path, capsys, text, line):
    (tmp_path / "rows.jsonl").write_text(text)
    source = '\n[[calibration.source]]\nname = "other"\npath = "rows.jsonl"\n\n[training]'
    campaign.write_text(CAMPAIGN.replace("\n[training]", source))
    assert main([str(campaign), "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    said = capsys.readouterr().err.strip()
    assert line in said
    assert "\n" not in said


def test_a_layer_space_is_all_of_it(campaign):
    bits = "[grid]\nlayer_0 = [0, 1]\nlayer_1 = [0, 1]\n\n[[score]]"
    grid = CAMPAIGN[CAMPAIGN.index("[grid]") : CAMPAIGN.index("[[score]]") + 9]
    campaign.write_text(CAMPAIGN.replace(grid, bits).replace("sample = 6", "sample = 0"))
    spec = read_campaign(campaign)
    kept = {subnet_of(config, spec.whole).layers for config in spec.configs()}
    assert kept == {(), (0,), (1,), (0, 1)}


def test_findings_tell_the_ranks_apart(campaign):
    spec = read_campaign(campaign)
    configs = spec.configs()
    losses, alone = [1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 4.5, 3.5]  # one pair of six the other way
    rows = [
        config
        | {"step": 6, "status": "ok", "seed": seed, "val_loss": loss + 0.1 * seed * (i % 2)}
        | {"alone_val_loss": other, "shared_train_seconds": 7.0}
        for seed in (0, 1)
        for i, (config, loss, other) in enumerate(zip(configs[:4], losses, alone, strict=True))
    ]
    told = findings(spec, pd.DataFrame(rows))
    assert "of 4 sub-networks in the super-network and trained alone is 0.67" in told[0]
    assert "-0.500 nats" in told[0]
    noise = np.std([0, 0.1, 0, 0.1], ddof=1) / np.sqrt(2)
    assert f"tau is 1.00 over 4 sub-networks, and {noise:.4f} of noise" in told[2]
    assert told[-1].startswith("a super-network took 7 s")
