"""The common beginning of rows to be evaluated: run through the model once, not once a row.

Chats share their system prompt, which can be longer than the questions. Its keys and values are
the same for all rows, since a causal model's first positions see nothing of what follows.
"""

from collections.abc import Sequence
from itertools import takewhile

import torch
from transformers import DynamicCache

from hpobench_llm.collect.lora.data.encoding import Tokens

LEAST_TOKENS = 8  # below, the second pass costs more than it saves

KeysAndValues = list[tuple[torch.Tensor, torch.Tensor]]


def shared_prefix(rows: Sequence[Tokens]) -> list[int]:
    """Return the tokens that all rows begin with, none where they are too few to gain by.

    A token of the prompt is left to each row: the first label is predicted from it.
    """
    most = min(row.prompt_tokens for row in rows) - 1
    columns = zip(*(row.ids[: max(most, 0)] for row in rows), strict=True)
    prefix = [column[0] for column in takewhile(lambda column: len({*column}) == 1, columns)]
    return prefix if len(prefix) >= LEAST_TOKENS else []


def without_prefix(row: Tokens, prefix: Sequence[int]) -> Tokens:
    """Return what of a row comes after the prefix."""
    return Tokens(row.ids[len(prefix) :], row.labels[len(prefix) :])


def keys_and_values(model: torch.nn.Module, prefix: Sequence[int]) -> KeysAndValues:
    """Return each layer's `(1, heads, tokens, size)` keys and values of the prefix."""
    device = next(model.parameters()).device
    cache = DynamicCache()
    model(input_ids=torch.tensor([list(prefix)], device=device), past_key_values=cache)
    return [(layer.keys, layer.values) for layer in cache.layers]


def cache_for(states: KeysAndValues, rows: int) -> DynamicCache:
    """Return a cache of the prefix for `rows` rows; a pass adds to it, so each needs its own."""
    cache = DynamicCache()
    for number, (keys, values) in enumerate(states):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    return cache
