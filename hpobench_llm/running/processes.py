"""Tasks in processes of their own: one that raises, hangs or dies costs its own task alone.

A process runs one task after another. Where one dies (a crash in a library, `os._exit`, the
kernel's out-of-memory killer) or takes longer than it may, the task that it ran is blamed, the
process and all that it started are killed, and another takes its place. The processes end with the
one that started them, however that ends. A process inside a library's call that holds the
interpreter's lock ends when that call returns.

It needs POSIX: sessions and signal masks.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

from hpobench_llm.errors import HpobenchError
from hpobench_llm.running.tasks import Answer, R, T, attempt, hung, nothing

# A fork would copy the locks of our threads, and CUDA does not survive one.
_CONTEXT = multiprocessing.get_context("spawn")
SECONDS_BETWEEN_LOOKS = 0.5


def in_processes(
    tasks: Iterable[T],
    handle: Callable[[T], R],
    *,
    count: int,
    timeout: Callable[[T], float | None] = lambda _: None,
    prepare: Callable[[], Any] = nothing,
    on_ready: Callable[[Answer[None, Any]], None] = lambda _: None,
    on_wait: Callable[[], None] = lambda: None,
) -> Generator[Answer[T, R], None, None]:
    """Yield the answer to each task, as they come, from `count` processes.

    A task is taken from `tasks` when a process is free for it. When the iterator is closed, or
    this process is interrupted, all that runs is killed.

    Args:
        tasks: the tasks; they and the answers are sent from process to process.
        handle: what to do with a task. Every process has its own copy, which it keeps.
        count: how many processes.
        timeout: how many seconds a task may take; None: it may take for ever.
        prepare: what a process does before its first task; shares what it keeps with `handle`.
        on_ready: called with each process's answer of `prepare`; what it raises ends all.
        on_wait: called twice a second at least; what it raises ends all.

    Raises:
        HpobenchError: a process cannot be started.
    """
    waiting = iter(tasks)
    workers: list[_Worker[T, R]] = []
    work = _Work(prepare, handle)  # pickled whole: both may be methods of one object

    def hire() -> None:
        task = next(waiting, None)
        if task is not None:
            with _inherited():  # no Ctrl-C before the process is in the list either
                workers.append(_Worker(work, task, timeout, on_ready))

    try:
        for _ in range(count):
            hire()
        while workers:
            deadline = min(worker.deadline for worker in workers)
            patience = max(0.0, min(deadline - time.monotonic(), SECONDS_BETWEEN_LOOKS))
            readable = wait([worker.connection for worker in workers], patience)
            on_wait()
            for worker in list(workers):  # a copy: workers come and go inside
                # An answer that has come counts, even if its time is up by now.
                if worker.connection in readable:
                    answer = worker.receive()
                elif time.monotonic() >= worker.deadline:
                    answer = worker.give_up()
                else:
                    continue
                if answer is not None:
                    yield answer
                if not worker.alive:
                    workers.remove(worker)
                    hire()
                elif answer is not None and not worker.take(next(waiting, None)):
                    workers.remove(worker)
                    worker.kill()
    finally:
        for worker in workers:
            worker.kill()


@dataclass(frozen=True, slots=True)
class _Work(Generic[T, R]):
    """What every process has its own copy of."""

    prepare: Callable[[], Any]
    handle: Callable[[T], R]


class _Worker(Generic[T, R]):
    """A process, seen from the one that started it, and the task that it runs."""

    def __init__(
        self,
        work: _Work[T, R],
        task: T,
        timeout: Callable[[T], float | None],
        on_ready: Callable[[Answer[None, Any]], None],
    ) -> None:
        self._timeout, self._on_ready = timeout, on_ready
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, work))
        self._process.start()
        theirs.close()  # else its end would not be seen: the pipe would stay open here
        self.alive, self._ready = True, False
        self.take(task)
        self.deadline = float("inf")  # its start does not count

    def take(self, task: T | None) -> bool:
        """Begin a task; False if there is none."""
        if task is None:
            return False
        self._task, self._started = task, time.monotonic()
        seconds = self._timeout(task)
        self.deadline = float("inf") if seconds is None else self._started + seconds
        with suppress(OSError):  # it has died since: that is seen when its answer is awaited
            self.connection.send(task)
        return True

    def receive(self) -> Answer[T, R] | None:
        """Return the answer that has come; None: the process says that it is ready."""
        try:
            answer: Answer[Any, Any] = self.connection.recv()
        except (EOFError, OSError):
            return self._died()
        if self._ready:
            return answer
        self._on_ready(answer)
        # The first task was sent before the process had loaded anything: its time begins now.
        self._ready, self._started = True, time.monotonic()
        seconds = self._timeout(self._task)
        self.deadline = float("inf") if seconds is None else self._started + seconds
        return None

    def give_up(self) -> Answer[T, R]:
        """Return that the task hangs, and kill the process."""
        self.kill()
        return hung(self._task, time.monotonic() - self._started)

    def _died(self) -> Answer[T, R]:
        self.kill()  # it also waits, so that there is an exit status
        code = self._process.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        if not self._ready:
            raise HpobenchError(f"a process that was to do the work ended {how} as it started")
        failure = f"its process ended {how} in the middle of it"
        return Answer(task=self._task, failure=failure, died=True)

    def kill(self) -> None:
        """End the process and all that it started."""
        self.alive = False
        if self._process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):  # it has no session of its own yet
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _inherited() -> Iterator[None]:
    """Give a process that is started inside one thread, and no Ctrl-C: that comes through us."""
    # The environment and the signal mask are what a child inherits.
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = threads or "1"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]


class _Stderr(io.RawIOBase):
    """The stderr of a process; where nobody reads it any more, what is written is lost."""

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return 2

    def write(self, content: Any) -> int:
        """Write bytes, or lose them."""
        with suppress(OSError):
            os.write(2, content)
        return len(content)


def _chatter() -> io.TextIOWrapper:
    """Return where libraries may print to."""
    buffer = io.BufferedWriter(_Stderr())
    return io.TextIOWrapper(buffer, encoding="utf-8", errors="replace", line_buffering=True)


def _serve(connection: Connection, work: _Work[T, R]) -> None:
    """Answer one task after another: the process's own side."""
    os.setsid()  # a session of its own: it is killed together with all that it started
    os.dup2(2, 1)  # what a library prints is no data
    sys.stdout = sys.stderr = _chatter()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent was killed: nobody waits for an answer
        connection.send(attempt(lambda _: work.prepare(), None))
        while True:
            connection.send(attempt(work.handle, connection.recv()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)
