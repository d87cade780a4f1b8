"""Stop on SIGTERM and SIGINT so that what is finished is kept and the caller is told."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

# EX_TEMPFAIL: start it again later; 130: what shells give for Ctrl-C.
EXIT_STATUS = {signal.SIGTERM: os.EX_TEMPFAIL, signal.SIGINT: 130}


class Interrupted(BaseException):
    """The process was asked to stop. Not an Exception: nothing may take it for a failure."""

    def __init__(self, number: signal.Signals) -> None:
        self.number, self.exit_status = number, EXIT_STATUS[number]
        super().__init__(number.name)


class StopSignals:
    """Turns SIGTERM and SIGINT into `Interrupted`: at once, or inside `deferred` at `check`.

    Use as a context manager. In another thread than the main one no signal comes, and none is
    waited for.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        self._before = self.arm()
        return self

    def arm(self) -> dict[signal.Signals, Any]:
        """Put our handlers in place, also where a library has set its own since; return those."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._receive) for number in EXIT_STATUS}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        if not self._deferred:
            self.check()

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let nothing inside be cut off by a signal but by `check`."""
        self.check()  # a signal that came before is not put off
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
