"""Collections that are killed, stopped, starved of disk and spoiled: a restart mends them all.

Each ends with the table of an undisturbed collection. The family is one that needs no torch; real
trainings are killed at the end.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hpobench_llm.artefacts import frame_to_parquet
from hpobench_llm.cli.collect import main
from hpobench_llm.collect import seal  # noqa: F401  (loaded once, before the forks)
from hpobench_llm.collect.campaign.identity import Identity
from hpobench_llm.collect.campaign.plan import one_by_one
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.lora import opening  # noqa: F401
from hpobench_llm.collect.lora.engines import registry  # noqa: F401
from hpobench_llm.tables.table import Table
from tests.forks import forked

pytestmark = pytest.mark.slow
TRAININGS = 5 * 2 * 3
COLLECT = [sys.executable, "-m", "hpobench_llm.cli.collect"]
PATIENCE_SECONDS = 120


@pytest.fixture
def file(ridge):
    return ridge


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


class Forked:
    """A collector in a fork of this process, with what tests need of `subprocess.Popen`."""

    def __init__(self, folder, arguments, limit):
        self.returncode = None
        self._said = [Path(tempfile.mkstemp(dir=folder)[1]) for _ in range(2)]

        def collect():
            sys.stdout, sys.stderr = (path.open("w", buffering=1) for path in self._said)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit,) * 2)
            return main(arguments)

        self.pid = forked(collect)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def communicate(self):
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return [path.read_text() for path in self._said]


@pytest.fixture
def start(tmp_path_factory):
    """Return a function that starts a collector, in which no file may outgrow `limit` bytes."""

    def begin(file, out, *options, limit=resource.RLIM_INFINITY):
        folder = tmp_path_factory.mktemp("said")
        return Forked(folder, [str(file), "--out", str(out), *options], limit)

    return begin


@pytest.fixture
def collect(start):
    """Return a function that runs a collector to its end: status, stdout, stderr."""

    def run(file, out, *options):
        collector = start(file, out, *options)
        said = collector.communicate()
        return collector.returncode, *said

    return run


def ledger_of(file, out):
    ledger = Ledger(open_storage(out), read_campaign(file).identity())
    ledger.refresh()
    return ledger


def count(file, out):
    ledger = ledger_of(file, out)
    return len(ledger.records) + len(ledger.solo)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def trained(said):
    """Return how many runs a collector says it has trained."""
    return sum(map(int, re.findall(r"(\d+) of them now", said)))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def comparable(out):
    """Return the table's bytes without what was measured."""
    frame = Table.load(out).frame
    measured = [c for c in frame if c.endswith("_seconds") or c == "peak_memory_bytes"]
    checkout = ["git_commit", "git_dirty"]  # it may change while the tests run
    return frame_to_parquet(frame.drop(columns=[c for c in measured + checkout if c in frame]))


@pytest.fixture
def mends(collect, file, out):
    """Return a function: a restart trains what is missing, and the table is as it should be."""

    def check():
        missing = TRAININGS - count(file, out)
        status, said, complaints = collect(file, out)
        assert status == 0, complaints
        assert trained(said) == missing
        undisturbed = file.with_name("undisturbed")
        file.write_text(file.read_text().replace("sleep = 0.05", "sleep = 0.0"))
        assert collect(file, undisturbed)[0] == 0
        assert comparable(out) == comparable(undisturbed)
        return said, complaints

    return check


def test_sigterm_and_sigint_drop_the_pack_and_say_how_to_go_on(start, file, out, mends):
    for number, status in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        before = count(file, out)
        running = start(file, out)
        wait_until(lambda known=before: count(file, out) > known)
        running.send_signal(number)
        sent = time.monotonic()
        _, said = running.communicate()
        assert time.monotonic() - sent < 5
        assert running.returncode == status
        assert said.splitlines()[-1] == (
            f"collect-grid: stopped by {number.name}; what was finished is kept in {out}, "
            "start again to go on"
        )
        assert "Traceback" not in said
    assert 2 <= count(file, out) < TRAININGS
    mends()


