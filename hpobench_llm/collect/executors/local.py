"""Collect on this machine: in this process, or in several that share the tasks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import TextIO

from hpobench_llm.collect.executors.collector import collect
from hpobench_llm.collect.executors.signals import EXIT_STATUS, Interrupted, StopSignals
from hpobench_llm.collect.executors.work import Job
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import LedgerError

SECONDS_BETWEEN_LOOKS = 0.5


def collect_here(
    job: Job, stop: StopSignals, *, parent: int | None, on_task: Callable[[list[RunRecord]], None]
) -> int:
    """Collect in this process; returns how many runs were trained.

    With `parent` it ends with an error at the first step after the process of that id has gone.
    """

    def on_step(_: int) -> None:
        if parent is not None and os.getppid() != parent:
            raise LedgerError("the process that started this worker has gone")

    return collect(job, stop, on_step=on_step, on_task=on_task)


def collect_in_processes(
    command: Sequence[str], count: int, stop: StopSignals, *, on_look: Callable[[], None]
) -> None:
    """Run `command` in `count` processes, which share the tasks by their claims.

    `on_look` is called twice a second. A process that fails ends the others, and a signal ends
    all: what they had finished is in the ledger.

    Raises:
        Interrupted: after a signal to this process or one of the others.
        LedgerError: a process has failed; the message is its own.
    """
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack, stop.deferred():
        said = [stack.enter_context(TemporaryFile("w+")) for _ in range(count)]
        stack.callback(_end, children)
        children.extend(
            subprocess.Popen(
                [sys.executable, "-m", *command, "--parent", str(os.getpid())],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C reaches them through this process alone
            )
            for errors in said
        )
        while None in (statuses := [child.poll() for child in children]) or any(statuses):
            stop.check()
            for status, errors in zip(statuses, said, strict=True):
                if status:
                    raise _failure(status, errors)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            on_look()


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop and wait for them; nothing happens to those that have ended."""
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


def _failure(status: int, said: TextIO) -> BaseException:
    """Return the error that ended a process: a signal to it, or its last line."""
    for number, exit_status in EXIT_STATUS.items():
        if status == exit_status:
            return Interrupted(number)
    if status < 0:
        return LedgerError(
            f"a worker was ended by {signal.Signals(-status).name}; what was finished is kept: "
            "start again, with fewer --workers if the memory was too small"
        )
    said.seek(0)
    last = said.read().strip().splitlines()[-1:] or ["a worker failed without a message"]
    return LedgerError(last[0].removeprefix("collect-grid: error: "))
