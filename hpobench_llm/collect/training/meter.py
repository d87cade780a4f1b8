"""What training costs, measured while it goes on: seconds of computing, wall seconds, memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hpobench_llm.collect.training.memory import PeakMemory


class Meter:
    """Sums up the stretches of training; of `runs` that train together each pays its share."""

    def __init__(self, device: torch.device, runs: int = 1) -> None:
        self._device, self._runs = device, runs
        self._memory = PeakMemory(device)
        self._seconds = self._wall = 0.0

    @contextmanager
    def stretch(self) -> Iterator[None]:
        """Measure what is done inside, also where it breaks."""
        self._memory.start()
        started, wall = seconds_on(self._device), time.perf_counter()
        try:
            yield
        finally:
            self._seconds += seconds_on(self._device) - started
            self._wall += time.perf_counter() - wall
            self._memory.stop()

    def cost(self) -> dict[str, float | int | None]:
        """Return a run's `train_seconds`, `train_wall_seconds` and `peak_memory_bytes` so far."""
        peak = self._memory.peak
        return {
            "train_seconds": self._seconds / self._runs,
            "train_wall_seconds": self._wall / self._runs,
            "peak_memory_bytes": None if peak is None else peak // self._runs,
        }


def seconds_on(device: torch.device) -> float:
    """Return a clock of computing: CPU seconds of this process on a CPU, wall seconds on a GPU.

    On a CPU the wall clock would count the other programs of the machine as a run's cost.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # kernels run on after the calls that launch them
        return time.perf_counter()
    return time.process_time()
