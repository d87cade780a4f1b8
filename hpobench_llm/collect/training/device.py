"""Where models lie: on the CPU or a GPU."""

import torch

from hpobench_llm.errors import HpobenchError


def choose_device(name: str) -> torch.device:
    """Return the device called `auto`, `cpu` or `cuda`.

    Raises:
        HpobenchError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise HpobenchError(
            "--device cuda: no GPU can be used here; --device cpu trains on the CPU"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
