"""Pretrain a small LLaMA-architecture base model from text (`hpobench-llm make-base`).

A base is a folder that transformers can load: `model.safetensors` (bf16), `config.json`, a
byte-level BPE tokenizer trained on the same text, and `base.json` with the recipe, the sums of
the text, the sums of the files and the validation loss.
"""

import dataclasses
import lzma
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hpobench_llm.artefacts import sha256_of_file, write_json
from hpobench_llm.collect import synthetic
from hpobench_llm.collect.data import checked_sum
from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.spec import read_spec, resolve_path

BEGIN, END, PAD = "<s>", "</s>", "<pad>"
TOKENIZER_CHARACTERS = 10_000_000  # more text does not change a vocabulary of this size much


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shape of the LLaMA; the embedding is tied to the head."""

    vocabulary: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    context_tokens: int

    def __post_init__(self) -> None:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        if self.vocabulary < 300:
            raise ValueError(f"vocabulary {self.vocabulary} must hold 256 bytes and 3 specials")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """AdamW with linear warm-up and cosine decay to a tenth of the peak rate."""

    steps: int
    batch_rows: int
    row_tokens: int
    peak_lr: float
    warmup_steps: int = 100
    weight_decay: float = 0.1
    precision: Literal["float32", "bfloat16"] = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_rows", "warmup_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.row_tokens < 2 or not self.peak_lr > 0:
            raise ValueError("row_tokens must be at least 2 and peak_lr above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSpec:
    """The recipe of a base model, as `collect/bases/<name>.toml` holds it."""

    name: str
    seed: int
    architecture: Architecture
    corpus: tuple[Corpus, ...]
    training: Pretraining


def make_base(
    spec_path: Path, out: Path, *, progress: Callable[[int, int, str], None] = lambda *_: None
) -> Path:
    """Pretrain the base of a spec and write it to the folder `out`; returns `out`.

    `progress(step, steps, text)` is called a few times a second at most.

    Raises:
        SpecError: the spec breaks a rule or names a file that is not there.
        DataError: the text is not what its sum says, or too short for one row.
    """
    spec = read_spec(spec_path, BaseSpec)
    if out.exists() and any(out.iterdir()):
        raise SpecError(spec_path, "", f"{out} exists and is not empty; give another --out")
    paragraphs, sources = _read_corpora(spec, spec_path)
    np.random.default_rng(spec.seed).shuffle(paragraphs)
    tokenizer = _train_tokenizer(paragraphs, spec.architecture)
    rows = _token_rows(paragraphs, tokenizer, spec)
    held_out = max(1, len(rows) // 100)
    train_rows, val_rows = rows[:-held_out], rows[-held_out:]
    if not len(train_rows):
        raise DataError(
            f"{spec_path}: the text gives {len(rows)} rows of {spec.training.row_tokens} tokens; "
            "at least 2 are needed"
        )
    started = time.monotonic()
    model, val_loss = _pretrain(spec, train_rows, val_rows, progress)
    seconds = time.monotonic() - started
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    files = sorted(p for p in out.iterdir() if p.is_file())
    write_json(
        out / "base.json",
        {
            "format": 1,
            "recipe": dataclasses.asdict(spec),
            "sources": sources,
            "parameters": model.num_parameters(),
            "tokens_seen": spec.training.steps
            * spec.training.batch_rows
            * spec.training.row_tokens,
            "val_loss_nats_per_token": val_loss,
            "pretraining_wall_seconds": round(seconds, 1),
            "sha256": {p.name: sha256_of_file(p) for p in files},
            "code": git_revision(),
            "versions": versions("torch", "transformers", "tokenizers", "numpy"),
            "device": processor(),
        },
    )
    return out


def _read_corpora(spec: BaseSpec, spec_path: Path) -> tuple[list[str], list[dict[str, object]]]:
    paragraphs: list[str] = []
    sources: list[dict[str, object]] = []
    for number, corpus in enumerate(spec.corpus):
        if corpus.generated_sentences:
            found = synthetic.sentences(corpus.generated_sentences, seed=spec.seed)
            sources.append({"generated_sentences": corpus.generated_sentences})
        else:
            path = resolve_path(corpus.path, file=spec_path, key=f"corpus[{number}].path")
            digest = checked_sum(path, corpus.sha256, spec_path)
            found = list(_paragraphs(path, corpus))
            sources.append({"file": path.name, "sha256": digest, "skip_bytes": corpus.skip_bytes})
        paragraphs.extend(found)
    return paragraphs, sources


def _paragraphs(path: Path, corpus: Corpus) -> Iterator[str]:
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except lzma.LZMAError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    text = raw[corpus.skip_bytes :].decode("utf-8", errors="replace")
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if len(line) >= corpus.min_characters:
            yield line


def _train_tokenizer(paragraphs: list[str], shape: Architecture) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
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
        model_max_length=shape.context_tokens,
    )


def _token_rows(
    paragraphs: list[str], tokenizer: PreTrainedTokenizerFast, spec: BaseSpec
) -> NDArray[np.int64]:
    """Return `(rows, row_tokens)`: begin, paragraph, end, joined and cut, no more than is used."""
    wanted = spec.training.steps * spec.training.batch_rows * spec.training.row_tokens
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids: list[int] = []
    for start in range(0, len(paragraphs), 2000):
        for encoded in tokenizer(paragraphs[start : start + 2000])["input_ids"]:
            ids += [begin, *encoded, end]
        if len(ids) > wanted * 1.02:
            break
    length = spec.training.row_tokens
    count = len(ids) // length
    return np.array(ids[: count * length], dtype=np.int64).reshape(count, length)


def _pretrain(
    spec: BaseSpec,
    train_rows: NDArray[np.int64],
    val_rows: NDArray[np.int64],
    progress: Callable[[int, int, str], None],
) -> tuple[LlamaForCausalLM, float]:
    shape, recipe = spec.architecture, spec.training
    torch.manual_seed(spec.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.context_tokens,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.peak_lr, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    rng = np.random.default_rng(spec.seed)
    order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16")
    last_report, loss_value = 0.0, math.nan
    for step in range(recipe.steps):
        while len(order) < recipe.batch_rows:
            order = np.concatenate([order, rng.permutation(len(train_rows))])
        batch = torch.from_numpy(train_rows[order[: recipe.batch_rows]])
        order = order[recipe.batch_rows :]
        warm = min(1.0, (step + 1) / recipe.warmup_steps)
        cosine = 0.55 + 0.45 * math.cos(math.pi * step / recipe.steps)
        for group in optimizer.param_groups:
            group["lr"] = recipe.peak_lr * warm * cosine
        with autocast:
            loss = _loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if time.monotonic() - last_report > 0.5 or step + 1 == recipe.steps:
            last_report, loss_value = time.monotonic(), loss.item()
            progress(step + 1, recipe.steps, f"loss {loss_value:.3f}")
    model.eval()
    with torch.no_grad():
        losses = [_loss(model, torch.from_numpy(chunk)).item() for chunk in _chunks(val_rows, 32)]
    return model, float(np.mean(losses))


def _loss(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    """Return the mean next-token cross-entropy (nats) of a `(rows, tokens)` batch."""
    logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


def _chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
