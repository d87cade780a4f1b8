"""Pretraining text as rows of tokens: train a tokenizer on it, join and cut it."""

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

BEGIN, END, PAD = "<s>", "</s>", "<pad>"  # in the order of `architecture`'s ids
TOKENIZER_CHARACTERS = 10_000_000  # more text does not change a vocabulary of this size much
_PARAGRAPHS_AT_ONCE = 2000

Rows = NDArray[np.int32]


def train_tokenizer(
    paragraphs: list[str], *, vocabulary: int, context_tokens: int
) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on the beginning of the paragraphs."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    ends = np.cumsum([len(paragraph) for paragraph in paragraphs])
    sample = paragraphs[: int(np.searchsorted(ends, TOKENIZER_CHARACTERS)) + 1]
    tokenizer.train_from_iterator(sample, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context_tokens,
    )


def token_rows(
    paragraphs: list[str], tokenizer: PreTrainedTokenizerFast, *, length: int, tokens: int
) -> Rows:
    """Return `(rows, length)`: begin, paragraph, end, joined and cut.

    Text is tokenised until it gives `tokens` and 2 % more.
    """
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    parts: list[Rows] = []
    count = 0
    for start in range(0, len(paragraphs), _PARAGRAPHS_AT_ONCE):
        ids: list[int] = []
        for encoded in tokenizer(paragraphs[start : start + _PARAGRAPHS_AT_ONCE])["input_ids"]:
            ids += [begin, *encoded, end]
        parts.append(np.array(ids, dtype=np.int32))
        count += len(ids)
        if count > tokens * 1.02:
            break
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
    return joined[: count // length * length].reshape(-1, length)
