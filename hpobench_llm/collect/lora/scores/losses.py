"""Losses in nats per label token, of a model in memory on rows of tokens."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from hpobench_llm.collect.lora.data.batches import collate
from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens

EVALUATION_TOKENS = 4096  # per forward pass; more does not run faster on a CPU

Batch = dict[str, torch.Tensor]


def label_logits(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, ...]:
    """Return `(labels, vocabulary)` logits, the `(labels,)` right tokens, and the row of each.

    Only positions that the loss sees go through the model's head: with a small base the logits of
    the prompt would cost more than the layers below. What the model does after its head (a scale,
    a soft cap) still happens, since only the head's input is cut.
    """
    labels = batch["labels"][:, 1:]
    seen = labels != IGNORED
    places = seen.nonzero()

    def cut(_: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][places[:, 0], places[:, 1]], *inputs[1:])

    head = model.get_output_embeddings()  # type: ignore[operator]
    hook = head.register_forward_pre_hook(cut)
    try:
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits
    finally:
        hook.remove()
    return logits.float(), labels[seen], places[:, 0]


def label_losses(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `(labels,)` cross-entropies in nats and the row of each."""
    logits, labels, rows = label_logits(model, batch)
    return cross_entropy(logits, labels, reduction="none"), rows


def row_losses(model: torch.nn.Module, rows: Sequence[Tokens], pad: int) -> torch.Tensor:
    """Return `(rows,)` summed losses in nats, float64 on the CPU."""
    device = next(model.parameters()).device
    return summed_losses(model, len(rows), evaluation_batches(rows, pad, device))


def summed_losses(
    model: torch.nn.Module, count: int, batches: Iterable[tuple[list[int], Batch]]
) -> torch.Tensor:
    """Return `(count,)` summed losses of the rows in ready batches, as `row_losses`."""
    found = torch.zeros(count, dtype=torch.float64)
    with torch.no_grad():
        for chosen, batch in batches:
            losses, places = label_losses(model, batch)
            found.index_add_(0, torch.tensor(chosen)[places.cpu()], losses.double().cpu())
    return found


def mean_loss(model: torch.nn.Module, rows: Sequence[Tokens], pad: int) -> float:
    """Return the mean loss over all label tokens of the rows (nats per label token)."""
    labels = sum(len(row.ids) - row.prompt_tokens for row in rows)
    return float(row_losses(model, rows, pad).sum()) / labels


def evaluation_batches(
    rows: Sequence[Tokens], pad: int, device: torch.device
) -> Iterator[tuple[list[int], Batch]]:
    """Yield the indices of rows of similar length with their batch, so that little is padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    chosen: list[int] = []
    for index in order:
        if chosen and len(rows[index].ids) * (len(chosen) + 1) > EVALUATION_TOKENS:
            yield chosen, collate([rows[i] for i in chosen], pad, device)
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen, collate([rows[i] for i in chosen], pad, device)
