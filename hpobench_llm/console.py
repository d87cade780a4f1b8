"""Shared by both command lines: one clear line for an error, its exit status, no traceback.

A reader who leaves (`| head`), or a terminal that is closed, ends nothing: the work goes on, and
the exit status is that of the work.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from hpobench_llm.errors import HpobenchError

INTERRUPTED = 130
FAILED = 2


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run a command and turn its errors into a line on stderr and an exit status."""
    with lasting_streams():
        try:
            try:
                return command()
            finally:
                sys.stdout.flush()
        except HpobenchError as error:
            say(f"{program}: error: {error}")
            return error.exit_status
        except KeyboardInterrupt:
            say(f"{program}: stopped; what was finished is kept")
            return INTERRUPTED
        except OSError as error:
            say(f"{program}: error: {_reason(error)}")
            return FAILED
        except MemoryError:
            say(f"{program}: error: the memory of this machine does not suffice")
            return FAILED


def say(text: str) -> None:
    """Tell people something in one line, on stderr; a broken stderr is no error."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(one_line(text), file=sys.stderr, flush=True)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Let stdout and stderr outlive their readers."""
    _occupy()
    before = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _Lasting(_opened(sys.stdout), BrokenPipeError))
    sys.stderr = cast("TextIO", _Lasting(_opened(sys.stderr), OSError))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Let no file or pipe take the number of a standard stream that was closed (`2>&-`).

    A process that we start would take it for its stream, and write into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _opened(stream: TextIO | None) -> TextIO:
    """Return the stream, or one that leads nowhere if it was closed (`2>&-`)."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")


class _Lasting:
    """A stream that leads nowhere after its first error, which is raised unless forgiven."""

    def __init__(self, stream: TextIO, forgiven: type[OSError]) -> None:
        self._stream, self._forgiven = stream, forgiven

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError as error:  # a path may hold what the stream's encoding lacks
            escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            return self._stream.write(escaped)
        except OSError as error:
            self._broken(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._broken(error)

    def _broken(self, error: OSError) -> None:
        self._lead_nowhere()
        if not isinstance(error, self._forgiven):
            raise OSError(error.errno, error.strerror, self._stream.name) from None

    def _lead_nowhere(self) -> None:
        """Let all further writes, also a library's or at the end, be lost quietly."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _reason(error: OSError) -> str:
    """Return the file of an error, and the reason."""
    file = error.filename2 or error.filename
    if isinstance(file, str | bytes):
        return f"{os.fsdecode(file)}: {error.strerror}"
    return str(error)


def one_line(text: str) -> str:
    """Return a text on one line; control characters in a quoted name cannot act on a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
