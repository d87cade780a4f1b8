"""What a run has learned, in PEFT's format: `PeftModel.from_pretrained(base, folder)` loads it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters

PREFIX = "base_model.model."
Adapter = Mapping[str, torch.Tensor]
"""A is `(rank, inputs)`, B is `(outputs, rank)`, by PEFT's names."""
OnAdapter = Callable[[Run, Adapter], None]


def named(module: str, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return A and B of one module by PEFT's names."""
    stem = f"{PREFIX}{module}"
    return {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}


def copied(adapter: Adapter) -> Adapter:
    """Return an adapter that no further training changes."""
    return {name: value.detach().cpu().clone() for name, value in adapter.items()}


def write_adapter(
    folder: Path, base: PreTrainedModel, hyper: Hyperparameters, adapter: Adapter
) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`.

    Raises:
        OSError: they cannot be written.
    """
    # A dictionary for its order: each module once, as in the base.
    modules = {name.removeprefix(PREFIX).partition(".lora_")[0]: None for name in adapter}
    targets = [*modules]  # whole names: these modules and no others
    config = LoraConfig(
        r=hyper.rank,
        lora_alpha=hyper.alpha_ratio * hyper.rank,
        lora_dropout=hyper.dropout,
        use_rslora=hyper.scaling == "rslora",
        target_modules=targets,
        fan_in_fan_out=isinstance(base.get_submodule(targets[0]), Conv1D),
        task_type="CAUSAL_LM",
        inference_mode=True,
        base_model_name_or_path=base.config.name_or_path,
    )
    weights = save(dict(adapter), {"format": "pt"})
    write_atomically(folder / "adapter_model.safetensors", weights)
    config.save_pretrained(str(folder))
