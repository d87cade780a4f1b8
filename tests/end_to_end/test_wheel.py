"""The laptop half stands alone: a built wheel, no extras, no torch, another folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# What the base install does not bring cannot be imported, whatever this environment holds.
ABSENT = ("torch", "transformers", "peft", "nni", "optuna", "lightgbm", "sklearn", "datasets")
PROGRAM = """
import sys
class Absent:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import hpobench_llm
from hpobench_llm import cli
assert hpobench_llm.__file__.startswith(sys.argv[1]), hpobench_llm.__file__
benchmark = hpobench_llm.load("lora-nano")
assert str(benchmark.table.folder).startswith(sys.argv[1]), benchmark.table.folder
config, value = benchmark.optimum("val_loss")
assert benchmark.query(config).metrics["val_loss"] == value
frame = hpobench_llm.replay("lora-nano", "random", budget=5, seed=0).to_frame()
assert len(frame) == 5
assert cli.main(["replay", "study.toml", "--out", "out"]) == 0
assert cli.main(["compare", "out"]) == 0
"""
STUDY = """
name = "laptop"
title = "On a laptop"
benchmarks = ["lora-nano"]
optimizers = ["random", "nomad"]
seeds = 3
budget = 8
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(folder / "site")
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hpobench_llm"}
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_replays_the_shipped_table_and_reports(site, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(absent=ABSENT), str(site)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "lora-nano: val_loss, 3 seeds, 8 trials" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 50_000
