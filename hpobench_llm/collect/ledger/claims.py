"""Claims: who trains what, among the collectors that share a folder.

A claim is a POSIX record lock on one byte of `ledger/claims`. The system drops it when its
process ends, however it ends, so that nothing is ever blocked by the dead.
"""

import errno
import fcntl
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.errors import LedgerError

HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)


class Claims:
    """The claims of this process; use as a context manager.

    Runs are claimed rather than tasks: two collectors may cut a campaign into different packs.
    Claims last until the process ends, also those of finished tasks: where the listing of a shared
    folder lags behind, a neighbour then still leaves them alone. Without a lock file every task
    can be claimed once.
    """

    def __init__(self, lock_file: Path | None) -> None:
        self._path = lock_file
        self._file: BinaryIO | None = None
        self._taken: set[int] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "Claims":
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # Appending makes the file and never cuts what others have locked.
                # Closing any descriptor of this file would drop all locks of the process: this
                # is the only one.
                self._file = self._stack.enter_context(self._path.open("ab"))
            except OSError as error:
                raise LedgerError(f"{self._path}: cannot be opened: {error.strerror}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def take(self, task: Task) -> bool:
        """Claim all runs of a task; False if one is claimed already, here or elsewhere.

        Raises:
            LedgerError: the file system has no locks.
        """
        offsets = [_byte(task.kind, run.run_id) for run in task.runs]
        # The system grants a process its own lock again, so what we hold is looked up here.
        if not self._taken.isdisjoint(offsets):
            return False
        for number, offset in enumerate(offsets):
            if not self._lock(offset):
                # All or none: a part of a task is nobody's.
                for locked in offsets[:number]:
                    self._unlock(locked)
                return False
        self._taken.update(offsets)
        return True

    def _lock(self, byte: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno in HELD_ELSEWHERE:
                return False
            raise LedgerError(
                f"{self._path}: this file system has no locks ({error.strerror}); give the "
                "ledger as --ledger file://..., which uses none, and each collector its --shard"
            ) from None
        return True

    def _unlock(self, byte: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)


def _byte(kind: str, run_id: str) -> int:
    """Return the byte that stands for a run: 60 bits of a hash, nothing is ever written there."""
    return int(sha256_of_text(f"{kind} {run_id}")[:15], 16)
