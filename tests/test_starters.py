"""What `init` writes runs as it stands."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from hpobench_llm import __version__
from hpobench_llm.cli import main
from hpobench_llm.cli.collect import main as collect_grid
from hpobench_llm.studies.checks import read_study
from hpobench_llm.tables.importers.command import import_tables


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_study_runs_as_it_stands(here, capsys):
    assert main(["init", "study", "mine.toml"]) == 0
    said = capsys.readouterr()
    assert said.out == "mine.toml\n"
    assert "then: hpobench-llm replay mine.toml --out mine" in said.err
    assert read_study(here / "mine.toml").spec.name == "mine"
    assert main(["init", "study", "mine.toml"]) == 2
    assert "mine.toml: exists and is not overwritten" in capsys.readouterr().err


def test_a_campaign_runs_as_it_stands(here, capsys):
    pytest.importorskip("torch")
    assert main(["init", "campaign"]) == 0
    assert collect_grid(["campaign.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "runs       4 (4 configurations x 1 seeds), 0 of them in out/campaign" in said
    assert "untrained  val_loss" in said


def test_an_import_is_proposed_from_a_csv_file(here, capsys):
    rng = np.random.default_rng(0)
    with (here / "runs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["run_id", "lr", "rank", "optim", "model", "seed", "epoch", "eval_loss",
                         "accuracy", "train_runtime"])  # fmt: skip
        for run, lr in enumerate([1e-4, 1e-3, 1e-2] * 2):
            for epoch in (1, 2):
                row = [run, lr, 8 * (1 + run // 3), "adam" if run % 2 else "sgd", "base", 0, epoch]
                writer.writerow([*row, rng.random(), rng.random(), 10 * epoch])
    assert main(["init", "import", "runs.csv"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["runs.toml", "runs.jsonl"]
    assert "Columns that never vary are left out: model, seed." in said.err
    assert "Columns that only number or name runs are left out: run_id." in said.err
    (table,) = import_tables("generic", spec=here / "runs.toml", out=here / "tables")
    assert table.metadata.space.names == ("lr", "rank", "optim")
    assert [axis.name for axis in table.metadata.fidelities] == ["epoch"]
    assert list(table.metadata.metrics) == ["eval_loss", "accuracy"]
    assert table.metadata.metrics["accuracy"].direction == "maximize"
    assert table.frame["train_seconds"].max() == 20


def test_a_file_that_is_no_table_of_runs(here, capsys):
    (here / "prose.csv").write_text("a,b\n1,2\n")
    assert main(["init", "import", "prose.csv"]) == 2
    assert "prose.csv: holds no metrics" in capsys.readouterr().err
    assert main(["init", "import", "none.csv"]) == 2
    assert "none.csv: cannot be read as CSV" in capsys.readouterr().err
    assert list(here.glob("*.toml")) == []


def test_the_version(capsys):
    done = subprocess.run(
        [sys.executable, "-m", "hpobench_llm", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"hpobench-llm {__version__}\n"
    with pytest.raises(SystemExit, match="0"):
        collect_grid(["--version"])
    assert capsys.readouterr().out == f"collect-grid {__version__}\n"


@pytest.mark.slow
def test_a_live_study_runs_as_it_stands_on_data_of_ones_own(here, capsys):
    pytest.importorskip("torch")
    rows = [f'{{"prompt": "{n} and 1?", "completion": "{n + 1}"}}\n' for n in range(120)]
    (here / 'rows "1".jsonl').write_text("".join(rows))
    assert main(["init", "live", "own.toml", "--data", 'rows "1".jsonl']) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["own-model.toml", "own.toml"]
    assert "then: hpobench-llm replay own.toml --out own" in said.err
    text = (here / "own.toml").read_text()
    (here / "own.toml").write_text(text.replace("budget = 20", "budget = 2"))
    model = (here / "own-model.toml").read_text()
    assert "checkpoints = [0, 10, 20, 40]" in model
    (here / "own-model.toml").write_text(model.replace("[0, 10, 20, 40]", "[0, 2, 4]"))
    assert main(["replay", "own.toml", "--out", "own"]) == 0
    for name in ("trials.csv", "progress.html", "live/own-model/best/adapter_config.json"):
        assert (here / "own" / name).is_file()
    assert main(["replay", "own.toml", "--out", "own", "--tensorboard", "own.toml"]) == 2
    (here / "few.jsonl").write_text(rows[0] * 19)
    assert main(["init", "live", "few.toml", "--data", "few.jsonl"]) == 2
    assert "--data few.jsonl: 19 rows; 20 are needed" in capsys.readouterr().err
    for option, words in (("--base", "no such folder"), ("--data", "no such file")):
        assert main(["init", "live", "other.toml", option, "none"]) == 2
        assert f"{option} none: {words}" in capsys.readouterr().err
    assert main(["init", "live", "own.toml"]) == 2
    assert not (here / "other-model.toml").exists()


@pytest.mark.slow
def test_what_follows_a_live_study_is_refused_on_a_table(here, capsys):
    assert main(["init", "study", "mine.toml"]) == 0
    assert main(["replay", "mine.toml", "--out", "mine", "--tensorboard", "tb"]) == 2
    assert "follow a study with a live benchmark" in capsys.readouterr().err
