"""What this machine has: a GPU or none, and how much memory is free. Needs no torch."""

import subprocess
from contextlib import suppress
from pathlib import Path


def runs_on_gpu(device: str) -> bool:
    """Say whether `auto`, `cpu` or `cuda` means a GPU on this machine; `cuda` always does."""
    return device == "cuda" or (device == "auto" and free_on_gpu() > 0)


def free_on_gpu() -> int:
    """Return the free bytes of the emptiest GPU, 0 without one; needs no torch."""
    # The driver's own tool is asked: whoever plans a collection may have no torch.
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        query = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return max(int(line) for line in query.stdout.split()) << 20  # it answers in MiB
    return 0


def free_on_cpu() -> int:
    """Return the bytes that a new process can have without swapping (Linux), else 4 GiB."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10  # it is given in KiB
    return 4 << 30
