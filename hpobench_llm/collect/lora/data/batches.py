"""What a run sees at each step: rows in an order drawn from its seed, and its learning rate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.mixture import Shares


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One step's rows of `K` configurations.

    `tensors` are `(K * rows, tokens)`, the configurations one after the other; `widths` their own
    longest rows, `labels` and `tokens` their own counts.
    """

    tensors: dict[str, torch.Tensor]
    widths: list[int]
    labels: list[int]
    tokens: list[int]


def row_stream(
    rows: Sequence[Tokens], step_rows: int, seed: int, fraction: float
) -> Iterator[list[Tokens]]:
    """Yield a step's rows for ever: each epoch in its own order, drawn from `seed`.

    Only the first `fraction` of the rows is used; they are in the order of their hash.
    """
    used = rows[: max(1, round(fraction * len(rows)))]
    rng = np.random.default_rng(seed)
    queue: list[int] = []
    while True:
        # A batch may hold the end of one epoch and the beginning of the next.
        while len(queue) < step_rows:
            queue += [int(index) for index in rng.permutation(len(used))]
        yield [used[index] for index in queue[:step_rows]]
        queue = queue[step_rows:]


def step_batches(
    rows_of: Callable[[Shares], Sequence[Tokens]],
    step_rows: int,
    configs: Sequence[tuple[Hyperparameters, Shares, int]],
    pad: int,
    device: torch.device,
) -> Iterator[StepBatch]:
    """Yield the steps of configurations that train together, each with its shares and its seed.

    Configurations of one seed, one training fraction and one mixture see the same rows, which are
    then collated once. `rows_of` gives the training rows of a mixture.
    """
    keys = [(shares, seed, hyper.train_fraction) for hyper, shares, seed in configs]
    streams = {key: row_stream(rows_of(key[0]), step_rows, *key[1:]) for key in keys}
    while True:
        drawn = {key: next(stream) for key, stream in streams.items()}
        # The common case: rows that all see alike are collated once and repeated on the device.
        if len(drawn) == 1:
            once = collate(drawn[keys[0]], pad, device)
            tensors = {name: tensor.repeat(len(keys), 1) for name, tensor in once.items()}
        else:
            tensors = collate([row for key in keys for row in drawn[key]], pad, device)
        widths = {key: max(len(row.ids) for row in batch) for key, batch in drawn.items()}
        tokens = {key: sum(len(row.ids) for row in batch) for key, batch in drawn.items()}
        labels = {
            key: tokens[key] - sum(row.prompt_tokens for row in batch)
            for key, batch in drawn.items()
        }
        yield StepBatch(
            tensors,
            [widths[key] for key in keys],
            [labels[key] for key in keys],
            [tokens[key] for key in keys],
        )


def collate(rows: Sequence[Tokens], pad: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Right-pad rows to the longest: int64 tensors `(rows, tokens)` on `device`.

    A causal model needs no attention mask here: the padding comes after all that counts.
    """
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        labels[index, : len(row.labels)] = torch.tensor(row.labels)
    return {"input_ids": ids.to(device), "labels": labels.to(device)}
