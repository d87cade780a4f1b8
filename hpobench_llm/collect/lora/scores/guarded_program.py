"""Run as a script by `code_execution`: limit this process, then run the program given on stdin.

Where the process is not shut in already (`jail.py`), it leaves the network and root's rights here.

It imports nothing of this package: the interpreter that runs it sees the standard library alone.
The note that the program came to its end is a word that only the caller knows, written to the
stdout of before; a program that leaves early cannot give it by accident.
"""

import ctypes
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any

NOBODY = 65534
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # flags of Linux' unshare(2)
KEEP_CAPABILITIES = 8  # of prctl(2)
CAPABILITY_VERSION, READ_ANY_FILE = 0x20080522, 1 << 2  # of capset(2); CAP_DAC_READ_SEARCH
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events (docs.python.org, "Audit events table") that no solution of a puzzle needs.
REFUSED = (
    "ctypes.",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.symlink",
    "os.system",
    "os.truncate",
    "pty.spawn",
    "shutil.",
    "signal.pthread_kill",
    "socket.",
    "subprocess.",
)


def main() -> None:
    """Read the order, shut the doors, run the program, give the word."""
    order = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if not order["isolated"]:
        leave_network()
        drop_privileges()
    for name, value in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    sys.addaudithook(refuse)
    exec(compile(order["program"], "<generated>", "exec"), {"__name__": "generated"})
    os.write(answer, order["word"].encode())
    os._exit(0)  # what the program left for the end of the process is not run


def leave_network() -> None:
    """Move into a network without interfaces, where the system allows it."""
    with suppress(OSError, AttributeError):  # no Linux: the audit hook still refuses sockets
        libc = ctypes.CDLL(None)
        libc.unshare(NEW_NETWORK if os.getuid() == 0 else NEW_USER | NEW_NETWORK)


def drop_privileges() -> None:
    """Become `nobody` when run as root, for whom limits of processes and files do not hold.

    The right to read files is kept where that can be had: an interpreter in root's own home could
    import nothing otherwise.
    """
    if os.getuid() != 0:
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        words = ctypes.c_uint32 * 6  # effective, permitted, inheritable; the low words first
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        libc.capset(header, words(READ_ANY_FILE, READ_ANY_FILE, 0, 0, 0, 0))


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what starts processes, opens sockets or changes files."""
    if event.startswith(REFUSED) or (event == "open" and _writes(arguments)):
        raise PermissionError(f"generated code may not do this: {event}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & WRITING)


if __name__ == "__main__":
    main()
