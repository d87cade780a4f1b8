"""A study meets optimizers that raise, hang or die, Ctrl-C and kill -9; what was done is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

from hpobench_llm.running.processes import _serve, _Work
from hpobench_llm.studies.header import StudyHeader
from hpobench_llm.studies.results import read_failures, read_trajectories
from tests.forks import forked

ROGUES = str(Path(__file__).with_name("rogues.py"))
SPEC = """
name = "rogues"
title = "Rogues"
benchmarks = ["toy-bowl"]
optimizers = {optimizers}
seeds = {seeds}
budget = 6
timeout_seconds = {timeout}
"""
PATIENCE_SECONDS = 120


def write(tmp_path, *optimizers, seeds=2, timeout=60):
    path = tmp_path / "rogues.toml"
    listed = json.dumps(list(optimizers))
    path.write_text(SPEC.format(optimizers=listed, seeds=seeds, timeout=timeout))
    return path


def command(spec, out, processes=2):
    given = ["replay", str(spec), "--out", str(out), "--processes", str(processes)]
    return [sys.executable, ROGUES, *given]


def run(spec, out, processes=2, **environment):
    return subprocess.run(
        command(spec, out, processes),
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=PATIENCE_SECONDS,
    )


def parts(out):
    return sorted(out.glob("parts/*.part"))


def failures_of(out):
    return read_failures(out, StudyHeader.read(out / "study.json"))


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_study_goes_on_without_its_readers_and_its_status_is_its_own(tmp_path):
    spec, out = write(tmp_path, "random", "raises"), tmp_path / "out"

    def ended(closing, **environment):
        return subprocess.run(
            ["bash", "-c", f'"$@" {closing}; exit ${{PIPESTATUS[0]}}', "-", *command(spec, out)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            timeout=PATIENCE_SECONDS,
        )

    broken = ended("2>&1 | true")
    assert (broken.returncode, broken.stderr) == (1, "")
    assert [(f["optimizer"], f["seed"]) for f in failures_of(out)] == [("raises", 1)]
    assert len(read_trajectories(out)[1]) == 18
    closed = ended(">&- 2>&-", HEALED="1")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert failures_of(out) == []
    assert len(read_trajectories(out)[1]) == 24


def descendants(pid):
    """Return the processes below one that run our optimizers; Python's own helper is none."""
    found = []
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
            found += [child, *descendants(child)]
    return found


def alive(pids):
    """Return those that still run; a zombie has ended, whoever has yet to hear of it."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        running += [pid] * (state != "Z")
    return running


@pytest.mark.slow
def test_what_fails_stops_no_other_is_named_and_is_tried_again(tmp_path):
    names = ["random", "raises", "refuses", "quits", "dies", "killed", "builds"]
    spec, out = write(tmp_path, *names), tmp_path / "out"
    done = run(spec, out)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "chatter" in done.stderr
    assert "chatter" not in done.stdout
    reasons = {
        ("raises", 1): "Raises: `suggest` of trial 2 raised ZeroDivisionError: by nought (",
        ("refuses", 1): "no luck",
        ("quits", 1): "Quits: `suggest` of trial 2 raised SystemExit: enough (",
        ("dies", 1): "its process ended with exit status 3 in the middle of it",
        ("killed", 1): "its process ended by SIGKILL in the middle of it",
        ("builds", 0): "builds could not be built: RuntimeError: cannot be built (",
        ("builds", 1): "builds could not be built: RuntimeError: cannot be built (",
    }
    failures = failures_of(out)
    assert [(f["optimizer"], f["seed"]) for f in failures] == list(reasons)
    for failure, reason in zip(failures, reasons.values(), strict=True):
        assert failure["benchmark"] == "toy-bowl"
        assert failure["reason"].startswith(reason)
        assert reason in done.stdout
    assert "7 replays ran now; 7 of 14 are in" in done.stdout
    assert "builds on toy-bowl, seeds 0, 1: builds could not be built: RuntimeError" in done.stdout
    frame = read_trajectories(out)[1]
    there = {(o, s) for o, s in zip(frame["optimizer"], frame["seed"], strict=True)}
    assert there == {(n, s) for n in names for s in (0, 1)} - set(reasons)
    kept = {path: path.stat().st_mtime_ns for path in parts(out)}
    assert len(kept) == 7
    again = run(spec, out)
    assert again.returncode == 1
    assert "0 replays ran now; 7 of 14" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in parts(out)} == kept
    healed = run(spec, out, HEALED="1")
    assert healed.returncode == 0, healed.stderr
    assert "7 replays ran now; 14 of 14 are in" in healed.stdout
    assert failures_of(out) == []
    assert not (out / "parts").exists()
    assert run(spec, tmp_path / "whole", HEALED="1").returncode == 0
    name = "trajectories.parquet"
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_one_that_hangs_is_ended_and_not_tried_with_every_seed(tmp_path):
    spec, out = write(tmp_path, "hangs", "random", seeds=4, timeout=2), tmp_path / "out"
    done = run(spec, out)
    assert done.returncode == 1, done.stderr
    reasons = {f["seed"]: f["reason"] for f in failures_of(out)}
    assert sorted(reasons) == [0, 1, 2, 3]
    hung = [seed for seed, reason in reasons.items() if reason.startswith("hung: it was ended")]
    assert 2 <= len(hung) <= 3  # two processes may have begun one each when the second hangs
    assert all(reasons[s] == "not run: it hung for 2 other seeds" for s in set(reasons) - {*hung})
    frame = read_trajectories(out)[1]
    assert set(frame["optimizer"]) == {"random"}
    assert frame["seed"].nunique() == 4
    # More time is no other study.
    spec.write_text(spec.read_text().replace("timeout_seconds = 2", 'timeout_seconds = "none"'))
    assert run(spec, out, HEALED="1").returncode == 0


def hears_ctrl_c():
    """As at a terminal: a shell's background job ignores it, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


