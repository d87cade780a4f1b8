"""Progress for people: a bar on a terminal, one line a minute elsewhere, always on stderr.

It may fail (a closed terminal, a reader who has left): the work goes on without it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from tqdm import tqdm

from hpobench_llm.console import say

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts to `total` from what was done `before`; use as a context manager."""

    def __init__(self, total: int, label: str, before: int = 0) -> None:
        self.total, self.label, self.done = total, label, before
        self._started = self._last_line = time.monotonic()
        self._bar: Any = None
        with self._giving_up():
            if sys.stderr is not None and sys.stderr.isatty():
                self._bar = tqdm(
                    total=total, initial=before, desc=label, file=sys.stderr, leave=True
                )

    def advance_to(self, done: int, text: str = "", total: int | None = None) -> None:
        """Show that `done` of `total` are finished, with a short text; `total` may change."""
        step, self.done = done - self.done, done
        self.total = total or self.total
        if self._bar is not None:
            with self._giving_up():
                self._bar.total = self.total
                self._bar.set_postfix_str(text, refresh=False)
                self._bar.update(step)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(text)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._started
        ending = f", {text}" if text else ""
        say(f"{self.label}: {self.done}/{self.total}, {elapsed:.0f} s{ending}")

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Do without a bar from the first error on."""
        try:
            yield
        except OSError:
            if self._bar is not None:
                self._bar.disable = True
                self._bar = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            with self._giving_up():
                self._bar.close()
        else:
            self._line("done" if kind is None else "stopped")
