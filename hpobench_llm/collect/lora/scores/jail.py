"""Run as a script by `code_execution`: shut this process in, then run the script it is given.

Linux alone (5.12 or later). The new root is an empty file system with Python's standard library
and the shared libraries in it, all read-only; nothing else of the machine can be seen, and nothing
can be written. An ordinary user gets the right to make one with a user namespace; root makes it
and becomes `nobody` afterwards. Three processes: this one waits outside; its child is number 1 of
the new world and ends it when the grandchild, which runs the program, has ended.

It imports nothing of this package: the interpreter that runs it sees the standard library alone.
"""

import ctypes
import os
import signal
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

NOBODY = 65534
# unshare(2): files, host name, IPC, users, processes, network, control groups.
MOUNTS, HOST_NAME, IPC, USERS = 0x20000, 0x4000000, 0x8000000, 0x10000000
PROCESSES, NETWORK, GROUPS = 0x20000000, 0x40000000, 0x2000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)
MOUNT_SETATTR, AT_RECURSIVE = 442, 0x8000  # mount_setattr(2)
READ_ONLY, NO_SETUID, NO_DEVICES = 0x1, 0x2, 0x4
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
DETACH = 2  # umount2(2)
DIE_WITH_PARENT, DUMPABLE, NO_NEW_PRIVILEGES = 1, 4, 38  # prctl(2)
CAPABILITY_VERSION = 0x20080522  # capset(2)
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Shut this process in and run the script that the first argument names."""
    script = Path(sys.argv[1]).read_text(encoding="utf-8")
    leave()
    if os.fork():  # this process itself stays outside of the new world of processes
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]) != 0)
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    build_root(Path.cwd())
    drop_rights()
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]) != 0)
    exec(compile(script, "<guard>", "exec"), {"__name__": "__main__"})


def leave() -> None:
    """Leave the machine's users (if we are none of its masters), processes, network and files."""
    user, group = os.getuid(), os.getgid()
    flags = MOUNTS | HOST_NAME | IPC | PROCESSES | NETWORK | GROUPS
    done(libc.unshare(flags if user == 0 else flags | USERS))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1", encoding="ascii")
        with suppress(OSError):  # of our own users: none of them may begin another such world
            Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    done(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))


def build_root(root: Path) -> None:
    """Mount an empty file system at `root`, show the standard library in it, and enter it."""
    done(libc.mount(b"none", bytes(root), b"tmpfs", NO_SETUID | NO_DEVICES, b"mode=755"))
    python = [sys.base_prefix + "/lib", sysconfig.get_path("stdlib"), *sys.path]
    for source in dict.fromkeys([*python, *LIBRARIES, os.devnull, "/dev/urandom"]):
        show(Path(source), root)
    (root / "old").mkdir()
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY | NO_SETUID, 0, 0, 0)
    done(libc.syscall(MOUNT_SETATTR, -100, bytes(root), AT_RECURSIVE, attributes, 32))
    os.chdir(root)
    done(libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"old"))
    os.chdir("/")
    done(libc.umount2(b"/old", DETACH))


def show(source: Path, root: Path) -> None:
    """Let a file or folder of the machine be seen below `root`, at the same path."""
    target = root / source.relative_to("/")
    if not source.exists() or target.exists():  # it may lie in a folder that is shown already
        return
    if source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.readlink())
        show(source.resolve(), root)
        return
    if source.is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    done(libc.mount(bytes(source), bytes(target), None, BIND | RECURSIVE, None))


def drop_rights() -> None:
    """Become nobody, without capabilities and without a way to any."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    done(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    done(libc.capset(header, none))
    done(libc.prctl(DUMPABLE, 0, 0, 0, 0))
    done(libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0))


def done(status: int) -> None:
    """Raise what the system said if a call has failed."""
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
