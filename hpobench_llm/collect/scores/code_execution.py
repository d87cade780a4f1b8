"""Run programs that a model wrote against tests, for HumanEval's pass@1.

What guards the machine: a process of its own (`python -I -S`: the standard library alone) with an
empty environment and an empty temporary working folder, limits on CPU seconds, memory, file size,
open files and processes, and a limit on wall time after which its whole process group is killed.
An audit hook refuses new processes, sockets and every change of a file. Run as root, the child
becomes `nobody` first (it can still read root's files). On Linux it also moves into a network
without interfaces; where the system does not allow that (containers often do not) the hook alone
keeps it off the network. On macOS the memory limit does not hold. It is a guard against accidents,
not a prison for an attacker: nothing here runs unless the caller of a campaign allows it.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

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
GUARD = Path(__file__).with_name("guarded_program.py")

Outcome = Literal["passed", "failed", "out of time"]


def run_program(program: str, *, wall_seconds: float = WALL_SECONDS) -> Outcome:
    """Run Python source in a guarded process; `passed` means that it ran to its end.

    A program that raises, leaves early, breaks a limit or is killed has `failed`; one that is
    still running after `wall_seconds` is killed and `out of time`.
    """
    word = secrets.token_hex(16)
    order = json.dumps({"program": program, "word": word, "limits": LIMITS}).encode()
    with (
        tempfile.TemporaryDirectory(prefix="generated-code-") as folder,
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        ) as child,
    ):
        try:
            output, _ = child.communicate(order, timeout=wall_seconds)
        except subprocess.TimeoutExpired:
            return "out of time"
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    return "passed" if output.decode(errors="replace") == word else "failed"


@cache
def check_runner() -> None:
    """Check that a harmless program passes here, or every score would be a silent 0.

    Raises:
        HpobenchError: it does not.
    """
    outcome = run_program("import collections, heapq, itertools, math, re, string, typing")
    if outcome != "passed":
        raise HpobenchError(
            f"generated code cannot be run here: a program that imports modules has {outcome!r}"
        )


def pass_at_1(item: Mapping[str, Any], answers: Sequence[str]) -> dict[str, float]:
    """Return `pass_at_1`: 1 where the prompt with the model's answer passes the item's tests."""
    check_runner()
    program = f"{item['prompt']}{answers[0]}\n{item['test']}\ncheck({item['entry_point']})\n"
    return {"pass_at_1": float(run_program(program) == "passed")}
