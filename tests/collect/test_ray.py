"""A collection on a real Ray cluster of two nodes, of which one is killed in the middle."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hpobench_llm.cli.collect import main
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.tables.table import Table

pytest.importorskip("ray")
from ray.cluster_utils import Cluster

RUNS = 5 * 2 * 3
COLLECT = [sys.executable, "-m", "hpobench_llm.cli.collect"]
PATIENCE_SECONDS = 180


@pytest.fixture
def cluster(ridge, monkeypatch):  # its nodes find the family as it does
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    yield made, made.add_node(num_cpus=1, object_store_memory=80_000_000)
    made.shutdown()


def training_on(raylet_pid):
    """Return the workers of a node that train a task: Ray writes so into their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet_pid and b"ray::Worker.run" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_node_that_is_killed_costs_its_task_alone(cluster, ridge, tmp_path):
    (nodes, lost), file, out = cluster, ridge, tmp_path / "ray"
    identity = read_campaign(file).identity()

    def ledger():
        found = Ledger(open_storage(out), identity)
        found.refresh()
        return found

    on_ray = ["--executor", "ray", "--ray-address", nodes.address]
    running = subprocess.Popen(
        [*COLLECT, str(file), "--out", str(out), *on_ray],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    raylet = lost.all_processes["raylet"][0].process.pid
    wait_until(lambda: running.poll() is not None or (ledger().records and training_on(raylet)))
    assert running.poll() is None, running.communicate()
    for pid in (raylet, *training_on(raylet)):
        os.kill(pid, signal.SIGKILL)  # as when the machine loses its power
    before = len(ledger().records)
    said, complaints = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, complaints
    assert before < RUNS
    assert re.search(r"a task of 1 runs was lost \(\w+\), attempt 2 begins", complaints)
    assert f"{RUNS} of {RUNS} trainings, {RUNS} of them now, 1 workers lost" in said
    assert len(list((out / "ledger").glob("*.json"))) == len(ledger().records) == RUNS
    file.write_text(file.read_text().replace("sleep = 0.05", "sleep = 0.0"))
    assert main([str(file), "--out", str(tmp_path / "local")]) == 0
    assert Table.load(out).frame.equals(Table.load(tmp_path / "local").frame)
    # An error that any worker would make is told once, at once.
    file.write_text(file.read_text().replace("sleep = 0.0", "sleep = -1.0"))
    done = subprocess.run(
        [*COLLECT, str(file), "--out", str(tmp_path / "broken"), *on_ray],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "`sleep`: must not be negative" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


LISTENING = """
import os
from pathlib import Path
from hpobench_llm.running.cluster import connect

connect("auto", "--ray-address")
sockets = {}
for process in Path("/proc").glob("[0-9]*"):
    try:
        if b"ray" in (process / "cmdline").read_bytes() or process.name == str(os.getpid()):
            for link in (process / "fd").iterdir():
                sockets[os.readlink(link)] = process.name
    except OSError:
        continue
for table in ("tcp", "tcp6"):
    for line in Path("/proc/net", table).read_text().splitlines()[1:]:
        _, address, _, state, *_, inode = line.split()[:10]
        if state == "0A" and f"socket:[{inode}]" in sockets:
            print(address.partition(":")[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listening sockets: Linux alone")
def test_a_cluster_that_is_started_is_this_machine_s_alone():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # sockets: short paths
        environment = os.environ | {"RAY_TMPDIR": folder}
        environment.pop("RAY_ADDRESS", None)
        done = subprocess.run(
            [sys.executable, "-c", LISTENING], capture_output=True, text=True, env=environment
        )
    assert done.returncode == 0, done.stderr
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert done.stdout
    assert {*done.stdout.split()} <= loopback
