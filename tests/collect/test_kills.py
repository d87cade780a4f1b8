"""A hundred kills of collectors, each at a random moment of what they do to their files.

What a later start could see changes at such moments alone, so one of them is drawn and not a time,
and a delay after it, by which many end in the midst of a write. The family is a small one, whose
runs take no time; kills in the midst of real training are those of `test_faults`.
"""

import os
import random
import signal
import sys

import pytest

from hpobench_llm.cli.collect import main
from hpobench_llm.collect import families
from hpobench_llm.tables.table import Table
from tests.collect import ridge_family
from tests.forks import forked

KILLS, STARTS = 100, 300
MOVES = 40  # until one of which a start comes, of the 78 of a whole collection
DELAY = 0.0003  # seconds
FILES = ("table.parquet", "table.json", "CARD.md", "croissant.json")
CAMPAIGN = """
kind = "ridge"
name = "ridges"
version = "0.1"
description = "Ridge regression on generated data."
seeds = [0, 1, 2]
rows = [8, 16]

[grid]
penalty = [1e-2, 1.0]
noise = [0.1, 1.0]
"""
RUNS = 2 * 2 * 3


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that forks a collector, which the system kills after the `last` move.

    A move is whatever the collector asks of the system in its own folder: open, rename, remove.
    """
    monkeypatch.setattr(families, "kinds", lambda: {"ridge": ridge_family.__name__})
    commit = {"commit": "0" * 40, "dirty": False}
    monkeypatch.setattr(ridge_family, "git_revision", lambda: commit)
    file = tmp_path / "ridges.toml"
    file.write_text(CAMPAIGN)
    assert main([str(file), "--out", str(tmp_path / "first")]) == 0  # loads what forks need

    def collect(out, last, delay):
        moves = 0

        def count(event, arguments):
            nonlocal moves
            if event in ("open", "os.mkdir", "os.rename", "os.remove"):
                moves += str(arguments[0]).startswith(str(out))
                if moves == last:
                    signal.setitimer(signal.ITIMER_REAL, delay)  # no handler: the process is gone
                    moves += 1

        sys.addaudithook(count)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        return main([str(file), "--out", str(out)])

    return lambda out, last=0, delay=0.0: forked(lambda: collect(out, last, delay))


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_no_kill_loses_or_changes_anything(start, tmp_path):
    assert ended(start(tmp_path / "whole")) == 0
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in FILES}
    rng, kills, out, collections = random.Random(17), 0, tmp_path / "0", 1
    finished: dict[str, bytes] = {}
    for _ in range(STARTS):
        status = ended(start(out, rng.randrange(1, MOVES), rng.uniform(1e-6, DELAY)))
        assert status in (0, -signal.SIGALRM)
        kills += status != 0
        now = {path.name: path.read_bytes() for path in (out / "ledger").glob("*.json")}
        assert {name: now[name] for name in finished} == finished
        finished = now
        if kills >= KILLS or (out / FILES[-1]).exists():
            assert status == 0 or ended(start(out)) == 0
            assert {name: (out / name).read_bytes() for name in FILES} == expected
            assert len(Table.load(out).frame) == RUNS * 2
            there = [path for path in out.rglob("*") if path.is_file()]
            assert not [path for path in there if path.name.startswith(".")]
            assert not [path for path in there if path.name.endswith(".damaged")]
            if kills >= KILLS:
                break
            out, finished, collections = tmp_path / str(collections), {}, collections + 1
    assert kills >= KILLS
