"""A study on a real Ray cluster: the bytes of a run on this machine; what fails costs itself."""

import json
import os
import subprocess
import sys

import pytest

from tests.studies.test_faults import command, run, write

pytest.importorskip("ray")

PATIENCE_SECONDS = 300
FAULTS = """
import json, os, sys, time
from hpobench_llm.running.on_ray import on_ray

def handle(task):
    if task == "raises":
        raise ZeroDivisionError("by nought")
    if task == "dies":
        os._exit(3)
    if task == "hangs":
        time.sleep(10_000)
    return task.upper()

tasks = ["a", "raises", "hangs", "dies", "b", "c"]
answers = on_ray(tasks, handle, address="auto", count=2, timeout=lambda task: 3.0)
print(json.dumps([[a.task, a.value, a.failure, a.hung] for a in answers]))
"""


def completed(arguments):
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
    )


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_as_this_machine(tmp_path):
    spec = write(tmp_path, "random", "asha", "nomad", seeds=3)
    done = completed([*command(spec, tmp_path / "ray"), "--executor", "ray"])
    assert done.returncode == 0, done.stderr
    assert "9 replays ran now; 9 of 9 are in" in done.stdout
    assert run(spec, tmp_path / "local").returncode == 0
    name = "trajectories.parquet"
    assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    nobody = [*command(spec, tmp_path / "none"), "--executor", "ray", "--address", "127.0.0.1:1"]
    refused = completed(nobody)
    assert refused.returncode == 2
    assert "--address 127.0.0.1:1: no Ray cluster there" in refused.stderr


@pytest.mark.slow
def test_a_task_that_raises_hangs_or_dies_costs_itself_alone():
    done = completed([sys.executable, "-c", FAULTS])
    assert done.returncode == 0, done.stderr
    answers = {task: rest for task, *rest in json.loads(done.stdout.splitlines()[-1])}
    assert {task: value for task, (value, _, _) in answers.items() if value} == {
        "a": "A",
        "b": "B",
        "c": "C",
    }
    assert answers["raises"][1].startswith("ZeroDivisionError: by nought")
    assert answers["dies"][1].startswith("its workers died in the middle of it: ")
    assert answers["hangs"][1].startswith("hung: it was ended after ")
    assert answers["hangs"][2] is True


def test_an_address_without_ray_is_refused(tmp_path):
    spec = write(tmp_path, "random")
    done = completed([*command(spec, tmp_path / "out"), "--address", "127.0.0.1:6379"])
    assert done.returncode == 2
    assert "--address 127.0.0.1:6379 needs --executor ray" in done.stderr
