"""The recipe of a base (`collect/bases/<name>.toml`): its shape, its text, its training."""

from dataclasses import dataclass
from typing import Literal

from hpobench_llm.collect.training.corpus import Corpus

Family = Literal["llama", "gpt2", "qwen3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shape of a base; the embedding is tied to the head, all heads have keys of their own.

    Args:
        vocabulary: tokens of its byte-level BPE, at least 300.
        hidden_size: the width of the residual stream, an even multiple of `heads`.
        layers: at least 1.
        heads: attention heads of a layer, at least 1.
        intermediate_size: units of an MLP, at least 1.
        context_tokens: the longest row that it reads.
        family: `llama`: rotary positions, RMSNorm, gated SiLU. `qwen3`: the same with a norm on
            queries and keys. `gpt2`: learned positions, LayerNorm, biases, GELU without a gate,
            and `Conv1D` layers (weights stored transposed, query, key and value in one).
    """

    vocabulary: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    context_tokens: int
    family: Family = "llama"

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "heads", "intermediate_size", "context_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        if self.vocabulary < 300:
            raise ValueError(f"vocabulary {self.vocabulary} must hold 256 bytes and 3 specials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """AdamW with linear warm-up and cosine decay to a tenth of the peak rate.

    Args:
        steps: updates, at least 1.
        batch_rows: rows of an update, at least 1.
        row_tokens: tokens of a row, at least 2 and no more than the architecture's
            `context_tokens`.
        peak_lr: the peak learning rate, above 0.
        warmup_steps: the steps over which it rises, at least 1.
        weight_decay: AdamW's.
        precision: that of the matrix products.
    """

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

    @property
    def tokens(self) -> int:
        """How many tokens are seen, repeated ones included."""
        return self.steps * self.batch_rows * self.row_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSpec:
    """The recipe of a base model, as `collect/bases/<name>.toml` holds it.

    Args:
        name: the base's name.
        seed: sets the first weights and the order of paragraphs and rows.
        architecture: its shape.
        corpus: the text, at least one source.
        training: how it is pretrained.
    """

    name: str
    seed: int
    architecture: Architecture
    corpus: tuple[Corpus, ...]
    training: Pretraining

    def __post_init__(self) -> None:
        if not self.corpus:
            raise ValueError("`corpus` is empty")
        if self.training.row_tokens > self.architecture.context_tokens:
            raise ValueError(
                f"training.row_tokens = {self.training.row_tokens} exceeds "
                f"architecture.context_tokens = {self.architecture.context_tokens}"
            )
