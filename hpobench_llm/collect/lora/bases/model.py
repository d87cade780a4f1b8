"""Load a frozen base from safetensors and put LoRA adapters on it with peft."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.lora.bases.packaged import load_packaged
from hpobench_llm.collect.lora.bases.sums import check_sums
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.recipe import Base, Recipe
from hpobench_llm.collect.lora.targets import ALL_LINEAR, expanded
from hpobench_llm.collect.lora.weights import checked_weights
from hpobench_llm.errors import DataError, HpobenchError, SpecError
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path


def load_base(
    campaign: Recipe, file: Path, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Json]]:
    """Return the base on `device`, its tokenizer, and its source with sums.

    Raises:
        SpecError: the folder or the hub id cannot be loaded, its files are not what `base.json`
            says of them, or do not fit together.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    base = campaign.base
    if base.package:
        target = f"{base.file} of {base.package}"
        with _refused(target, file):
            model, tokenizer, source = load_packaged(base, file)
            _try_out(model, tokenizer)
        return model.to(device, getattr(torch, base.precision)), tokenizer, source
    if base.path:
        folder = resolve_path(base.path, file=file, key="base.path")
        weights = checked_weights(folder, file)
        sums = {p.name: sha256_of_file(p) for p in [*weights, *sorted(folder.glob("*.json"))]}
        source = {"folder": folder.name, "sha256": sums}
        check_sums(folder, sums, file)
        target = str(folder)
        # Whatever the base's files ask for, no code of theirs is run.
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    else:
        source = {"hub": base.hub, "revision": base.revision}
        target = base.hub
        options = {"revision": base.revision, "trust_remote_code": False}
    with _refused(target, file):
        tokenizer = AutoTokenizer.from_pretrained(target, **options)
        model, report = AutoModelForCausalLM.from_pretrained(
            target,
            dtype=getattr(torch, base.precision),
            use_safetensors=True,  # pickled weights would be programs
            output_loading_info=True,
            **options,
        )
        lacking = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        if lacking:  # transformers would draw them at random
            raise DataError(
                f"its weights do not fit its config.json: {len(lacking)}, as {lacking[0]}"
            )
        _try_out(model, tokenizer)
    return model.to(device), tokenizer, source


@contextmanager
def _refused(target: str, file: Path) -> Iterator[None]:
    """Turn whatever a broken base raises into one error that names it.

    Raises:
        SpecError: something was raised inside.
    """
    try:
        yield
    except SpecError:
        raise
    except HpobenchError as error:
        raise SpecError(file, "base", f"{target}: {error}") from None
    except Exception as error:  # configs and tokenizers of strangers break in every way there is
        reason = " ".join(str(error).split())[:300]
        problem = f"{target} cannot be loaded: {type(error).__name__}: {reason}"
        raise SpecError(file, "base", problem) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what tokenizers' Rust raises
            raise
        raise SpecError(file, "base", f"{target}: its tokenizer is broken: {error}") from None


def _try_out(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Freeze the base and ask it once, so that what does not fit together is noticed here.

    Raises:
        DataError: the tokenizer has no end token, or tokens no embedding.
    """
    model.requires_grad_(False)
    model.eval()
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer has no end-of-sequence token")
    rows = model.get_input_embeddings().weight.shape[0]
    ids = [*tokenizer("A word.", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ids += [i for i in (tokenizer.bos_token_id, tokenizer.pad_token_id) if i is not None]
    if not 0 <= min(ids) <= max(ids) < rows:
        raise DataError(f"the tokenizer gives token {max(ids)}, the model knows {rows} tokens")
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]), use_cache=False)


def is_here(base: Base) -> bool:
    """Whether a base lies on this machine: in a folder, or in the hub's cache."""
    if not base.hub:
        return True
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(base.hub, "config.json", revision=base.revision)
    return isinstance(cached, str)


def context_tokens(base: PreTrainedModel, file: Path) -> int:
    """Return how many tokens a base takes at once.

    Raises:
        SpecError: its config does not say.
    """
    limit = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int):
        raise SpecError(file, "base", "its config.json gives no max_position_embeddings")
    return limit


