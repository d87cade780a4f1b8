"""Forty kills of collectors whose training takes no time, so that most hit a write or the seal.

Ten more, in the midst of real training, are those of `test_faults`.
"""

import os
import random
import signal
import time

import pytest
import torch

from hpobench_llm.cli.collect import main
from hpobench_llm.collect import seal  # noqa: F401  (loaded once, before the forks)
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora import opening
from hpobench_llm.collect.lora.engines import registry
from hpobench_llm.collect.lora.engines.record import Recorder
from hpobench_llm.collect.lora.engines.workbench import prepare
from hpobench_llm.tables.table import Table
from tests.forks import forked

KILLS, STARTS = 40, 140
FILES = ("table.parquet", "table.json", "CARD.md", "croissant.json")


def untrained_records(bench, runs, on_step, on_adapter):
    """Return records of runs that fail at once, with costs that follow from the run alone."""
    made = []
    for run in runs:
        recorder = Recorder(bench, run, engine="packed", pack_size=1, trainable=run.seed)
        for step in bench.campaign.checkpoints[1:]:
            on_step(step)
            cost = {"tokens_seen": step, "train_seconds": 0.5 * step, "train_wall_seconds": 1.0}
            recorder.checkpoint(step, bench.base, cost, failure="failed")
        made.append(recorder.record())
    return made


@pytest.fixture
def start(write_campaign, monkeypatch):
    """Return a function that forks a collector into a folder and gives its process id."""
    torch.set_num_threads(1)
    file = write_campaign(("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]\nsolo_runs = 1"))
    bench = prepare(read_campaign(file), file, torch.device("cpu"))
    monkeypatch.setattr(opening, "open_bench", lambda *_: bench)
    monkeypatch.setattr(registry, "engine", lambda _: untrained_records)

    def collect(out):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        return main([str(file), "--out", str(out), "--pack-size", "2"])

    return lambda out: forked(lambda: collect(out))


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_no_kill_loses_or_changes_anything(start, tmp_path):
    whole = tmp_path / "whole"
    started = time.monotonic()
    assert ended(start(whole)) == 0
    seconds = time.monotonic() - started
    expected = {name: (whole / name).read_bytes() for name in FILES}
    rng, kills, out, collections = random.Random(17), 0, tmp_path / "0", 1
    finished: dict[str, bytes] = {}
    for _ in range(STARTS):
        child = start(out)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        status = ended(child)
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
        now = {path.name: path.read_bytes() for path in (out / "ledger").glob("*.json")}
        assert {name: now[name] for name in finished} == finished
        finished = now
        if kills >= KILLS or (out / FILES[-1]).exists():
            assert ended(start(out)) == 0
            assert {name: (out / name).read_bytes() for name in FILES} == expected
            assert len(Table.load(out).frame) == 20 * 3
            there = [path for path in out.rglob("*") if path.is_file()]
            assert not [path for path in there if path.name.startswith(".")]
            assert not [path for path in there if path.name.endswith(".damaged")]
            if kills >= KILLS:
                break
            out, finished, collections = tmp_path / str(collections), {}, collections + 1
    assert kills >= KILLS
