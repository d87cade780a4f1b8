"""How long a forward pass of a model takes on this device."""

import time
from dataclasses import dataclass

import numpy as np
import torch

WARM_UP = 3  # passes that do not count: the first ones allocate memory and choose kernels


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall seconds of a pass: the median of the repeats, and the range of their middle half."""

    median: float
    spread: float


def latency(model: torch.nn.Module, rows: int, tokens: int, repeats: int) -> Latency:
    """Return the time of a pass over `rows` rows of `tokens` tokens, all positions' logits."""
    device = next(model.parameters()).device
    ids = torch.zeros((rows, tokens), dtype=torch.long, device=device)
    seconds = []
    with torch.no_grad():
        for _ in range(WARM_UP + repeats):
            _finish(device)  # what runs from before must not count
            started = time.perf_counter()
            model(input_ids=ids, use_cache=False)
            _finish(device)
            seconds.append(time.perf_counter() - started)
    low, middle, high = np.quantile(seconds[WARM_UP:], [0.25, 0.5, 0.75])
    return Latency(float(middle), float(high - low))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
