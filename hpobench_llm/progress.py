"""Progress for people: a bar on a terminal, one line a minute elsewhere, always on stderr."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts to `total`; use as a context manager."""

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label, self.done = total, label, 0
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=label, file=sys.stderr, leave=True)
            if sys.stderr.isatty()
            else None
        )

    def advance_to(self, done: int, text: str = "", total: int | None = None) -> None:
        """Show that `done` of `total` are finished, with a short text; `total` may change."""
        step, self.done = done - self.done, done
        self.total = total or self.total
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(text)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._started
        ending = f", {text}" if text else ""
        print(
            f"{self.label}: {self.done}/{self.total}, {elapsed:.0f} s{ending}",
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._line("done" if kind is None else "stopped")
