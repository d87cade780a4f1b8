"""Studies: resumed without loss after a kill, refused when changed, told which replay failed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from hpobench_llm.errors import (
    IntegrityError,
    OptimizerError,
    PoorSurrogateError,
    SpecError,
    UnknownNameError,
)
from hpobench_llm.report.compare import compare
from hpobench_llm.studies import study
from hpobench_llm.studies.study import read_study, read_trajectories, run_study
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table

SPEC = """
name = "toys"
title = "Toys"
benchmarks = ["toy-bowl"]
optimizers = ["random", "tpe-nni"]
seeds = 4
budget = 6
"""


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "toys.toml"
    path.write_text(SPEC)
    return path


def test_every_replay_is_there_once_and_a_second_start_does_nothing(spec_file, tmp_path):
    spec = read_study(spec_file)
    outcome = run_study(spec, tmp_path / "out", processes=2)
    assert (outcome.ran, outcome.failed) == (8, {})
    header, frame = read_trajectories(tmp_path / "out")
    counts = frame.groupby(["optimizer", "seed"]).size()
    assert len(counts) == 8
    assert (counts == 6).all()
    assert header["study"]["budget"] == 6
    assert not (tmp_path / "out" / "parts").exists()
    before = (tmp_path / "out" / "trajectories.parquet").read_bytes()
    assert run_study(spec, tmp_path / "out").ran == 0
    assert (tmp_path / "out" / "trajectories.parquet").read_bytes() == before


def test_the_number_of_processes_changes_no_byte(spec_file, tmp_path):
    spec = read_study(spec_file)
    for count in (1, 2):
        run_study(spec, tmp_path / str(count), processes=count)
    one, two = ((tmp_path / str(c) / "trajectories.parquet").read_bytes() for c in (1, 2))
    assert one == two


def test_a_killed_study_continues_and_ends_the_same(tmp_path):
    path = tmp_path / "slow.toml"
    path.write_text(SPEC.replace("seeds = 4", "seeds = 30").replace('"tpe-nni"', '"nomad"'))
    command = [sys.executable, "-m", "hpobench_llm.cli", "replay", str(path), "--processes", "1"]
    out = tmp_path / "killed"
    running = subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("parts/*[0-9].parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    finished = {p: p.stat().st_mtime_ns for p in out.glob("parts/*[0-9].parquet")}
    assert 3 <= len(finished) < 60
    spec = read_study(path)
    outcome = run_study(spec, out, processes=2)
    assert outcome.ran == 60 - len(list(finished))
    run_study(spec, tmp_path / "whole", processes=2)
    name = "trajectories.parquet"
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_study_in_the_folder_is_refused(spec_file, tmp_path):
    run_study(read_study(spec_file), tmp_path / "out", processes=2)
    spec_file.write_text(SPEC.replace("budget = 6", "budget = 7"))
    with pytest.raises(SpecError, match="holds another study"):
        run_study(read_study(spec_file), tmp_path / "out")


def fails_for_one_seed(cell, spec, parts):
    if cell.seed == 2 and cell.optimizer == "random":
        raise OptimizerError("no luck")
    study_run(cell, spec, parts)


study_run = study._run


def test_a_replay_that_fails_stops_no_other(spec_file, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_run", fails_for_one_seed)
    spec = read_study(spec_file)
    outcome = run_study(spec, tmp_path / "out", processes=2)
    assert outcome.ran == 7
    assert [(c.optimizer, c.seed, why) for c, why in outcome.failed.items()] == [
        ("random", 2, "no luck")
    ]
    with pytest.raises(IntegrityError, match="not complete"):
        read_trajectories(tmp_path / "out")
    monkeypatch.setattr(study, "_run", study_run)
    assert run_study(spec, tmp_path / "out", processes=2).ran == 1
    assert isinstance(read_trajectories(tmp_path / "out")[1], pd.DataFrame)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ('"random"', '"radnom"', UnknownNameError, "`optimizers`: unknown optimizer 'radnom'"),
        ('"random"', '"asha"', SpecError, "`optimizers`: asha trains in part"),
        ('"toy-bowl"', '"toy-bawl"', UnknownNameError, "`benchmarks`: unknown benchmark"),
        ("seeds = 4", "seeds = 0", SpecError, "`seeds` must be at least 1, got 0"),
        ("seeds = 4", 'seeds = "4"', SpecError, "`seeds`: expected an integer, got '4'"),
        ("budget = 6", "bugdet = 6", SpecError, "`bugdet`: unknown key; did you mean 'budget'"),
        ("budget = 6", 'budget = 6\nobjective = "x"', UnknownNameError, "`objective`: unknown"),
        (
            "budget = 6",
            'budget = 6\nkind = "tabel"',
            SpecError,
            "kind 'tabel'; did you mean 'table'",
        ),
        ("budget = 6", "budget = 6\nkind = 3", SpecError, "`kind`: expected"),
        (
            "budget = 6",
            'budget = 6\nkind = {toy-bawl = "table"}',
            SpecError,
            "`kind.toy-bawl`: no such benchmark; did you mean 'toy-bowl'",
        ),
        (
            "budget = 6",
            'budget = 6\nkind = "surrogate"',
            UnknownNameError,
            "`benchmarks`: unknown surrogate 'toy-bowl'",
        ),
        ('["random", "tpe-nni"]', "[]", SpecError, "`optimizers` must be distinct and not empty"),
    ],
)
def test_a_bad_study_is_named(tmp_path, old, new, error, words):
    path = tmp_path / "bad.toml"
    path.write_text(SPEC.replace(old, new))
    with pytest.raises(error) as caught:
        read_study(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_same_study_runs_on_table_and_surrogate(tmp_path, monkeypatch, rows, seal_rows):
    folder = seal_rows(tmp_path / "tables" / "small", rows)
    fit(Table.load(folder), folds=2).write(tmp_path / "surrogates" / "small")
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    text = SPEC.replace('["toy-bowl"]', '["small", "toy-bowl"]').replace("seeds = 4", "seeds = 2")
    path = tmp_path / "study.toml"
    found = {}
    path.write_text(f'{text}kind = {{small = "surrogate"}}\n')
    with pytest.raises(PoorSurrogateError, match="ranking check"):
        read_study(path)
    for kind in ('"table"', '{small = "surrogate"}'):
        path.write_text(f"{text}kind = {kind}\nallow_poor = true\n")
        out = tmp_path / str(len(found))
        run_study(read_study(path), out, processes=2)
        frame = read_trajectories(out)[1]
        found[kind] = frame[frame["benchmark"] == "small"]
        result = compare(out)
        assert len(result.comparison.benchmarks) == 2
    on_table, on_surrogate = found.values()
    grid = set(rows["lr"])
    assert set(on_table["lr"]) <= grid
    assert not set(on_surrogate["lr"]) <= grid


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=r"study\.json: no such file"):
        read_trajectories(Path(tmp_path))
