"""Losses in nats per label token, of a model in memory on rows of tokens."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from hpobench_llm.collect.lora.data.batches import collate
from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens
from hpobench_llm.collect.lora.scores.prefix import cache_for, keys_and_values

EVALUATION_TOKENS = 4096  # per forward pass; more does not run faster on a CPU

Batch = dict[str, torch.Tensor]


def label_logits(
    model: torch.nn.Module, batch: Batch, cache: DynamicCache | None = None
) -> tuple[torch.Tensor, ...]:
    """Return `(labels, vocabulary)` logits, the `(labels,)` right tokens, and the row of each.

    `cache` holds what comes before the batch, see `prefix`.

    Only positions that the loss sees go through the model's head: with a small base the logits of
    the prompt would cost more than the layers below. What the model does after its head (a scale,
    a soft cap) still happens, since only the head's input is cut.
    """
    # The logits at a position predict the next token.
    labels = batch["labels"][:, 1:]
    is_label = labels != IGNORED
    positions = is_label.nonzero()

    def cut(_: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][positions[:, 0], positions[:, 1]], *inputs[1:])

    head = model.get_output_embeddings()  # type: ignore[operator]
    hook = head.register_forward_pre_hook(cut)
    try:
        logits = model(
            input_ids=batch["input_ids"], past_key_values=cache, use_cache=cache is not None
        ).logits
    finally:
        hook.remove()
    return logits.float(), labels[is_label], positions[:, 0]


def label_losses(
    model: torch.nn.Module, batch: Batch, cache: DynamicCache | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `(labels,)` cross-entropies in nats and the row of each."""
    logits, labels, rows = label_logits(model, batch, cache)
    return cross_entropy(logits, labels, reduction="none"), rows


def row_losses(model: torch.nn.Module, rows: Sequence[Tokens], pad: int) -> torch.Tensor:
    """Return `(rows,)` summed losses in nats, float64 on the CPU."""
    device = next(model.parameters()).device
    return summed_losses(model, len(rows), evaluation_batches(rows, pad, device))


def summed_losses(
    model: torch.nn.Module,
    count: int,
    batches: Iterable[tuple[list[int], Batch]],
    prefix: Sequence[int] = (),
) -> torch.Tensor:
    """Return `(count,)` summed losses of the rows in ready batches, as `row_losses`.

    All rows come after the `prefix`, which is run through the model once.
    """
    sums = torch.zeros(count, dtype=torch.float64)
    with torch.no_grad():
        prefix_states = keys_and_values(model, prefix) if prefix else None
        for indices, batch in batches:
            cache = None if prefix_states is None else cache_for(prefix_states, len(indices))
            losses, rows = label_losses(model, batch, cache)
            sums.index_add_(0, torch.tensor(indices)[rows.cpu()], losses.double().cpu())
    return sums


def mean_loss(model: torch.nn.Module, rows: Sequence[Tokens], pad: int) -> float:
    """Return the mean loss over all label tokens of the rows (nats per label token)."""
    labels = sum(len(row.ids) - row.prompt_tokens for row in rows)
    return float(row_losses(model, rows, pad).sum()) / labels


def evaluation_batches(
    rows: Sequence[Tokens], pad: int, device: torch.device
) -> Iterator[tuple[list[int], Batch]]:
    """Yield the indices of rows of similar length with their batch, so that little is padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    indices: list[int] = []
    for index in order:
        # The newest row is the longest so far: the others are padded to it.
        if indices and len(rows[index].ids) * (len(indices) + 1) > EVALUATION_TOKENS:
            yield indices, collate([rows[i] for i in indices], pad, device)
            indices = []
        indices.append(index)
    if indices:
        yield indices, collate([rows[i] for i in indices], pad, device)
