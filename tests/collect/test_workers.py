"""Workers that are killed, or lose who started them: with the family that needs no torch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpobench_llm.cli.collect import main
from hpobench_llm.tables.table import Table

RUNS = 5 * 2 * 3
PATIENCE_SECONDS = 60


@pytest.fixture
def out(tmp_path):
    return tmp_path / "ridges"


@pytest.fixture
def start(ridge, out):
    """Return a function that starts a collector with two workers, as a user does."""
    command = [sys.executable, "-m", "hpobench_llm.cli.collect", ridge, "--out", out]

    def begin():
        return subprocess.Popen(
            [*command, "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begin


@pytest.fixture
def mends(ridge, out, tmp_path, capsys):
    """Return a function: a restart trains what is missing, and the table is as it should be."""

    def check():
        left = RUNS - count(out)
        assert main([str(ridge), "--out", str(out)]) == 0
        assert f"{RUNS} of {RUNS} trainings, {left} of them now" in capsys.readouterr().out
        undisturbed = tmp_path / "undisturbed"
        ridge.write_text(ridge.read_text().replace("sleep = 0.05", "sleep = 0.0"))
        assert main([str(ridge), "--out", str(undisturbed)]) == 0
        assert Table.load(out).frame.equals(Table.load(undisturbed).frame)

    return check


def count(out):
    return len(list((out / "ledger").glob("*.json")))


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process):
    """Return the workers of a collector, without the tracker that multiprocessing starts."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = path.read_text().split()
    return [int(p) for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(start, out, mends):
    """First by a SIGTERM, then by a kill, which they notice themselves."""
    for number, status in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        before = count(out)
        running = start()
        wait_until(lambda known=before: count(out) > known)
        workers = children(running)
        assert len(workers) == 2
        running.send_signal(number)
        _, said = running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == status
        if number == signal.SIGTERM:
            assert "stopped by SIGTERM" in said.splitlines()[-1]
            assert not any(map(alive, workers))
        sent = time.monotonic()
        wait_until(lambda pids=workers: not any(map(alive, pids)))
        assert time.monotonic() - sent < 10
    assert count(out) < RUNS
    mends()


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_others_with_one_line(start, out, mends):
    running = start()
    wait_until(lambda: count(out) > 0)
    workers = children(running)
    os.kill(workers[0], signal.SIGKILL)
    _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 2
    # The other worker may have been first; this one then ends as it starts.
    moments = "in the middle of it; what was", "as it started"
    assert any(f"ended by SIGKILL {moment}" in said.splitlines()[-1] for moment in moments)
    assert not any(map(alive, workers))
    mends()


def test_an_error_that_every_worker_makes_is_told_once(ridge, out, capfd):
    ridge.write_text(ridge.read_text().replace("sleep = 0.05", "sleep = -1.0"))
    assert main([str(ridge), "--out", str(out), "--workers", "2"]) == 2
    said = capfd.readouterr().err
    assert said.count("`sleep`: must not be negative") == 1
    assert "Traceback" not in said
