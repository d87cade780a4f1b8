"""The benchmark scripts run and measure what they say; how fast anything is, is no test."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_engines_are_compared(project_root, tmp_path):
    script = project_root / "benchmarks" / "packed.py"
    options = ["--sizes", "xs", "--shapes", "1x16", "--packs", "1", "3", "--steps", "3"]
    done = subprocess.run(
        [sys.executable, script, *options, "--repeats", "1", "--json", tmp_path / "found.json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| peft engine",
        "| packed, 1 at once",
        "| packed, 3 at once",
        "| HF Trainer, one process",
        "| HF Trainer, a process a run",
    ]
    assert "| 1.00 [1.00, 1.00] |" in rows[0]
    (cell,) = json.loads((tmp_path / "found.json").read_text())["seconds"].values()
    for samples in cell.values():
        assert len(samples) == 1
        assert all(sample["step"] > 0 for sample in samples)


@pytest.mark.slow
def test_a_study_is_timed_by_its_parts(project_root, table_folder, tmp_path):
    script = project_root / "benchmarks" / "studies.py"
    options = ["--table", table_folder, "--optimizers", "random", "asha", "--seeds", "3"]
    options += ["--trials", "10", "--clock", "20", "--repeats", "2", "--processes", "2"]
    done = subprocess.run(
        [sys.executable, script, *options, "--json", tmp_path / "found.json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(row["optimizer"], row["trials"]) for row in found["clock"]] == [
        ("asha", 20),
        ("asha-stopping", 20),
        ("hyperband", 20),
    ]
    assert all(0 < row["least"] <= row["beside"] < row["replay"] for row in found["clock"])
    parts = found["study"]["optimizers"]
    assert {name: part["replays"] for name, part in parts.items()} == {"random": 3, "asha": 3}
    assert all(part["optimizer"] > 0 and part["beside"] > 0 for part in parts.values())
    assert all(seconds > 0 for seconds in found["study"]["spent"].values())


@pytest.mark.slow
def test_queries_are_timed_in_every_form(project_root, table_folder, tmp_path):
    script = project_root / "benchmarks" / "queries.py"
    options = ["--table", table_folder, "--surrogate", "--repeats", "1"]
    options += ["--json", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    calls = [
        result["call"] for result in json.loads((tmp_path / "found.json").read_text())["results"]
    ]
    for words in ("floor", "query(config)", "(list of dicts)", "(frame)", "(positions)", "snap"):
        assert sum(words in call for call in calls) == 2  # on the table given, and on no grid
    for result in json.loads((tmp_path / "found.json").read_text())["results"]:
        assert all(sample["wall"] > 0 for sample in result["samples"])
