"""Memory of training: its peak (resident set on Linux, allocated bytes on a GPU), and its end."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# What torch, its libraries and C++ say in a plain RuntimeError, on the CPU and on a GPU.
_EXHAUSTED = (
    "allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
)


class PeakMemory:
    """Measures the peak of the stretches between `start` and `stop`.

    On a CPU, what the process held when the run began (libraries, base, data) is subtracted, and
    memory that was freed before is given back first, so that one run does not hide another.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak: int | None = None
        self._device = device
        gc.collect()
        # The allocator keeps what was freed for later; resident, it would pass for ours.
        with suppress(OSError, AttributeError):  # no glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._before = _kilobytes("VmRSS")

    def start(self) -> None:
        """Begin a stretch: the peak is that of what follows."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with suppress(OSError):  # resets the high-water mark (man 5 proc)
            _CLEAR.write_text("5")

    def stop(self) -> None:
        """End a stretch; `peak` is the highest of all in bytes, None where it cannot be told."""
        if self._device.type == "cuda":
            peak = int(torch.cuda.max_memory_allocated(self._device))
        else:
            # The high-water mark since `start`, which has reset it.
            now = _kilobytes("VmHWM")
            if now is None or self._before is None:
                return
            peak = max(0, now - self._before) * 1024
        self.peak = max(peak, self.peak or 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory did not suffice, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _EXHAUSTED)


def _kilobytes(name: str) -> int | None:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return None
