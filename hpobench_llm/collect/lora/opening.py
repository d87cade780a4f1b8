"""Make a campaign of fine-tunes ready on a device."""

from pathlib import Path

import torch

from hpobench_llm.collect.lora.bases.model import target_names
from hpobench_llm.collect.lora.engines.workbench import R, Workbench, prepare
from hpobench_llm.collect.lora.sealable import check_sealable
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.training.device import choose_device
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import HpobenchError


def load_workbench(campaign: R, file: Path, device_name: str, trust: Trust) -> Workbench[R]:
    """Load base, data and scores of any campaign that has them onto the device.

    Raises:
        SpecError, DataError: they cannot be used.
        HpobenchError: the memory does not suffice.
    """
    device = choose_device(device_name)
    if device.type == "cpu":
        torch.set_num_threads(1)  # one process a core is faster than threads at this size
    try:
        return prepare(campaign, file, device, trust=trust)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise HpobenchError(
            f"{file}: the memory ({device.type}) does not suffice for the base and its evaluation"
        ) from None


def open_bench(
    campaign: LoraCampaign, file: Path, device_name: str, trust: Trust = NONE
) -> Workbench[LoraCampaign]:
    """Load a campaign's base, data and scores onto the device of this process.

    Raises:
        SpecError, DataError: the campaign's base, data or scores cannot be used, or its runs could
            never be sealed.
        HpobenchError: the memory does not suffice for the base and its evaluation.
    """
    bench = load_workbench(campaign, file, device_name, trust)
    check_sealable(campaign, file, bench.untrained)
    hypers = [campaign.hyperparameters(run.config) for run in campaign.runs()]
    for hyper in {hyper.targets: hyper for hyper in hypers}.values():
        target_names(bench.base, hyper)  # each must name modules of this base
    return bench
