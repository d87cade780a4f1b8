"""A live benchmark trains what the campaign's table holds, and answers in the same words."""

import subprocess
import sys

import numpy as np
import pytest

import hpobench_llm
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.cli.collect import main as collect_grid
from hpobench_llm.collect.campaign.design import spread
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.errors import (
    ConfigurationError,
    NotMeasuredError,
    SpecError,
    UnknownNameError,
)
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Float, Integer, Space
from hpobench_llm.tables.table import Table

CONFIG = {"rank": 2, "lr": 1e-2}


@pytest.fixture
def file(write_campaign):
    return write_campaign(('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 0'))


@pytest.mark.slow
def test_it_answers_as_the_table_that_is_collected(file, write_campaign, tmp_path):
    assert collect_grid([str(file), "--out", str(tmp_path / "t"), "--engine", "peft"]) == 0
    table = TabularBenchmark(Table.load(tmp_path / "t"))
    live = LiveBenchmark(file, engine="peft", device="cpu")
    assert live.sha256 == LiveBenchmark(file, device="cpu").sha256
    assert (live.name, live.space, live.fidelities) == (table.name, table.space, table.fidelities)
    (silent,) = table.table.metadata.provenance["without_signal"]  # four steps teach no answer
    assert live.metrics == table.metrics | {silent: live.metrics[silent]}
    for seed in (None, 0, 1):
        for step in (0, 2, 4):
            names = list(table.metrics)
            here = live.query(CONFIG, fidelity={"step": step}, seed=seed, metrics=names)
            there = table.query(CONFIG, fidelity={"step": step}, seed=seed)
            assert here.metrics == there.metrics
            assert (here.status, here.tokens) == (there.status, there.tokens)
    limited = live.constrained({"trainable_parameters": 1.0, "val_loss": 0.0})
    answer = limited.query(CONFIG)
    counts = table.table.frame.query("rank == 2")["trainable_parameters"]
    assert answer.constraints["trainable_parameters"] == counts.iloc[0] - 1
    assert answer.constraints["val_loss"] == answer.metrics["val_loss"]
    assert not answer.feasible
    other = write_campaign(("seeds = [0, 1]", "seeds = [0, 2]"))  # the very file, edited
    assert live.sha256 != LiveBenchmark(other, device="cpu").sha256


@pytest.mark.slow
def test_a_run_is_trained_once_and_its_cost_grows_along_it(file, monkeypatch):
    live = LiveBenchmark(file, device="cpu")
    trained = []
    run = type(live._bench).run
    monkeypatch.setattr(
        type(live._bench), "run", lambda b, task, s: trained.extend(task.runs) or run(b, task, s)
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


@pytest.mark.slow
def test_without_peft_the_extra_is_named(file):
    program = (
        "import sys; sys.modules['peft'] = None\n"
        "import hpobench_llm\n"
        "hpobench_llm.load(sys.argv[1], kind='live')"
    )
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True)
    assert "a live benchmark needs peft" in done.stderr
    assert "[collect]'" in done.stderr


@pytest.mark.slow
def test_the_module_alone_loads_no_torch():
    program = "import sys, hpobench_llm.benchmarks.live; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


RANGES = ("lr = [1e-3, 1e-2]", "lr = {low = 1e-4, high = 1e-1, log = true}")


@pytest.mark.slow
def test_ranges_make_it_a_benchmark_to_tune_on(write_campaign):
    file = write_campaign(
        RANGES, ("rank = [2, 4]", "rank = {low = 1, high = 8}\ndropout = {low = 0, high = 0.5}")
    )
    live = hpobench_llm.load(file, "live")
    assert live.space == Space(
        (
            Integer("rank", 1, 8, log=True),
            Float("dropout", 0.0, 0.5),
            Float("lr", 1e-4, 1e-1, log=True),
        )
    )
    frame = replay(live, "random", budget=4, seed=0, table_seed=0).to_frame()
    assert (frame["status"] == "ok").all()
    assert frame["lr"].between(1e-4, 1e-1).all()
    assert frame[["rank", "lr"]].drop_duplicates().shape[0] == 4
    best = frame.loc[frame["val_loss"].idxmin()]
    listed = write_campaign(
        ("rank = [2, 4]", f"rank = [{best['rank']}]\ndropout = [{float(best['dropout'])}]"),
        ("lr = [1e-3, 1e-2]", f"lr = [{float(best['lr'])}]"),
    )
    (config,) = load(listed, "live").space.configurations()
    answer = load(listed, "live").query(config, seed=0)
    assert answer.metrics["val_loss"] == best["val_loss"]  # the same run, in another campaign
    with pytest.raises(ConfigurationError, match=r"`lr`: 0.2 is outside its range \[0.0001, 0.1"):
        live.query({"rank": 3, "dropout": 0.0, "lr": 0.2})


def test_a_range_is_not_collected(write_campaign, tmp_path, capsys):
    file = write_campaign(RANGES)
    for more in ([], ["--dry-run"]):
        assert collect_grid([str(file), "--out", str(tmp_path / "t"), *more]) == 2
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0
        for words in (str(file), "`grid.lr`", "a grid needs a list", 'kind="live"'):
            assert words in said
    assert not (tmp_path / "t").exists()
    assert read_campaign(file).runs() == []
    with pytest.raises(ConfigurationError, match="a space with a range cannot be listed"):
        spread(read_campaign(file).space)


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("rank = {low = 2, high = 4.5}", ["`grid.rank`", "an integer", "4.5"]),
        ("rank = {low = 0, high = 4}", ["rank = 0", "outside its range"]),
        ("rank = {low = 4, high = 4}", ["`rank`", "low must be below high"]),
        ("rank = {low = 4, hihg = 8}", ["`grid.rank.hihg`", "unknown key", "'high'"]),
        ("rank = {low = 4}", ["`grid.rank.high`", "required"]),
        ("rank = 4", ["`grid.rank`", "expected an array or a table", "4"]),
        ("rank = [4, true]", ["`grid.rank[1]`", "True"]),
        ("dropout = {low = 0.0, high = 0.5, log = true}", ["`dropout`", "log needs positive"]),
        ("dropout = {low = 0.0, high = 1.5}", ["dropout = 1.5", "outside its range"]),
        ("batch_rows = {low = 8, high = 16}", ["`grid.batch_rows`", "list the values"]),
        ("scaling = {low = 0, high = 1}", ["`grid.scaling`", "a name is expected"]),
    ],
)
def test_a_range_that_cannot_be_is_named(write_campaign, axis, words):
    with pytest.raises(SpecError) as caught:
        read_campaign(write_campaign(("rank = [2, 4]", axis)))
    for word in words:
        assert word in str(caught.value)
