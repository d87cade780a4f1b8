"""What both command lines share: one clear line for an error, its exit status, no traceback."""

import os
import sys
from collections.abc import Callable

from hpobench_llm.errors import HpobenchError

INTERRUPTED = 130


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run a command and turn what can go wrong into a line on stderr and an exit status."""
    try:
        return command()
    except HpobenchError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"{program}: stopped; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 1
