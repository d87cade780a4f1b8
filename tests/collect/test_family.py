"""A second family needs one module: collected with a kill, sealed, verified, fitted, replayed."""

import signal
import subprocess
import sys
import time

import pytest

import hpobench_llm
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.cli.collect import main
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.verify import choose_runs, verify
from hpobench_llm.errors import SpecError
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table

RUNS = 5 * 2 * 3


def finished(out):
    return len(list((out / "ledger").glob("*.json")))


@pytest.mark.slow
def test_a_family_of_another_package_is_collected_and_used(ridge, tmp_path, capsys, quick):
    out = tmp_path / "ridges"
    command = [sys.executable, "-m", "hpobench_llm.cli.collect", str(ridge), "--out", str(out)]
    collector = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while finished(out) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    collector.send_signal(signal.SIGKILL)
    collector.wait()
    before = finished(out)
    assert 3 <= before < RUNS

    assert main([str(ridge), "--out", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"runs       {RUNS} (10 configurations x 3 seeds), {before} of" in said
    assert main([str(ridge), "--out", str(out), "--workers", "2"]) == 0
    assert f"sealed {3 * RUNS} rows of {RUNS} runs" in capsys.readouterr().out
    assert finished(out) == RUNS

    table = Table.load(out)
    assert table.metadata.columns["condition"].meaning == "as many as rows"
    found = verify(table, ridge, choose_runs(table, 4, 0))
    assert len(found.runs) == 4
    assert not found.problems
    assert all(run.metrics["val_loss"].difference == 0 for run in found.runs)

    benchmark = hpobench_llm.load(out)
    config, best = benchmark.optimum("val_loss")
    assert benchmark.query(config).metrics["val_loss"] == pytest.approx(best)
    trajectory = hpobench_llm.replay(benchmark, "random", budget=8, seed=0)
    assert len(trajectory.to_frame()) == 8

    surrogate = SurrogateBenchmark(fit(table, folds=2, extrapolate=False))
    answer = surrogate.query({"penalty": 1e-2, "noise": 0.1})
    worse = benchmark.query({"penalty": 10.0, "noise": 1.0})
    assert answer.metrics["val_loss"] < worse.metrics["val_loss"]


def test_a_live_campaign_of_another_family(ridge):
    live = hpobench_llm.load(str(ridge), "live")
    answer = live.query({"penalty": 1e-2, "noise": 0.1}, fidelity={"rows": 16}, seed=1)
    assert answer.cost_seconds == 2.0


def test_an_unknown_family_is_named(ridge):
    ridge.write_text(ridge.read_text().replace('"ridge"', '"rigde"'))
    with pytest.raises(SpecError, match="`kind`: no family 'rigde'; did you mean 'ridge'"):
        read_campaign(ridge)
