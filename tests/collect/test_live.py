"""A live benchmark trains what the campaign's table holds, and answers in the same words."""

import subprocess
import sys

import numpy as np
import pytest

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.collect.cli import main as collect_grid
from hpobench_llm.errors import ConfigurationError, NotMeasuredError, UnknownNameError
from hpobench_llm.studies.replay import replay
from hpobench_llm.tables.table import Table

CONFIG = {"rank": 2, "lr": 1e-2}


@pytest.fixture
def file(write_campaign):
    return write_campaign(('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 0'))


def test_it_answers_as_the_table_that_is_collected(file, tmp_path):
    assert collect_grid([str(file), "--out", str(tmp_path / "t"), "--engine", "peft"]) == 0
    table = TabularBenchmark(Table.load(tmp_path / "t"))
    live = LiveBenchmark(file, engine="peft", device="cpu")
    assert (live.name, live.space, live.fidelities) == (table.name, table.space, table.fidelities)
    assert live.metrics == table.metrics
    for seed in (None, 0, 1):
        for step in (0, 2, 4):
            here = live.query(CONFIG, fidelity={"step": step}, seed=seed)
            there = table.query(CONFIG, fidelity={"step": step}, seed=seed)
            assert here.metrics == there.metrics
            assert (here.status, here.tokens) == (there.status, there.tokens)
    limited = live.constrained({"trainable_parameters": 1.0, "val_loss": 0.0})
    answer = limited.query(CONFIG)
    counts = table.table.frame.query("rank == 2")["trainable_parameters"]
    assert answer.constraints["trainable_parameters"] == counts.iloc[0] - 1
    assert answer.constraints["val_loss"] == answer.metrics["val_loss"]
    assert not answer.feasible


def test_a_run_is_trained_once_and_its_cost_grows_along_it(file, monkeypatch):
    live = LiveBenchmark(file, device="cpu")
    trained = []
    train = live._train
    monkeypatch.setattr(
        live, "_train", lambda b, runs, s: trained.extend(runs) or train(b, runs, s)
    )
    costs = [
        live.query(CONFIG, fidelity={"step": step}, seed=7).cost_seconds for step in (0, 2, 4)
    ]
    assert [run.seed for run in trained] == [7]
    assert costs == sorted(costs)
    assert costs[0] == 0.0
    many = live.query_many([CONFIG, CONFIG], seed=7)
    assert list(many["val_loss"]) == [live.query(CONFIG, seed=7).metrics["val_loss"]] * 2
    assert len(trained) == 1
    frame = replay(live, "random", budget=2, seed=0, table_seed=7).to_frame()
    assert np.isfinite(frame["val_loss"]).all()
    assert frame["finished_seconds"].is_monotonic_increasing


def test_what_it_cannot_answer_is_named(file):
    live = LiveBenchmark(file, device="cpu")
    with pytest.raises(NotMeasuredError, match="once `collect-grid` has made one"):
        live.optimum("val_loss")
    with pytest.raises(ConfigurationError, match=r"3 is no checkpoint.*nearest: 2"):
        live.query(CONFIG, fidelity={"step": 3})
    with pytest.raises(ConfigurationError, match=r"`rank`: 3 .*nearest: 2"):
        live.query({"rank": 3, "lr": 1e-2})
    for seed in (-1, True, 1.5):
        with pytest.raises(ConfigurationError, match="seed: a whole number from 0 up"):
            live.query(CONFIG, seed=seed)
    with pytest.raises(UnknownNameError, match="'val_loss'"):
        live.query(CONFIG, metrics=["vla_loss"])


def test_it_is_found_by_name_or_by_file(file, monkeypatch):
    assert load(str(file), kind="live").name == "mini"
    monkeypatch.chdir(file.parent)
    (file.parent / "collect").mkdir()
    file.rename(file.parent / "collect" / "mini.toml")
    assert load("mini", kind="live").name == "mini"
    with pytest.raises(UnknownNameError, match=r"unknown campaign in .* did you mean 'mini'"):
        load("mni", kind="live")


def test_without_peft_the_extra_is_named(file):
    program = (
        "import sys; sys.modules['peft'] = None\n"
        "import hpobench_llm\n"
        "hpobench_llm.load(sys.argv[1], kind='live')"
    )
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True)
    assert "pip install 'hpobench-llm[collect]'" in done.stderr


def test_the_module_alone_loads_no_torch():
    program = "import sys, hpobench_llm.benchmarks.live; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"
