"""Load a frozen base from safetensors and put LoRA adapters on it with peft."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.bases.packaged import load_packaged
from hpobench_llm.collect.campaign.hyperparameters import Hyperparameters
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.campaign.weights import checked_weights
from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.spec import resolve_path


def load_base(
    campaign: Campaign, file: Path, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """Return the base on `device`, its tokenizer, and where it came from with sums.

    Raises:
        SpecError: the folder or the hub id cannot be loaded.
        DataError: the tokenizer has no end token.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if campaign.base.package:
        model, tokenizer, where = load_packaged(campaign.base, file)
        return _frozen(model, tokenizer, campaign, device), tokenizer, where
    if campaign.base.path:
        folder = resolve_path(campaign.base.path, file=file, key="base.path")
        weights = checked_weights(folder, file)
        where = {
            "folder": folder.name,
            "sha256": {
                p.name: sha256_of_file(p) for p in [*weights, *sorted(folder.glob("*.json"))]
            },
        }
        target = str(folder)
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    else:
        where = {"hub": campaign.base.hub, "revision": campaign.base.revision}
        target = campaign.base.hub
        options = {"revision": campaign.base.revision, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(target, **options)
        model = AutoModelForCausalLM.from_pretrained(
            target,
            dtype=getattr(torch, campaign.base.precision),
            use_safetensors=True,
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError(file, "base", f"{target} cannot be loaded: {reason}") from None
    return _frozen(model, tokenizer, campaign, device), tokenizer, where


def _frozen(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    campaign: Campaign,
    device: torch.device,
) -> PreTrainedModel:
    if tokenizer.eos_token_id is None:
        base = campaign.base
        raise DataError(
            f"{base.path or base.hub or base.package}: the tokenizer has no end-of-sequence token"
        )
    model.requires_grad_(False)
    model.eval()
    frozen: PreTrainedModel = model.to(device, getattr(torch, campaign.base.precision))
    return frozen


def context_tokens(base: PreTrainedModel, file: Path) -> int:
    """Return how many tokens a base takes at once.

    Raises:
        SpecError: its config does not say.
    """
    limit = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int):
        raise SpecError(file, "base", "its config.json gives no max_position_embeddings")
    return limit


def _layers(base: PreTrainedModel, hyperparameters: Hyperparameters) -> list[int] | None:
    """Return which layers carry adapters, None where all do."""
    if hyperparameters.layer_fraction == 1:
        return None
    return list(hyperparameters.layers(base.config.get_text_config().num_hidden_layers))


@contextmanager
def adapted(
    base: PreTrainedModel, hyperparameters: Hyperparameters, seed: int
) -> Iterator[tuple[torch.nn.Module, list[torch.nn.Parameter]]]:
    """Wrap the base in a fresh LoRA adapter and unwrap it again afterwards.

    Yields the model and its trainable parameters, which are LoRA's A and B alone. Initialisation
    and dropout masks follow from `seed`.

    Raises:
        SpecError: a target module does not exist in this base.
    """
    torch.manual_seed(seed)
    targets = hyperparameters.target_modules
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha_ratio * hyperparameters.rank,
        lora_dropout=hyperparameters.dropout,
        use_rslora=hyperparameters.scaling == "rslora",
        target_modules=targets if targets == "all-linear" else targets.split(","),
        layers_to_transform=_layers(base, hyperparameters),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():  # peft reads an attribute that transformers has renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # it sees GPT-2's Conv1D by itself
            model: Any = get_peft_model(base, config)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise SpecError("campaign", "defaults.target_modules", f"{targets!r}: {reason}") from None
    try:
        parameters = [p for p in model.parameters() if p.requires_grad]
        stray = [
            name
            for name, p in model.named_parameters()
            if p.requires_grad and "lora_A" not in name and "lora_B" not in name
        ]
        if stray:
            raise SpecError("campaign", "base", f"more than LoRA would be trained: {stray}")
        yield model, parameters
    finally:
        model.unload()
        if hasattr(base, "peft_config"):
            del base.peft_config
