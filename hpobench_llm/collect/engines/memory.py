"""Peak memory of training: resident set above the start on Linux, allocated bytes on a GPU."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak of the stretches between `start` and `stop`.

    On a CPU, what the process held when the run began (libraries, base, data) is taken off, and
    memory that was freed before is given back first, so that one run does not hide another.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak: int | None = None
        self._device = device
        gc.collect()
        with suppress(OSError, AttributeError):
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
            found = int(torch.cuda.max_memory_allocated(self._device))
        else:
            now = _kilobytes("VmHWM")
            if now is None or self._before is None:
                return
            found = max(0, now - self._before) * 1024
        self.peak = max(found, self.peak or 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory did not suffice, on a GPU or on the CPU."""
    text = "allocate memory" in str(error)  # torch's CPU allocator raises a plain RuntimeError
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or text


def _kilobytes(name: str) -> int | None:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return None
