"""Pretrain a small base model from text (`hpobench-llm make-base`).

A base is a folder that transformers can load: `model.safetensors` (bf16), `config.json`, a
byte-level BPE tokenizer trained on the same text, and `base.json` with the recipe, the sums of
the text, the sums of the files and the validation loss.
"""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers.utils import logging

from hpobench_llm.artefacts import (
    canonical_json,
    sha256_of_bytes,
    sha256_of_file,
    sha256_of_text,
    write_json,
)
from hpobench_llm.collect.lora.bases.architecture import untrained
from hpobench_llm.collect.lora.bases.pretrain import (
    CHECKPOINT_SECONDS,
    Checkpoints,
    PretrainingResult,
    Progress,
    pretrain,
)
from hpobench_llm.collect.lora.bases.spec import BaseSpec
from hpobench_llm.collect.lora.bases.token_rows import token_rows, train_tokenizer
from hpobench_llm.collect.training.corpus import read_corpora
from hpobench_llm.collect.training.device import choose_device
from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.plain import Json
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.spec import read_spec

CHECKPOINT = "checkpoint.safetensors"


def make_base(
    spec_path: Path,
    out: Path,
    *,
    device: str = "auto",
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress = lambda *_: None,
) -> Path:
    """Pretrain the base of a spec and write it to the folder `out`; returns `out`.

    `device` is `auto`, `cpu` or `cuda`. Every `checkpoint_seconds` the state goes to the folder
    `<out>.partial`; called again after a stop, the pretraining continues from there. `out` is
    made at the end, at once. `progress(step, steps, text)` is called a few times a second at most.

    Raises:
        SpecError: the spec breaks a rule or names a file that is not there.
        DataError: the text is not what its sum says, or too short for one row; a checkpoint is
            damaged or another recipe's; the loss is not finite.
    """
    spec = read_spec(spec_path, BaseSpec)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(spec_path, "", f"{out} exists and is not empty; give another --out")
    partial = out.with_name(f"{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)  # a place that cannot be written fails now
    torch_device = choose_device(device)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    shape, recipe = spec.architecture, spec.training
    paragraphs, sources = read_corpora(spec.corpus, spec_path, spec.seed)
    tokenizer = train_tokenizer(
        paragraphs, vocabulary=shape.vocabulary, context_tokens=shape.context_tokens
    )
    rows = token_rows(paragraphs, tokenizer, length=recipe.row_tokens, tokens=recipe.tokens)
    # Paragraphs come in a drawn order, so the last rows are like the others.
    held_out = max(1, len(rows) // 100)
    train_rows, val_rows = rows[:-held_out], rows[-held_out:]
    if not len(train_rows):
        raise DataError(
            f"{spec_path}: the text gives {len(rows)} rows of {recipe.row_tokens} tokens; "
            "at least 2 are needed"
        )
    model = untrained(shape, spec.seed)
    outcome = pretrain(
        model,
        recipe,
        train_rows,
        val_rows,
        seed=spec.seed,
        device=torch_device,
        checkpoints=Checkpoints(
            partial / CHECKPOINT,
            {
                "recipe": _sum_of_recipe(spec),
                "text": sha256_of_bytes(rows.tobytes()),
                "device": torch_device.type,
                "torch": torch.__version__,
            },
            checkpoint_seconds,
        ),
        progress=progress,
    )
    folder = partial / "base"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while it wrote
    folder.mkdir(parents=True)
    model.to("cpu", torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "base.json", _record(spec, sources, outcome, folder, model, torch_device))
    folder.replace(out)  # whole or absent
    shutil.rmtree(partial)
    return out


def _sum_of_recipe(spec: BaseSpec) -> str:
    """Return the SHA-256 of what the weights follow from; the paths of the text are left out."""
    recipe = dataclasses.asdict(spec)
    del recipe["name"], recipe["corpus"]
    return sha256_of_text(canonical_json(recipe))


def _record(
    spec: BaseSpec,
    sources: list[dict[str, Json]],
    outcome: PretrainingResult,
    folder: Path,
    model: torch.nn.Module,
    device: torch.device,
) -> Mapping[str, object]:
    """Return what `base.json` says of the files in `folder`."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {
        "format": 1,
        "recipe": dataclasses.asdict(spec),
        "sources": sources,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens_seen": spec.training.tokens,
        "val_loss_nats_per_token": outcome.val_loss,
        "pretraining_wall_seconds": round(outcome.wall_seconds, 1),
        "restarts": outcome.restarts,
        "sha256": {path.name: sha256_of_file(path) for path in files},
        "code": git_revision(),
        "versions": versions("torch", "transformers", "tokenizers", "numpy"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
    }
