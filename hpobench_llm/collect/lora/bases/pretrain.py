"""The pretraining loop: AdamW over rows of tokens, on a CPU or a GPU, from where it was stopped.

Nothing random is left to restore after a stop: the models have no dropout, the first weights and
the order of the rows follow from the seed. So a checkpoint holds the weights, the optimizer's two
moments and the number of steps, and a run that was killed ends with the bits of one that was not
(on the same machine with the same number of threads; GPU kernels promise less).
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.collect.lora.bases.spec import Pretraining
from hpobench_llm.collect.lora.bases.token_rows import Rows
from hpobench_llm.errors import DataError
from hpobench_llm.plain import Json

CHECKPOINT_SECONDS = 180.0
_REPORT_SECONDS = 0.5
_VALIDATION_ROWS = 32
_MOMENTS = ("exp_avg", "exp_avg_sq")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class PretrainingResult:
    """The result of pretraining: nats a token on the validation rows, seconds, and restarts."""

    val_loss: float
    wall_seconds: float
    restarts: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where the state is kept, how often, and what it must belong to (a JSON object)."""

    path: Path
    identity: Mapping[str, Json]
    seconds: float = CHECKPOINT_SECONDS


def pretrain(
    model: PreTrainedModel,
    recipe: Pretraining,
    train_rows: Rows,
    val_rows: Rows,
    *,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints,
    progress: Progress = lambda *_: None,
) -> PretrainingResult:
    """Train the model in place, from the checkpoint if there is one.

    With `precision = "bfloat16"` the matrix products run under autocast; weights, moments and
    the loss stay float32.

    Raises:
        DataError: the checkpoint is damaged or another recipe's, or the loss is not finite.
    """
    model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.peak_lr,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
        fused=True if device.type == "cuda" else None,  # None: torch's own choice on a CPU
    )
    start, before, restarts = _restore(checkpoints, model, optimizer)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")
    started = last_report = last_saved = time.monotonic()
    batches = islice(_batches(len(train_rows), recipe.batch_rows, seed), start, recipe.steps)
    for step, indices in enumerate(batches, start=start):
        for group in optimizer.param_groups:
            group["lr"] = recipe.peak_lr * _rate(step, recipe)
        with autocast:
            loss = _loss(model, _on(device, train_rows[indices]))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        now, last = time.monotonic(), step + 1 == recipe.steps
        if now - last_report > _REPORT_SECONDS or last:  # reading a loss makes a GPU wait
            last_report = now
            progress(step + 1, recipe.steps, f"loss {_finite(loss.item(), step, recipe):.3f}")
        if now - last_saved >= checkpoints.seconds and not last:
            _finite(loss.item(), step, recipe)  # a broken state must not replace a sound one
            state = {"step": step + 1, "seconds": before + now - started, "restarts": restarts}
            _save(checkpoints, model, optimizer, state)
            last_saved = time.monotonic()
    model.eval()
    with torch.no_grad():
        chunks = [
            val_rows[first : first + _VALIDATION_ROWS]
            for first in range(0, len(val_rows), _VALIDATION_ROWS)
        ]
        losses = [_loss(model, _on(device, chunk)).item() for chunk in chunks]
    val_loss = _finite(float(np.mean(losses)), recipe.steps, recipe)
    return PretrainingResult(val_loss, before + time.monotonic() - started, restarts)


def _batches(rows: int, size: int, seed: int) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Yield the indices of each step's rows: each epoch in its own order, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    order = np.empty(0, dtype=np.int64)
    while True:
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(rows)])
        yield order[:size]
        order = order[size:]


def _rate(step: int, recipe: Pretraining) -> float:
    """Return the factor on the peak rate at a step."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    # The cosine runs from 1 to a tenth.
    return warm * (0.55 + 0.45 * math.cos(math.pi * step / recipe.steps))


def _on(device: torch.device, rows: Rows) -> torch.Tensor:
    return torch.from_numpy(rows.astype(np.int64)).to(device)


def _loss(model: PreTrainedModel, batch: torch.Tensor) -> torch.Tensor:
    """Return the mean next-token cross-entropy (nats) of a `(rows, tokens)` batch."""
    logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


def _finite(loss: float, step: int, recipe: Pretraining) -> float:
    if not math.isfinite(loss):
        raise DataError(
            f"the loss is {loss} at step {step + 1} of {recipe.steps}: "
            f"training.peak_lr = {recipe.peak_lr:g} is too high for this base"
        )
    return loss


def _save(
    checkpoints: Checkpoints,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Json],
) -> None:
    """Write weights, moments and state as one safetensors file: it is whole or the old one."""
    tensors = {}
    for name, parameter in model.named_parameters():  # a tied weight is named once
        tensors[f"weight.{name}"] = parameter.detach()
        for moment in _MOMENTS:
            tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]
    metadata = {
        "identity": json.dumps(checkpoints.identity, sort_keys=True),
        "state": json.dumps(state),
    }
    write_atomically(checkpoints.path, save(tensors, metadata))


def _restore(
    checkpoints: Checkpoints, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> tuple[int, float, int]:
    """Return the steps done, their seconds and the restarts; zeros without a checkpoint."""
    if not checkpoints.path.exists():
        return 0, 0.0, 0
    try:
        with safe_open(checkpoints.path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            identity, state = json.loads(metadata["identity"]), json.loads(metadata["state"])
            if identity != checkpoints.identity:
                differing = sorted(
                    key
                    for key in {*identity, *checkpoints.identity}
                    if identity.get(key) != checkpoints.identity.get(key)
                )
                raise DataError(
                    f"{checkpoints.path}: the checkpoint of another recipe (it differs in "
                    f"{', '.join(differing)}); delete its folder to start again"
                )
            moments = {}
            for number, (name, parameter) in enumerate(model.named_parameters()):
                parameter.data.copy_(stored.get_tensor(f"weight.{name}"))
                moments[number] = {"step": torch.tensor(float(state["step"]))} | {
                    moment: stored.get_tensor(f"{moment}.{name}") for moment in _MOMENTS
                }
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{checkpoints.path}: damaged ({reason}); delete its folder to start again"
        ) from None
    # The groups stay as the recipe makes them: a checkpoint holds moments, no settings.
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    return int(state["step"]), float(state["seconds"]), int(state["restarts"]) + 1
