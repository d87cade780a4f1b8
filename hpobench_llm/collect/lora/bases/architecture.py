"""The shapes of the bases we pretrain, and the untrained model of each (transformers' classes)."""

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

from hpobench_llm.collect.lora.bases.spec import Architecture

BEGIN_ID, END_ID, PAD_ID = 0, 1, 2  # of our tokenizers, see `token_rows.train_tokenizer`


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
