"""How many runs a pack holds: as many as speed up a step and fit the memory that is free."""

import math
import subprocess
from contextlib import suppress
from pathlib import Path

from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.costs.estimate import base_shape
from hpobench_llm.collect.costs.formulas import memory_bytes

# Above so many tokens a step, all runs together, a larger pack gains nothing (benchmarks/README.md
# for the CPU; for a GPU an estimate: enough rows for all its processors).
USEFUL_TOKENS = {"cpu": 2048, "cuda": 65536}
LARGEST = {"cpu": 16, "cuda": 64}
USABLE = {"cpu": 0.5, "cuda": 0.85}  # of what is free; the rest is for what the formulas leave out


def pack_size(campaign: Campaign, file: Path, device: str, workers: int) -> int:
    """Return a power of two: how many runs of a campaign to train together on this machine.

    `device` is `auto`, `cpu` or `cuda`; `workers` processes share the machine. The memory of a
    run is estimated by `formulas.memory_bytes`; without the base's shape a pack holds one run.

    Raises:
        SpecError: the base's folder cannot be read.
    """
    shape = base_shape(campaign, file)
    if shape is None:
        return 1
    on_gpu = 0 if device == "cpu" else _free_on_gpu()
    kind = "cuda" if on_gpu else "cpu"
    free = USABLE[kind] * (on_gpu or _free_on_cpu()) / workers
    tokens = campaign.step_rows * campaign.data.max_tokens
    hypers = [campaign.hyperparameters(run.config) for run in campaign.runs()]
    adapter = max(shape.adapter_parameters(h.rank, h.targets) for h in hypers)
    size: int = 2 ** max(0, round(math.log2(USEFUL_TOKENS[kind] / tokens)))
    size = min(size, LARGEST[kind])
    while size > 1 and free < memory_bytes(
        shape, adapter, tokens, precision=campaign.base.precision, pack_size=size
    ):
        size //= 2
    return size


def runs_on_gpu(device: str) -> bool:
    """Say whether `auto`, `cpu` or `cuda` means a GPU on this machine; `cuda` always does."""
    return device == "cuda" or (device == "auto" and _free_on_gpu() > 0)


def _free_on_gpu() -> int:
    """Return the free bytes of the emptiest GPU, 0 without one; needs no torch."""
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return max(int(line) for line in said.stdout.split()) << 20
    return 0


def _free_on_cpu() -> int:
    """Return the bytes that a new process can have without swapping (Linux), else 4 GiB."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 4 << 30
