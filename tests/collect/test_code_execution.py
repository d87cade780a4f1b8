"""The runner of generated code: right and wrong programs, and what a program may not do."""

import os
import resource
import socket
import time
from pathlib import Path

import pytest

from hpobench_llm.collect.lora.scores import code_execution
from hpobench_llm.collect.lora.scores.code_execution import (
    can_isolate,
    check_runner,
    pass_at_1,
    run_program,
)
from hpobench_llm.errors import HpobenchError

UNHOOKED = """
import sys
guard = sys._getframe(1).f_globals
guard["REFUSED"], guard["WRITING"] = (), 0
"""
shut_in = pytest.mark.skipif(not can_isolate(), reason="this system gives no namespaces")


@pytest.fixture(autouse=True)
def _allowed():
    with code_execution.isolation(needed=can_isolate()):
        yield


PROBLEM = {
    "prompt": 'def double(x):\n    """Return twice x."""\n',
    "entry_point": "double",
    "test": "def check(f):\n    assert f(2) == 4\n    assert f(-1) == -2\n",
}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("    return 2 * x", 1.0),
        ("    return x * x", 0.0),
        ("    return 2 * x\n\nunknown name", 0.0),
        ("    import os\n    os._exit(0)", 0.0),
        ("    raise SystemExit(0)", 0.0),
        ("    print('passed')", 0.0),
        ("\x00", 0.0),
    ],
)
def test_a_problem_counts_when_its_tests_pass(answer, value):
    assert pass_at_1(PROBLEM, [answer]) == {"pass_at_1": value}


def test_a_harmless_program_passes():
    check_runner()
    assert run_program("import random, json, functools\nassert sum(range(10)) == 45") == "passed"


def test_a_program_that_waits_is_cut():
    started = time.monotonic()
    assert run_program("import time\ntime.sleep(60)", wall_seconds=0.5) == "out of time"
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_a_program_that_computes_for_ever_is_cut(monkeypatch):
    monkeypatch.setitem(code_execution.LIMITS, "RLIMIT_CPU", 1)
    started = time.monotonic()
    assert run_program("while True:\n    pass", wall_seconds=60) == "failed"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("held = []\nwhile True:\n    held.append(bytearray(10**7))", id="memory"),
        pytest.param("bytearray(10**10)", id="one large block"),
        pytest.param("def f(n):\n    return f(n + 1) + 1\nf(0)", id="recursion"),
        pytest.param("held = [open('/dev/null') for _ in range(100)]", id="open files"),
    ],
)
def test_a_program_that_takes_too_much_is_cut(program):
    started = time.monotonic()
    assert run_program(program) == "failed"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("import os\nwhile True:\n    os.fork()", id="fork bomb"),
        pytest.param("import subprocess\nsubprocess.run(['true'])", id="subprocess"),
        pytest.param("import os\nos.system('true')", id="shell"),
        pytest.param("import socket\nsocket.socket()", id="socket"),
        pytest.param("import ctypes\nctypes.CDLL(None)", id="C library"),
        pytest.param("open('made', 'w')", id="new file"),
        pytest.param("import os\nos.kill(os.getppid(), 0)", id="signal"),
    ],
)
def test_a_program_reaches_nothing_outside_itself(program):
    assert run_program(program) == "failed"
    handled = program.replace("\n", "\n    ").replace("while True:\n        ", "")
    assert run_program(f"try:\n    {handled}\nexcept PermissionError:\n    pass") == "passed"


def test_no_file_of_ours_is_touched(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("kept")
    for action in (f"os.remove({str(target)!r})", f"os.truncate({str(target)!r}, 0)"):
        assert run_program(f"import os\n{action}") == "failed"
    assert run_program(f"import shutil\nshutil.rmtree({str(tmp_path)!r})") == "failed"
    assert target.read_text() == "kept"


@pytest.fixture
def target(tmp_path):
    """A file that any program of this machine could empty."""
    path = tmp_path / "kept.txt"
    path.write_text("kept")
    path.chmod(0o666)
    return path


@shut_in
@pytest.mark.parametrize("hook", ["", UNHOOKED], ids=["hook", "no hook"])
@pytest.mark.parametrize(
    "escape",
    [
        "import readline\nreadline.write_history_file({target!r})",
        "open({target!r}, 'w')",
        "open({target!r})",
        "open('/etc/passwd')",
        "open('made', 'w')",
        "import os\nos.truncate({target!r}, 0)",
        "import resource\nresource.prlimit({parent}, resource.RLIMIT_NOFILE, (3, 3))",
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open({parent}), 0)",
        "import os\nos.kill({parent}, 0)",
        "import os\nassert os.listdir('/proc')",
        "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
        "import ctypes\nassert not ctypes.CDLL(None).mount(b'none', b'/', b'tmpfs', 0, None)",
    ],
)
def test_an_escape_reaches_nothing(target, hook, escape):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        escape = escape.format(target=str(target), parent=os.getpid(), port=port)
        assert run_program(f"{hook}{escape}") == "failed"
    assert target.read_text() == "kept"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


@pytest.mark.parametrize("module", ["__main__", "guard"])
def test_a_program_that_turns_the_hook_off_still_cannot_start_another(module):
    program = f"{UNHOOKED}import {module}" if module == "__main__" else UNHOOKED
    assert run_program(f"{program}\nimport os\nos.fork()") == "failed"


def test_a_flooded_pipe_fills_no_memory_of_ours():
    flood = "import os\nwhile True:\n    for fd in range(3, 10):\n        try:\n"
    flood += "            os.write(fd, bytes(65536))\n        except OSError:\n            pass"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run_program(flood) == "failed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_without_isolation_nothing_is_run_unless_that_is_said_too(monkeypatch):
    monkeypatch.setattr(code_execution, "can_isolate", lambda: False)
    with code_execution.isolation(needed=True):
        with pytest.raises(HpobenchError, match="--without-isolation"):
            check_runner()
        with pytest.raises(HpobenchError, match="no namespaces"):
            pass_at_1(PROBLEM, ["    return 2 * x"])
        check_runner(without_isolation=True)
    with code_execution.isolation(needed=False):
        assert pass_at_1(PROBLEM, ["    return 2 * x"]) == {"pass_at_1": 1.0}
        assert run_program("import os\nos.system('true')") == "failed"


def test_the_system_holds_processes_even_without_the_hook():
    """Threads raise no audit event that is refused: the limit on processes is at work here."""
    program = "import threading\nthreading.Thread(target=print).start()"
    assert run_program(program) == "failed"


def test_the_environment_and_the_folder_are_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "known to us alone")
    assert run_program("import os\nassert 'SECRET_TOKEN' not in os.environ") == "passed"
    assert run_program(f"import os\nassert os.getcwd() != {str(Path.cwd())!r}") == "passed"


def test_much_output_fills_nothing():
    program = "print('x' * 10**7)\nimport sys\nprint('y' * 10**6, file=sys.stderr)"
    assert run_program(program) == "passed"
