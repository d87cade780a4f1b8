"""Pretraining text as rows of tokens: read it, train a tokenizer on it, join and cut it."""

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hpobench_llm.collect.lora.data import synthetic
from hpobench_llm.collect.lora.data.files import checked_sum
from hpobench_llm.errors import DataError
from hpobench_llm.spec import resolve_path

BEGIN, END, PAD = "<s>", "</s>", "<pad>"  # in the order of `architecture`'s ids
TOKENIZER_CHARACTERS = 10_000_000  # more text does not change a vocabulary of this size much
_PARAGRAPHS_AT_ONCE = 2000

Rows = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One source of text: a (possibly .xz) file of blank-line separated paragraphs, or generated.

    Paragraphs shorter than `min_characters` are left out; `skip_bytes` leaves out the beginning.
    """

    path: str = ""
    sha256: str = ""
    skip_bytes: int = 0
    min_characters: int = 80
    generated_sentences: int = 0

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.generated_sentences):
            raise ValueError("give either `path` or `generated_sentences`")
        if min(self.skip_bytes, self.min_characters, self.generated_sentences) < 0:
            raise ValueError("no number of a corpus may be negative")


def read_corpora(
    corpora: tuple[Corpus, ...], spec_path: Path, seed: int
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the paragraphs of all corpora in an order drawn from `seed`, and their sums.

    Raises:
        SpecError: a file is missing.
        DataError: a file is not what its sum says, or cannot be read.
    """
    paragraphs: list[str] = []
    sources: list[dict[str, Any]] = []
    for number, corpus in enumerate(corpora):
        if corpus.generated_sentences:
            found = synthetic.sentences(corpus.generated_sentences, seed=seed)
            sources.append({"generated_sentences": corpus.generated_sentences})
        else:
            path = resolve_path(corpus.path, file=spec_path, key=f"corpus[{number}].path")
            digest = checked_sum(path, corpus.sha256, spec_path)
            found = list(_paragraphs(path, corpus))
            sources.append({"file": path.name, "sha256": digest, "skip_bytes": corpus.skip_bytes})
        paragraphs.extend(found)
    np.random.default_rng(seed).shuffle(paragraphs)
    return paragraphs, sources


def _paragraphs(path: Path, corpus: Corpus) -> Iterator[str]:
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (lzma.LZMAError, OSError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    text = raw[corpus.skip_bytes :].decode("utf-8", errors="replace")
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if len(line) >= corpus.min_characters:
            yield line


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

    No more text is tokenised than gives `tokens` and 2 % beside.
    """
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    parts: list[Rows] = []
    found = 0
    for start in range(0, len(paragraphs), _PARAGRAPHS_AT_ONCE):
        ids: list[int] = []
        for encoded in tokenizer(paragraphs[start : start + _PARAGRAPHS_AT_ONCE])["input_ids"]:
            ids += [begin, *encoded, end]
        parts.append(np.array(ids, dtype=np.int32))
        found += len(ids)
        if found > tokens * 1.02:
            break
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
    return joined[: found // length * length].reshape(-1, length)
