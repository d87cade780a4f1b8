"""How many runs a pack holds: as many as speed up a step and fit the memory that is free."""

import math
from pathlib import Path

from hpobench_llm.collect import machine
from hpobench_llm.collect.lora.costs.estimate import base_shape
from hpobench_llm.collect.lora.costs.formulas import memory_bytes
from hpobench_llm.collect.lora.spec import LoraCampaign

# Above so many tokens a step, all runs together, a larger pack gains nothing (benchmarks/README.md
# for the CPU; for a GPU an estimate: enough rows for all its processors).
USEFUL_TOKENS = {"cpu": 2048, "cuda": 65536}
LARGEST = {"cpu": 16, "cuda": 64}
USABLE = {"cpu": 0.5, "cuda": 0.85}  # of what is free; the rest is for what the formulas leave out


def pack_size(campaign: LoraCampaign, file: Path, device: str, workers: int) -> int:
    """Return a power of two: how many runs of a campaign to train together on this machine.

    `device` is `auto`, `cpu` or `cuda`; `workers` processes share the machine. The memory of a
    run is estimated by `formulas.memory_bytes`; without the base's shape a pack holds one run.

    Raises:
        SpecError: the base's folder cannot be read.
    """
    shape = base_shape(campaign, file)
    if shape is None:
        return 1
    on_gpu = 0 if device == "cpu" else machine.free_on_gpu()  # 0 also without a GPU
    kind = "cuda" if on_gpu else "cpu"
    free = USABLE[kind] * (on_gpu or machine.free_on_cpu()) / workers
    tokens = campaign.step_rows * campaign.data.max_tokens
    hypers = [campaign.hyperparameters(run.config) for run in campaign.runs()]
    adapter = max(shape.adapter_parameters(hyper) for hyper in hypers)
    size: int = 2 ** max(0, round(math.log2(USEFUL_TOKENS[kind] / tokens)))
    size = min(size, LARGEST[kind])
    while size > 1 and free < memory_bytes(
        shape, adapter, tokens, precision=campaign.base.precision, pack_size=size
    ):
        size //= 2
    return size
