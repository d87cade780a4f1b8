"""What both command lines share: one clear line for an error, its exit status, no traceback."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from hpobench_llm.errors import HpobenchError

INTERRUPTED = 130
FAILED = 2


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run a command and turn what can go wrong into a line on stderr and an exit status."""
    with _whoever_listens():
        try:
            status = command()
            sys.stdout.flush()
            return status
        except HpobenchError as error:
            _complain(program, str(error))
            return error.exit_status
        except KeyboardInterrupt:
            print(f"{program}: stopped; what was finished is kept", file=sys.stderr)
            return INTERRUPTED
        except OSError as error:
            place = error.filename2 or error.filename
            named = isinstance(place, str | bytes)
            _complain(program, f"{os.fsdecode(place)}: {error.strerror}" if named else str(error))
            return FAILED


def _complain(program: str, problem: str) -> None:
    """Print one line, whatever a name that it quotes holds: no second line, nothing that acts."""
    printable = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in problem)
    print(f"{program}: error: {''.join(printable)}", file=sys.stderr)


@contextmanager
def _whoever_listens() -> Iterator[None]:
    """Let the work go on when the reader of stdout has gone (`| head`), or of stderr.

    What is written from then on is lost, and nothing else: the exit status still says what
    became of the work.
    """
    out, err = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _Stream(out, BrokenPipeError))
    sys.stderr = cast("TextIO", _Stream(err, OSError))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class _Stream:
    """A stream that turns into a sink at its first error, which is raised unless forgiven."""

    def __init__(self, stream: TextIO | None, forgiven: type[OSError]) -> None:
        # Python has no stream where the descriptor was closed (`2>&-`).
        self._stream = stream or Path(os.devnull).open("w")  # noqa: SIM115 - to the end
        self._forgiven = forgiven

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, self._stream.fileno())
        os.close(sink)
        if not isinstance(error, self._forgiven):
            raise OSError(error.errno, error.strerror, self._stream.name) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
