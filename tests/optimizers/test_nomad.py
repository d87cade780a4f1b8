"""NOMAD's process: it must not outlive its optimizer, nor die unnoticed."""

import gc
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_bowl, toy_sphere
from hpobench_llm.errors import OptimizerError
from hpobench_llm.optimizers.direct_search.nomad import Nomad, _variable
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space


def nomad(problem, *, budget=20, seed=0):
    return Nomad(problem.space, [problem.metrics["val_loss"]], (), budget, seed)


def replay(optimizer, problem):
    asked = []
    while (trial := optimizer.ask()) is not None:
        asked.append(trial.config)
        optimizer.tell(trial, problem.query(trial.config))
    return asked


def child_of(optimizer):
    return optimizer._process._child.pid


def lives(pid):
    """Return whether a process runs; one that has ended but was not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def running():
    """Yield an optimizer with a trial under way, its problem and the trial."""
    problem = toy_sphere()
    with closing(nomad(problem)) as optimizer:
        trial = optimizer.ask()
        optimizer.tell(trial, problem.query(trial.config))
        yield optimizer, problem, optimizer.ask()


def go_on(optimizer, problem, trial):
    optimizer.tell(trial, problem.query(trial.config))
    optimizer.ask()


def test_a_killed_process_is_an_error_that_names_the_signal(running):
    os.kill(child_of(running[0]), signal.SIGKILL)
    with pytest.raises(OptimizerError, match="ended with signal SIGKILL; it printed nothing"):
        go_on(*running)


def test_a_failure_inside_is_an_error_with_its_last_line(running):
    optimizer, _, _ = running
    optimizer._process.send({"outputs": ["much"]})
    with pytest.raises(OptimizerError, match=r"exit status 1; it last printed: ValueError.*much"):
        optimizer._process.receive()


def test_a_crash_of_nomad_is_an_error(monkeypatch):
    problem = toy_sphere()
    with closing(nomad(problem)) as optimizer:
        asked_for = optimizer._setup()
        asked_for["parameters"].append("BB_INPUT_TYPE ( R R )")
        monkeypatch.setattr(optimizer, "_setup", lambda: asked_for)
        with pytest.raises(OptimizerError, match=r"signal SIGSEGV; it last printed: .*NOMAD"):
            optimizer.ask()


def test_a_silent_process_is_an_error(running, monkeypatch):
    monkeypatch.setattr(running[0]._process, "_timeout_seconds", 0.05)
    os.kill(child_of(running[0]), signal.SIGSTOP)
    with pytest.raises(OptimizerError, match=r"no sign for 0\.05 s"):
        go_on(*running)


def test_close_leaves_no_process_and_no_pipe():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problem = toy_sphere()
        optimizer = nomad(problem)
        optimizer.ask()
        child = child_of(optimizer)
        assert lives(child)
        optimizer.close()
        optimizer.close()
        assert optimizer.ask() is None
        del optimizer
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    with pytest.raises(ProcessLookupError):  # reaped: not even a zombie
        os.kill(child, 0)


def test_a_parent_that_dies_takes_its_child_along():
    script = (
        "import os, signal, sys\n"
        "from hpobench_llm.benchmarks.toy import toy_sphere\n"
        "from hpobench_llm.optimizers.direct_search.nomad import Nomad\n"
        "problem = toy_sphere()\n"
        "optimizer = Nomad(problem.space, [problem.metrics['val_loss']], (), 9, 0)\n"
        "optimizer.ask()\n"
        "print(optimizer._process._child.pid, flush=True)\n"
        "sys.stdin.readline()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        child = int(parent.stdout.readline())
        assert lives(child)
        parent.communicate(b"\n")
    assert parent.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10.0
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(child)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_start_is_the_first_draw_of_random_search(seed):
    problem = toy_bowl()
    draw = build(
        "random",
        space=problem.space,
        objectives=[problem.metrics["val_loss"]],
        budget=1,
        seed=seed,
    ).ask()
    with closing(nomad(problem, seed=seed)) as optimizer:
        assert optimizer.ask() == draw


def test_nomad_end_is_the_end():
    problem = ToyBenchmark("axis", Space((Ordinal("x", tuple(range(40))),)))
    with closing(nomad(problem, budget=39)) as optimizer:
        asked = replay(optimizer, problem)
        assert 3 < len(asked) < 39  # a local method: it stops at the optimum's neighbours
        assert len({config["x"] for config in asked}) == len(asked)
        assert optimizer.ask() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    [
        Space((Float("x", -1.0, 1.0),)),
        Space((Integer("x", -3, 9),)),
        Space((Ordinal("x", tuple(range(4))), Ordinal("y", tuple(range(6))))),
    ],
    ids=["real", "integer", "grid"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_spaces_on_which_the_default_poll_crashes(space, seed):
    problem = ToyBenchmark("small", space)
    with closing(nomad(problem, budget=24, seed=seed)) as optimizer:
        asked = replay(optimizer, problem)
    best = min(problem.query(config).metrics["val_loss"] for config in asked)
    assert best == pytest.approx(problem.optimum("val_loss")[1], abs=1e-3)


@pytest.mark.parametrize("seed", [-1, 2**31 - 1])
def test_a_seed_that_nomad_cannot_hold_is_refused(seed):
    with pytest.raises(OptimizerError, match=str(seed)):
        nomad(toy_sphere(), seed=seed)


@given(st.floats(1e-9, 1e9), st.floats(1.001, 1e6), st.floats(0.0, 1.0), st.booleans())
def test_real_coordinates_stay_in_bounds(low, ratio, unit, log):
    dimension = Float("x", low, low * ratio, log=log)
    variable = _variable(dimension)
    value = dimension.from_unit(unit)
    assert variable.lower <= variable.encode(value) <= variable.upper
    assert variable.decode(variable.encode(value)) == pytest.approx(value)
    for coordinate in (variable.lower, variable.upper):
        assert dimension.canonical(variable.decode(coordinate)) == variable.decode(coordinate)


@given(st.integers(1, 1000), st.integers(1, 1000), st.booleans(), st.data())
def test_integer_coordinates_come_back(low, width, log, data):
    variable = _variable(Integer("n", low, low + width, log=log))
    value = data.draw(st.integers(low, low + width))
    assert variable.decode(variable.encode(value)) == value
    assert variable.kind == ("R" if log else "I")


def test_indices_zero_and_single_values():
    assert _variable(Ordinal("n", (3,))) is None
    assert _variable(Categorical("c", ("a", "b"))).decode(1.0) == "b"
    assert _variable(Ordinal("n", (3, 7))).encode(7) == 1
    assert math.copysign(1.0, _variable(Float("x", -1.0, 1.0)).decode(-0.0)) == 1.0
