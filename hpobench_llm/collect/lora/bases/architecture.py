"""The shapes of the bases we pretrain, and the untrained model of each (transformers' classes)."""

from dataclasses import dataclass
from typing import Literal

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

Family = Literal["llama", "gpt2", "qwen3"]
BEGIN_ID, END_ID, PAD_ID = 0, 1, 2  # of our tokenizers, see `token_rows.train_tokenizer`


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shape of a base; the embedding is tied to the head, all heads have keys of their own.

    `llama`: rotary positions, RMSNorm, gated SiLU. `qwen3`: the same with a norm on queries and
    keys. `gpt2`: learned positions, LayerNorm, biases, GELU without a gate, and `Conv1D` layers
    (weights stored transposed, query, key and value in one).
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


def untrained(shape: Architecture, seed: int) -> PreTrainedModel:
    """Return the model with float32 weights drawn from `seed`, on the CPU, without dropout."""
    special = {"bos_token_id": BEGIN_ID, "eos_token_id": END_ID, "pad_token_id": PAD_ID}
    torch.manual_seed(seed)
    if shape.family == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=shape.vocabulary,
                n_embd=shape.hidden_size,
                n_inner=shape.intermediate_size,
                n_layer=shape.layers,
                n_head=shape.heads,
                n_positions=shape.context_tokens,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                tie_word_embeddings=True,
                **special,
            )
        )
    common = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context_tokens,
        "tie_word_embeddings": True,
        **special,
    }
    if shape.family == "qwen3":
        # Its defaults are of a large model: 32 key heads of 128, whatever the hidden size.
        head = {
            "num_key_value_heads": shape.heads,
            "head_dim": shape.hidden_size // shape.heads,
        }
        return Qwen3ForCausalLM(Qwen3Config(**common, **head))
    return LlamaForCausalLM(LlamaConfig(**common))