def _in_last_layers(
    base: PreTrainedModel, hyperparameters: Hyperparameters, names: list[str]
) -> list[str]:
    """Return the full names of the modules that `names` mean, in the layers to be adapted."""
    layers = hyperparameters.layers(base.config.get_text_config().num_hidden_layers)
    head = base.get_output_embeddings()
    linear = [
        name
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    _check_targets(names, linear)
    if names != [ALL_LINEAR]:
        linear = [name for name in linear if any(name.endswith(f".{end}") for end in names)]
    return [name for name in linear if _layer_of(name) in layers]


def _layer_of(name: str) -> int:
    """Return the number of the layer that a module belongs to: the first in its name, else -1."""
    numbers = [int(part) for part in name.split(".") if part.isdecimal()]
    return numbers[0] if numbers else -1


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
    torch.manual_seed(seed)  # peft draws A from the global generator
    targets = expanded(hyperparameters.targets, base.config.get_text_config().model_type)
    if hyperparameters.layer_fraction < 1:
        targets = _in_last_layers(base, hyperparameters, targets)
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha_ratio * hyperparameters.rank,
        lora_dropout=hyperparameters.dropout,
        use_rslora=hyperparameters.scaling == "rslora",
        target_modules=ALL_LINEAR if targets == [ALL_LINEAR] else targets,
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():  # peft reads an attribute that transformers has renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # it sees GPT-2's Conv1D by itself
            try:
                model: Any = get_peft_model(base, config)
            except ValueError as error:
                reason = str(error).splitlines()[0]
                raise _wrong_targets(f"{hyperparameters.targets!r}: {reason}") from None
        _check_targets(targets, model.base_model.targeted_module_names)
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
        _unwrap(base)


def _check_targets(targets: Sequence[str], adapted_names: Sequence[str]) -> None:
    """Check that each name adapts a module: peft is content if one of them does."""
    for end in targets:
        if end != ALL_LINEAR and not any(
            name == end or name.endswith(f".{end}") for name in adapted_names
        ):
            raise _wrong_targets(f"{end!r} names no module of the base")


def _wrong_targets(problem: str) -> SpecError:
    return SpecError("campaign", "defaults.target_modules", problem)


def _unwrap(base: PreTrainedModel) -> None:
    """Put the base's own modules back, also where memory ran out while it was being wrapped."""
    # By hand: peft's own `unload` needs a model that was wrapped to the end.
    for name, module in list(base.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, child = name.rpartition(".")
            setattr(base.get_submodule(parent), child, module.get_base_layer())
    if hasattr(base, "peft_config"):
        del base.peft_config


def target_names(base: PreTrainedModel, hyperparameters: Hyperparameters) -> list[str]:
    """Return the names of the modules that peft would adapt, in its order.

    Raises:
        SpecError: a target module does not exist in this base.
    """
    with adapted(base, replace(hyperparameters, rank=1), 0) as (model, _):  # any rank tells them
        names: list[str] = list(model.base_model.targeted_module_names)  # type: ignore[union-attr, arg-type]
    return names


def parameters_per_rank(base: PreTrainedModel, hyperparameters: Hyperparameters) -> int:
    """Return how many parameters a run trains for each 1 of its rank: A and B of all targets.

    Raises:
        SpecError: a target module does not exist in this base.
    """
    names = target_names(base, hyperparameters)
    return sum(sum(features(base.get_submodule(name))) for name in names)


def features(module: nn.Module) -> tuple[int, int]:
    """Return how many inputs and outputs a linear layer or Conv1D has."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    inputs, outputs = module.weight.shape  # type: ignore[misc]
    return int(inputs), int(outputs)