STOPPED = ("nomad", "slow", "hangs")
REPLAYS, ENOUGH = 12, 6  # of the study that is stopped, and after how many it is


def to_be_stopped(folder):
    spec = write(folder, *STOPPED, seeds=REPLAYS // len(STOPPED))
    spec.write_text(spec.read_text().replace("budget = 6", "budget = 30"))
    return spec


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    """The trajectories of the same study where nothing happened to it."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(to_be_stopped(folder), folder / "out", HEALED="1").returncode == 0
    return (folder / "out" / "trajectories.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_a_study_that_is_stopped_leaves_no_process_and_loses_nothing(
    tmp_path, never_stopped, number
):
    spec, out = to_be_stopped(tmp_path), tmp_path / "out"
    running = subprocess.Popen(
        command(spec, out),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )
    wait_until(lambda: running.poll() is not None or len(parts(out)) >= ENOUGH)
    wait_until(lambda: len(descendants(running.pid)) >= 2)
    below = descendants(running.pid)
    # Ctrl-C reaches all processes of a terminal's group.
    (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
    stopped = time.monotonic()
    complaints = running.communicate(timeout=PATIENCE_SECONDS)[1]
    wait_until(lambda: not alive(below))
    assert time.monotonic() - stopped < 20
    assert running.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in complaints
    if number == signal.SIGINT:
        assert complaints.endswith("stopped; what was finished is kept\n")
    kept = {path: path.stat().st_mtime_ns for path in parts(out)}
    assert ENOUGH <= len(kept) < REPLAYS
    done = run(spec, out, HEALED="1")
    assert done.returncode == 0, done.stderr
    assert f"{REPLAYS - len(kept)} replays ran now; {REPLAYS} of {REPLAYS}" in done.stdout
    assert (out / "trajectories.parquet").read_bytes() == never_stopped


CHATTER = """
import os, sys
from hpobench_llm.running.processes import in_processes

def chat(task):
    print("to nobody " * 20_000)
    print("to nobody " * 20_000, file=sys.stderr, flush=True)
    return task.upper()

if __name__ == "__main__":
    for answer in in_processes(["a", "b"], chat, count=2):
        print(answer.value, answer.failure)
"""


def test_a_replay_that_chats_to_a_stderr_that_is_gone_does_not_fail(tmp_path):
    (tmp_path / "chatter.py").write_text(CHATTER)
    reading, gone = os.pipe()
    os.close(reading)
    command = [sys.executable, str(tmp_path / "chatter.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=gone, text=True, timeout=60)
    os.close(gone)
    assert sorted(done.stdout.splitlines()) == ["A ", "B "]


@pytest.mark.slow
def test_two_starts_at_a_time_are_refused(tmp_path):
    spec, out = write(tmp_path, "hangs"), tmp_path / "out"
    running = subprocess.Popen(command(spec, out), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (out / "study.json").exists())
        done = run(spec, out)
        assert done.returncode == 2
        assert "another process runs a study in this folder" in done.stderr
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("answers", [0, 1])
def test_a_process_whose_parent_was_killed_ends_without_a_word(answers):
    ours, theirs = Pipe()

    def serve():
        ours.close()
        _serve(theirs, _Work(prepare=dict, handle=print))

    if not answers:
        ours.close()
    child = forked(serve)
    for _ in range(answers):
        assert ours.recv().value == {}
    ours.close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