def start_whole(file, out):
    """Start a collector as a user does."""
    command = [*COLLECT, str(file), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def catches(process, number):
    """Whether a process has put a handler of its own in place (Linux)."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_sigterm_while_loading_ends_at_once(file, out):
    running = start_whole(file, out)
    wait_until(lambda: catches(running, signal.SIGTERM))
    running.terminate()
    _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 75
    assert "stopped by SIGTERM" in said.splitlines()[-1]
    assert count(file, out) == 0


def test_two_collectors_in_one_folder_share_the_work(start, file, out, mends):
    both = [start(file, out), start(file, out)]
    said = [collector.communicate() for collector in both]
    assert [collector.returncode for collector in both] == [0, 0], said
    each = [trained(text) for text, _ in said]
    assert sum(each) == TRAININGS  # nothing twice
    assert any("sealed 90 rows of 30 runs" in text for text, _ in said)
    mends()


@pytest.fixture
def half_collected(collect, file, out):
    assert collect(file, out, "--shard", "0/3")[0] == 0
    assert 0 < count(file, out) < TRAININGS
    return contents(out)


def test_a_write_that_fails_midway_loses_nothing(start, file, out, half_collected, mends):
    running = start(file, out, limit=300)
    _, said = running.communicate()
    assert running.returncode == 2
    last = said.splitlines()[-1]
    assert re.search(r"ledger/\w+\.json: cannot be written: File too large; what was", last), last
    assert "Traceback" not in said
    assert contents(out) == half_collected
    mends()


def can_mount():
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") and not subprocess.run(command, capture_output=True).returncode


@pytest.mark.usefixtures("half_collected")
def test_a_full_disk_loses_nothing(file, out, tmp_path, mends):
    if not can_mount():
        pytest.skip("this machine lets nobody but root mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    # Room for what is there and one file more, of at most a page each.
    pages = sum(-(-path.stat().st_size // 4096) for path in out.rglob("*") if path.is_file()) + 1
    script = (
        f'mount -t tmpfs -o size={pages * 4}k none "{disk}" && cp -r "{out}/." "{disk}" && shift'
        f' && "$@"; status=$?; cp -r "{disk}/." "{out}"; exit $status'
    )
    full = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", "-", *COLLECT, file, "--out", disk],
        capture_output=True,
        text=True,
    )
    assert full.returncode == 2, full.stderr
    last = full.stderr.splitlines()[-1]
    assert "cannot be written: No space left on device; what was finished" in last, last
    assert not [path for path in contents(out) if path.name.startswith(".")]
    assert not ledger_of(file, out).damaged
    mends()


def test_truncated_and_garbled_files_are_trained_again(collect, file, out, mends):
    rng = random.Random(7)
    assert collect(file, out)[0] == 0
    files = sorted((out / "ledger").glob("*.json"))
    cut, changed = rng.sample(files, 2)
    cut.write_bytes(cut.read_bytes()[: rng.randrange(cut.stat().st_size)])
    spoiled = bytearray(changed.read_bytes())
    spoiled[rng.randrange(len(spoiled))] ^= 1
    changed.write_bytes(spoiled)
    said, complaints = mends()
    assert trained(said) >= 2
    assert "2 damaged files" in complaints
    assert "their runs are trained again" in complaints
    assert changed.with_name(f"{changed.name}.damaged").read_bytes() == spoiled


def test_another_campaign_in_the_folder_changes_nothing(collect, file, out, half_collected, mends):
    ours = file.read_text()
    for change in ("sleep = 0.04", "sleep = 0.05\nrows = [8, 16, 24]"):
        file.write_text(ours.replace("sleep = 0.05", change))
        status, _, said = collect(file, out)
        assert status == 2
        assert "the recipe has changed" in said
        assert said.count("\n") == 1
        assert contents(out) == half_collected
    file.write_text(ours)
    mends()


@pytest.mark.usefixtures("half_collected")
def test_a_file_of_another_recipe_in_the_ledger_is_not_used(file, out, mends):
    ours = ledger_of(file, out)
    elsewhere = out.with_name("elsewhere")
    foreign = Ledger(open_storage(elsewhere), Identity("other", "other"))
    foreign.open(ours.header())
    for task in one_by_one(read_campaign(file).runs(), "closed-form")[1:3]:
        foreign.append(task, list(ours.records.values())[:1])
        name = f"ledger/{task.task_id}.json"
        (out / name).write_bytes((elsewhere / name).read_bytes())
    assert "of another recipe" in ledger_of(file, out).damage()
    mends()


@pytest.fixture
def trainings(write_campaign):
    """Four packs of two real trainings, and two runs that are timed alone."""
    longer = ("checkpoints = [0, 2, 4]", "checkpoints = [0, 4, 12]")
    timed = ('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 1')
    return write_campaign(longer, timed)


def test_real_trainings_are_killed_at_any_moment(start, collect, trainings, out):
    packs, rng = ("--pack-size", "2"), random.Random(20250101)
    undisturbed = out.with_name("undisturbed")
    started = time.monotonic()
    assert collect(trainings, undisturbed, *packs)[0] == 0
    seconds = time.monotonic() - started
    for _ in range(6):
        running = start(trainings, out, *packs)
        time.sleep(rng.uniform(0.2, 0.8) * seconds)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert running.returncode in (-signal.SIGKILL, 0)
    assert not ledger_of(trainings, out).damaged
    missing = 10 - count(trainings, out)
    status, said, _ = collect(trainings, out, *packs)
    assert status == 0
    assert trained(said) == missing
    assert comparable(out) == comparable(undisturbed)
