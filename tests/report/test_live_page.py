"""The page of a live study, and what else is told of its trials."""

import re
import sys
import warnings

import pytest

from hpobench_llm.adapters.tensorboard import TensorBoard
from hpobench_llm.adapters.wandb import WeightsAndBiases
from hpobench_llm.artefacts import write_json
from hpobench_llm.errors import HpobenchError, MissingDependencyError
from hpobench_llm.metrics import Metric
from hpobench_llm.report.live_page import FollowedBenchmark, best_of, write_live_page

ABOUT = {"metric": "score_toy", "value": 0.625, "configuration": {"lr": 0.012345}, "seed": 2}
ACCURACY = Metric(name="score_toy", unit="share of items", direction="maximize", worst=0.0)


def row(trial: int, value: str, status: str = "ok", best: str = "") -> dict[str, str]:
    return {
        "time": f"2026-01-01T00:00:0{trial}+00:00",
        "benchmark": "<b>own</b>",
        "optimizer": "random",
        "seed": "0",
        "trial": str(trial),
        "lr": "0.001",
        "status": status,
        "score_toy": value,
        "cost_seconds": "1.23456789",
        "best": best,
    }


def test_a_page_has_the_best_by_its_direction_and_loads_itself_while_it_runs(tmp_path):
    problem = FollowedBenchmark("<b>own</b>", ACCURACY, ("lr",), tmp_path / "best")
    rows = [row(0, "", "diverged"), row(1, "0.5", best="0.5"), row(2, "0.25", best="0.5")]
    path = tmp_path / "progress.html"
    write_live_page(path, "Own & mine", [problem], rows, trials=9.0, running=True)
    page = path.read_text()
    assert best_of(problem, rows) == rows[1]
    assert "3 of 9 trials have ended" in page
    assert "<dd>0.5 share of items</dd>" in page
    assert 'http-equiv="refresh"' in page
    assert "<svg" in page
    assert ">1.235<" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert page.index("2026-01-01 00:00:02") < page.index("2026-01-01 00:00:00")
    write_live_page(path, "Own", [problem], rows[:1], trials=float("nan"), running=False)
    page = path.read_text()
    assert "1 trials have ended." in page
    assert "refresh" not in page
    assert "<svg" not in page
    write_live_page(path, "Own", [problem], [], trials=9.0, running=True)
    assert "No trial has ended yet" in path.read_text()


def test_a_page_says_which_run_the_adapter_is_of(tmp_path):
    problem = FollowedBenchmark("own", ACCURACY, ("lr",), tmp_path / "best", runs=3)
    rows = [row(0, "0.5", best="0.5") | {"benchmark": "own"}]
    path = tmp_path / "progress.html"
    write_live_page(path, "Own", [problem], rows, trials=9.0, running=True)
    assert "best adapter" not in path.read_text()
    write_json(tmp_path / "best" / "best.json", ABOUT)
    write_live_page(path, "Own", [problem], rows, trials=9.0, running=True)
    page = path.read_text()
    assert "0.5 share of items, the mean of a trial&#39;s 3 runs" in page.replace("'", "&#39;")
    of = "of the best single run: lr 0.01235, seed 2; score_toy 0.625"
    assert f"{tmp_path}/best, {of}" in page
    write_json(tmp_path / "best" / "best.json", {"metric": 3})
    assert problem.adapter() == ""


def test_a_page_shows_half_letters_and_names_that_begin_with_an_underscore(tmp_path):
    problem = FollowedBenchmark("own", ACCURACY, ("lr",), tmp_path / "be\udcffst")
    rows = [row(0, "0.5", best="0.5") | {"benchmark": "own", "optimizer": "_mine:Own"}]
    write_json(problem.best / "best.json", {**ABOUT, "seed": 0})
    path = tmp_path / "progress.html"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_live_page(path, "Half \ud800", [problem], rows, trials=9.0, running=True)
    page = path.read_text(encoding="utf-8")
    assert "Half \\ud800" in page
    assert "be\\udcffst" in page
    (drawing,) = re.findall("<svg.*</svg>", page, re.DOTALL)
    assert "_mine:Own" in drawing


@pytest.mark.parametrize(
    ("module", "make", "words"),
    [
        ("tensorboardX", lambda folder: TensorBoard(folder), "--tensorboard needs tensorboardX"),
        ("wandb", lambda folder: WeightsAndBiases("p", folder), "--wandb needs wandb"),
    ],
)
def test_a_tracker_that_is_not_installed_names_its_extra(
    tmp_path, monkeypatch, module, make, words
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=words) as caught:
        make(tmp_path / "t")
    assert caught.value.exit_status == 2
    assert not (tmp_path / "t").exists()


@pytest.mark.slow
def test_tensorboard_has_every_trial_once(tmp_path):
    pytest.importorskip("tensorboardX")
    for start in range(2):
        tracker = TensorBoard(tmp_path / "tb")
        for step in range(2 + start):
            tracker.add(
                "own-a/b-0", step, {"lr": 0.1}, {"val_loss": 3.0}, is_new=step == 1 + start
            )
        tracker.close()
    events = [p.read_bytes() for p in (tmp_path / "tb" / "own-a%2Fb-0").glob("events*")]
    assert sum(content.count(b"val_loss") for content in events) == 3
    (tmp_path / "file").write_text("")
    with pytest.raises(HpobenchError, match=r"--tensorboard .*file: is a file"):
        TensorBoard(tmp_path / "file")


@pytest.mark.slow
def test_weights_and_biases_takes_trials_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = WeightsAndBiases("own", tmp_path)
    tracker.add("own-random-0", 0, {"lr": 0.1}, {"val_loss": 3.0}, is_new=True)
    tracker.close()
    assert [p.stat().st_size > 0 for p in tmp_path.glob("wandb/offline-run-*/*.wandb")] == [True]
