"""Collections that are killed, stopped, starved of disk and spoiled: a restart mends them all.

Each ends with the table of an undisturbed collection, to the byte but for what was measured.
"""

import json
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
from hpobench_llm.collect.campaign.identity import Identity
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.lora.packs import plan
from hpobench_llm.tables.table import Table

pytestmark = pytest.mark.slow  # each starts collectors that train
# Four packs of two runs, and two runs that are timed alone.
TRAININGS = 10
LONGER = (
    ("checkpoints = [0, 2, 4]", "checkpoints = [0, 4, 12]"),
    ('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 1'),
)
COLLECT = [sys.executable, "-m", "hpobench_llm.cli.collect"]
PATIENCE_SECONDS = 120

# Starts collectors as forks of one process, so that torch is loaded once and not each time.
NURSERY = """
import gc, json, os, resource, sys
import peft, transformers
from transformers.models.llama import modeling_llama
from hpobench_llm.collect import seal
from hpobench_llm.collect.lora import opening
from hpobench_llm.collect.lora.engines import registry
from hpobench_llm.cli.collect import main

gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        for number, path in enumerate(order["said"], start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"],) * 2)
        status = 70
        try:
            status = main(order["arguments"])
            sys.stdout.flush()
        finally:  # whatever it raises, a fork does not read orders
            os._exit(status)
    print(child, flush=True)
"""


@pytest.fixture
def file(write_campaign):
    return write_campaign(*LONGER)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def arguments(file, out, *options):
    return [str(file), "--out", str(out), "--pack-size", "2", *options]


class Forked:
    """A collector that the nursery has started, with what tests need of `subprocess.Popen`."""

    def __init__(self, nursery, folder, options, limit):
        self._nursery, self.returncode = nursery, None
        self._said = [Path(tempfile.mkstemp(dir=folder)[1]) for _ in range(2)]
        self.pid = self._ask(arguments=options, said=list(map(str, self._said)), limit=limit)

    def _ask(self, **order):
        print(json.dumps(order), file=self._nursery.stdin, flush=True)
        return int(self._nursery.stdout.readline())

    def send_signal(self, number):
        os.kill(self.pid, number)

    def communicate(self):
        self.returncode = self._ask(wait=self.pid)
        return [path.read_text() for path in self._said]


@pytest.fixture(scope="module")
def nursery():
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def start(nursery, tmp_path_factory):
    """Return a function that starts a collector, in which no file may outgrow `limit` bytes."""

    def begin(file, out, *options, limit=resource.RLIM_INFINITY):
        said = tmp_path_factory.mktemp("said")
        return Forked(nursery, said, arguments(file, out, *options), limit)

    return begin


@pytest.fixture(scope="module")
def collect(start):
    """Return a function that runs a collector to its end: status, stdout, stderr."""

    def run(file, out, *options):
        collector = start(file, out, *options)
        said = collector.communicate()
        return collector.returncode, *said

    return run


def start_whole(file, out, *options):
    """Start a collector as a user does."""
    return subprocess.Popen(
        [*COLLECT, *arguments(file, out, *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
    assert {"train_seconds", "train_wall_seconds", "eval_seconds"} <= set(measured)
    return frame_to_parquet(frame.drop(columns=measured + checkout))


@pytest.fixture(scope="module")
def undisturbed(collect):
    """Return a function that gives the table of a collection which nothing has disturbed."""
    known = {}

    def table(file):
        if not known:
            out = file.with_name("undisturbed")
            assert collect(file, out)[0] == 0
            known[file.name] = comparable(out)
        return known[file.name]

    return table


@pytest.fixture
def mends(collect, file, out, undisturbed):
    """Return a function: a restart trains what is missing, and the table is as it should be."""

    def check():
        missing = TRAININGS - count(file, out)
        status, said, complaints = collect(file, out)
        assert status == 0, complaints
        assert trained(said) == missing
        assert comparable(out) == undisturbed(file)
        return said, complaints

    return check


def test_killed_at_any_moment(start, file, out, mends):
    rng = random.Random(20250101)
    for number in range(10):
        before = count(file, out)
        running = start(file, out)
        if number < 3:
            wait_until(lambda known=before: count(file, out) > known)
        time.sleep(rng.uniform(0, 0.5 if number < 3 else 2.0))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert running.returncode in (-signal.SIGKILL, 0)
    assert count(file, out) >= 3
    assert not ledger_of(file, out).damaged
    mends()


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


def test_workers_end_with_the_process_that_started_them(file, out, mends):
    """First by a SIGTERM, then by a kill, which they notice themselves."""
    for number, status in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        before = count(file, out)
        running = start_whole(file, out, "--workers", "2")
        wait_until(lambda known=before: count(file, out) > known)
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
    assert count(file, out) < TRAININGS
    mends()


def test_a_worker_that_is_killed_ends_the_others_with_one_line(file, out, mends):
    running = start_whole(file, out, "--workers", "2")
    wait_until(lambda: count(file, out) > 0)
    workers = children(running)
    os.kill(workers[0], signal.SIGKILL)
    _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 2
    # The other worker may have been first; this one then ends as it starts.
    moments = "in the middle of it; what was", "as it started"
    assert any(f"ended by SIGKILL {moment}" in said.splitlines()[-1] for moment in moments)
    assert not any(map(alive, workers))
    mends()


def test_two_collectors_in_one_folder_share_the_work(start, file, out, mends):
    both = [start(file, out), start(file, out)]
    said = [collector.communicate() for collector in both]
    assert [collector.returncode for collector in both] == [0, 0], said
    each = [trained(text) for text, _ in said]
    assert sum(each) == TRAININGS  # nothing twice
    assert any("sealed 24 rows of 8 runs" in text for text, _ in said)
    mends()


@pytest.fixture
def half_collected(collect, file, out):
    assert collect(file, out, "--shard", "0/3")[0] == 0
    assert 0 < count(file, out) < TRAININGS
    return contents(out)


def test_a_write_that_fails_midway_loses_nothing(start, file, out, half_collected, mends):
    running = start(file, out, limit=1000)
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
        ["unshare", "-rm", "sh", "-c", script, "sh", "-", *COLLECT, *arguments(file, disk)],
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


def test_another_campaign_in_the_folder_changes_nothing(
    write_campaign, collect, file, out, half_collected, mends
):
    changes = {
        ("train_rows = 64", "train_rows = 63"): "the recipe has changed",
        ("val_rows = 8", "val_rows = 9"): "the recipe has changed",
    }
    for change, words in changes.items():
        status, _, said = collect(write_campaign(*LONGER, change), out)
        assert status == 2
        assert words in said
        assert said.count("\n") == 1
        assert contents(out) == half_collected
    write_campaign(*LONGER)
    mends()


@pytest.mark.usefixtures("half_collected")
def test_a_file_of_another_recipe_in_the_ledger_is_not_used(file, out, mends):
    campaign = read_campaign(file)
    ours = ledger_of(file, out)
    elsewhere = out.with_name("elsewhere")
    foreign = Ledger(open_storage(elsewhere), Identity("other", "other"))
    foreign.open(ours.header())
    for task in plan(campaign, "packed", 2)[1:3]:
        foreign.append(task, list(ours.records.values())[:1])
        name = f"ledger/{task.task_id}.json"
        (out / name).write_bytes((elsewhere / name).read_bytes())
    assert "of another recipe" in ledger_of(file, out).damage()
    mends()
