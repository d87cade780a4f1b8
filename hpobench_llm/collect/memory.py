"""Peak memory of one run: resident set on Linux, allocated bytes on a GPU."""

from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak since its construction, above nothing: the whole process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        # Resets the high-water mark (man 5 proc); without the right to, it is the process's own.
        with suppress(OSError):
            _CLEAR.write_text("5")

    def bytes(self) -> int | None:
        """Return the peak in bytes, None where the system does not tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        try:
            for line in _STATUS.read_text(encoding="utf-8").splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        except OSError:
            return None
        return None
