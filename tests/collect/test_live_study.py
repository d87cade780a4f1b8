"""A live study loses no training: killed, it goes on; the best adapter is there to be used."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.cli import main
from hpobench_llm.errors import ConfigurationError, LedgerError
from hpobench_llm.replaying.replay import replay
from tests.collect.test_live import RANGES
from tests.forks import forked

STUDY = """
name = "own"
title = "Own"
benchmarks = ["{campaign}"]
kind = "live"
optimizers = ["random"]
seeds = 1
table_seed = 0
budget = {budget}
workers = {workers}
"""


@pytest.fixture
def file(write_campaign):
    return write_campaign(RANGES)


def write_study(file, budget=4, workers=1):
    path = file.with_name("study.toml")
    path.write_text(STUDY.format(campaign=file, budget=budget, workers=workers))
    return path


def ledger(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("live/*/ledger/*.json")}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["packed", "peft"])
def test_the_best_adapter_loads_in_peft_and_has_its_loss(write_campaign, tmp_path, engine):
    from peft import PeftModel

    file = write_campaign()
    live = LiveBenchmark(file, engine=engine, device="cpu").kept_in(tmp_path / "kept")
    losses = [live.query({"rank": 4, "lr": lr}, seed=1).metrics["val_loss"] for lr in (1e-2, 1e-3)]
    folder = tmp_path / "kept" / "best"
    about = json.loads((folder / "best.json").read_text())
    assert about["value"] == min(losses) == losses[0]  # the later one is worse and not kept
    assert about["configuration"] == {"rank": 4, "lr": 1e-2}
    assert (about["seed"], about["step"]) == (1, 4)
    assert not list((tmp_path / "kept" / "learned").iterdir())
    bench = live._bench.workbench
    model = PeftModel.from_pretrained(bench.base, folder).eval()
    assert abs(bench.losses.measure(model)[0]["val_loss"] - about["value"]) < 1e-5
    again = LiveBenchmark(file, engine=engine, device="cpu").kept_in(tmp_path / "kept")
    again._bench = None  # nothing is trained
    assert again.query({"rank": 4, "lr": 1e-2}, seed=1).metrics["val_loss"] == losses[0]


@pytest.mark.slow
def test_a_worse_run_does_not_replace_a_best_that_is_lost(write_campaign, tmp_path, capsys):
    live, kept = LiveBenchmark(write_campaign(), device="cpu"), tmp_path / "kept"
    live.kept_in(kept).query({"rank": 4, "lr": 1e-2}, seed=0)
    run_id = json.loads((kept / "best" / "best.json").read_text())["run_id"]
    shutil.rmtree(kept / "best")
    again = live.kept_in(kept)
    assert (
        f"what the best run so far, {run_id}, has learned is not there" in capsys.readouterr().err
    )
    again.query({"rank": 4, "lr": 1e-3}, seed=0)
    assert not (kept / "best").exists()
    assert not list((kept / "learned").iterdir())


@pytest.mark.slow
def test_what_diverged_or_exceeds_a_bound_is_never_the_best(write_campaign, tmp_path):
    live = LiveBenchmark(write_campaign(), device="cpu")
    bounded = live.constrained({"trainable_parameters": 1}).kept_in(tmp_path / "bounded")
    bounded.query({"rank": 2, "lr": 1e-3}, seed=0)
    assert not (tmp_path / "bounded" / "best").exists()
    assert not list((tmp_path / "bounded" / "learned").iterdir())
    wild = write_campaign(("lr = [1e-3, 1e-2]", "lr = [1e-3, 1e20]"))
    broken = LiveBenchmark(wild, device="cpu").kept_in(tmp_path / "broken")
    assert broken.query({"rank": 2, "lr": 1e20}, seed=0).status == "diverged"
    assert not (tmp_path / "broken" / "best").exists()


@pytest.mark.slow
def test_a_refused_start_leaves_the_page_alone(file, tmp_path, capsys):
    study, out = write_study(file, budget=1), tmp_path / "out"
    out.mkdir()
    (out / "progress.html").write_text("of the study that runs")
    lock = os.open(out, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert main(["replay", str(study), "--out", str(out)]) == 2
    finally:
        os.close(lock)
    assert "another process runs a study in this folder" in capsys.readouterr().err
    assert (out / "progress.html").read_text() == "of the study that runs"
    assert main(["replay", str(study), "--out", str(out)]) == 0
    assert f"best adapter: {out}/live/mini/best" in capsys.readouterr().out


@pytest.mark.slow
def test_a_study_killed_in_a_training_goes_on_and_trains_nothing_twice(ridge, tmp_path):
    study, out = write_study(ridge, budget=4), tmp_path / "out"
    command = [sys.executable, "-m", "hpobench_llm", "replay", str(study), "--out", str(out)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(ledger(out)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)  # the third is being trained, or is to be
    running.wait()
    time.sleep(1)  # its process ends with it
    kept = ledger(out)
    assert 2 <= len(kept) <= 4
    with (out / "trials.csv").open("a") as stream:
        stream.write("2026-01-01T00:00:00+00:00,ridges,rand")  # as a kill leaves a line
    assert main(["replay", str(study), "--out", str(out)]) == 0
    assert kept.items() <= ledger(out).items()
    assert len(ledger(out)) == 4
    rows = pd.read_csv(out / "trials.csv")
    assert rows["trial"].tolist() == [0, 1, 2, 3]
    assert rows["best"].tolist() == rows["val_loss"].cummin().tolist()
    frame = pd.read_parquet(out / "trajectories.parquet")
    fresh = replay(
        LiveBenchmark(ridge, device="cpu"), "random", budget=4, seed=0, table_seed=0
    ).frame
    for column in ("config_id", "metric.val_loss", "status"):
        assert frame[column].tolist() == fresh[column].tolist()
    assert "4 of 4 trials have ended" in (out / "progress.html").read_text()
    # It grows, and what it has is kept.
    study = write_study(ridge, budget=5)
    kept = ledger(out)
    assert main(["replay", str(study), "--out", str(out)]) == 0
    assert kept.items() <= ledger(out).items()
    assert pd.read_csv(out / "trials.csv")["trial"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_several_workers_train_at_once_and_the_order_is_repeated(ridge, tmp_path):
    live = LiveBenchmark(ridge, device="cpu").kept_in(tmp_path / "kept")
    with pytest.raises(ConfigurationError, match="count trials, seconds or steps"):
        replay(live, "random", budget={"tokens": 9}, seed=0, workers=2)
    order = []
    first = replay(
        live,
        "random",
        budget=4,
        seed=0,
        workers=2,
        table_seed=0,
        on_trial=lambda trial: order.append(int(trial.frame["trial"].iloc[0])),
    ).frame
    assert sorted(order) == [0, 1, 2, 3]
    assert set(first["worker"]) == {0, 1}
    assert first["finished_seconds"].is_monotonic_increasing
    again = LiveBenchmark(ridge, device="cpu").kept_in(tmp_path / "kept")
    again._runs.trainer = None  # no process is started
    for given in (order, [*order[::-1], 77]):
        second = replay(
            again, "random", budget=4, seed=0, workers=2, table_seed=0, order=given
        ).frame
        if given is order:
            left = first.drop(columns="optimizer_seconds")
            assert left.equals(second.drop(columns="optimizer_seconds"))
    alone = replay(live, "random", budget=4, seed=0, table_seed=0).frame
    losses = [frame.set_index("trial")["metric.val_loss"].sort_index() for frame in (first, alone)]
    assert losses[0].equals(losses[1])  # who trains beside it changes no number


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_optimizers_own_time_passes_on_the_clock(ridge, tmp_path, workers):
    live = LiveBenchmark(ridge, device="cpu").kept_in(tmp_path / "kept")
    rules = {"budget": 5, "seed": 0, "table_seed": 0}
    alone = replay(live, "random", **rules).frame
    live._runs.trainer = None  # all runs are there: no process is started
    rules |= {"workers": workers, "order": range(5), "count_optimizer_seconds": True}
    first, second = (replay(live, "random", **rules).frame for _ in range(2))
    for frame in (first, second):
        assert frame["metric.val_loss"].tolist() == alone["metric.val_loss"].tolist()
        assert frame["finished_seconds"].is_monotonic_increasing
        late = frame["started_seconds"].iloc[0]
        assert 0 < late <= frame["optimizer_seconds"].iloc[0]
    costs = alone["cost_seconds"].sum() / workers
    late = first["finished_seconds"].iloc[-1] - costs
    assert late <= first["optimizer_seconds"].sum() + (workers > 1) * alone["cost_seconds"].max()


@pytest.mark.slow
def test_a_crew_waits_for_what_a_neighbour_trains(file, tmp_path):
    live = LiveBenchmark(file, device="cpu").kept_in(tmp_path / "kept")
    (run,) = live.runs_of({"rank": 2, "lr": 1e-2}, 0)
    first, second = (live._runs.trainer() for _ in range(2))
    first.open()
    second._bench = object()  # it cannot train
    (record,) = first.train(live._runs.task(run))
    child = forked(
        lambda: second.train(live._runs.task(run)) != [record]
    )  # claims are a process's
    time.sleep(1)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    live._runs.keep(live._runs.task(run), [record])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_runs_of_another_recipe_and_folders_that_cannot_be_are_refused(write_campaign, tmp_path):
    LiveBenchmark(write_campaign(), device="cpu").kept_in(tmp_path / "kept")
    other = write_campaign(("checkpoints = [0, 2, 4]", "checkpoints = [0, 1, 4]"))
    with pytest.raises(LedgerError, match="the recipe has changed"):
        LiveBenchmark(other, device="cpu").kept_in(tmp_path / "kept")
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"file.*cannot be"):
        LiveBenchmark(other, device="cpu").kept_in(tmp_path / "file")
