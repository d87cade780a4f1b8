"""Run programs that a model wrote against tests, for HumanEval's pass@1.

The system shuts a program in (`jail.py`, Linux). Its namespaces have no other processes to signal
or to limit, no network, and a root that holds Python's standard library alone, read-only. The
program is `nobody` without any capability, under limits on CPU seconds,
memory, file size, open files and processes; after a limit on wall time all of it is killed. What
it may say is one word, through a pipe of which no more than that word is read. An audit hook
refuses on top what no puzzle needs: that helps against accidents and holds nobody.

This does not help against a fault of the kernel, nor a program that fakes its own success. Where
the system gives no namespaces nothing is run, unless the caller says so twice; then the limits,
the hook and, for root, another user and a network without interfaces are all there is.
"""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import IO, Literal, cast

from hpobench_llm.errors import HpobenchError

CPU_SECONDS = 5
WALL_SECONDS = 15.0  # a busy machine may take three times as long as the CPU seconds
LIMITS = {
    "RLIMIT_CPU": CPU_SECONDS,
    "RLIMIT_AS": 512 * 2**20,  # bytes of address space; the interpreter itself takes about 20 MiB
    "RLIMIT_FSIZE": 0,
    "RLIMIT_NOFILE": 32,
    "RLIMIT_NPROC": 0,  # no further process or thread
    "RLIMIT_CORE": 0,
}
HERE = Path(__file__).parent
JAIL, GUARD = HERE / "jail.py", HERE / "guarded_program.py"
HARMLESS = "import collections, heapq, itertools, math, re, string, typing"

Outcome = Literal["passed", "failed", "out of time"]
_isolated: ContextVar[bool] = ContextVar("isolated", default=True)


@contextmanager
def isolation(*, needed: bool) -> Iterator[None]:
    """Let programs inside be run only where the system shuts them in, if `needed`."""
    before = _isolated.set(needed)
    try:
        yield
    finally:
        _isolated.reset(before)


def run_program(program: str, *, wall_seconds: float = WALL_SECONDS) -> Outcome:
    """Run Python source in a guarded process; `passed` means that it ran to its end.

    A program that raises, leaves early, breaks a limit or is killed has `failed`; one that is
    still running after `wall_seconds` is killed and `out of time`.

    Raises:
        HpobenchError: the system does not shut programs in, and isolation is needed.
    """
    if not can_isolate() and _isolated.get():
        raise HpobenchError(
            "generated code is not run: this system gives no namespaces to shut it in; "
            "--without-isolation runs it all the same, on a machine that has nothing to lose"
        )
    return _run(program, wall_seconds, isolated=can_isolate())


@cache
def can_isolate() -> bool:
    """Whether the system shuts a program in."""
    return _run(HARMLESS, WALL_SECONDS, isolated=True) == "passed"


def _run(program: str, wall_seconds: float, *, isolated: bool) -> Outcome:
    word = secrets.token_hex(16)  # no program can guess it, so only the guard can say it
    order = {"program": program, "word": word, "limits": LIMITS, "isolated": isolated}
    scripts = [JAIL, GUARD] if isolated else [GUARD]
    # The order goes through a file: a pipe could block on a child that does not read it.
    with (
        tempfile.TemporaryDirectory(prefix="generated-code-") as folder,
        tempfile.TemporaryFile() as stdin,
    ):
        stdin.write(json.dumps(order).encode())
        stdin.seek(0)
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", *map(str, scripts)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},  # ours may hold keys
            start_new_session=True,  # so that all that it starts is killed with it
        ) as child:
            pipe = cast("IO[bytes]", child.stdout).fileno()
            try:
                answer = _answer(pipe, len(word), wall_seconds)
            except TimeoutError:
                return "out of time"
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
    return "passed" if answer == word.encode() else "failed"


def _answer(pipe: int, most: int, seconds: float) -> bytes:
    """Return what comes through a pipe until it is closed, or one byte more than `most`."""
    deadline = time.monotonic() + seconds
    answer = b""
    while len(answer) <= most:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(pipe, most + 1 - len(answer))
        if not part:
            break
        answer += part
    return answer


def check_runner(*, without_isolation: bool = False) -> None:
    """Check that a harmless program passes here, or every score would be a silent 0.

    Raises:
        HpobenchError: it does not, or it would not be shut in.
    """
    with isolation(needed=not without_isolation):
        outcome = run_program(HARMLESS)
    if outcome != "passed":
        raise HpobenchError(
            f"generated code cannot be run here: a program that imports modules has {outcome!r}"
        )


def pass_at_1(item: Mapping[str, object], answers: Sequence[str]) -> dict[str, float]:
    """Return `pass_at_1`: 1 where the prompt with the model's answer passes the item's tests."""
    program = f"{item['prompt']}{answers[0]}\n{item['test']}\ncheck({item['entry_point']})\n"
    return {"pass_at_1": float(run_program(program) == "passed")}
