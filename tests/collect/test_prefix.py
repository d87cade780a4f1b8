"""Rows that begin alike: their losses are the same when the beginning is run once."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens
from hpobench_llm.collect.lora.scores.losses import evaluation_batches, row_losses, summed_losses
from hpobench_llm.collect.lora.scores.prefix import LEAST_TOKENS, shared_prefix, without_prefix

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
MODELS = {
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(num_attention_heads=4, num_key_value_heads=2, **SIZES)
    ),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64)),
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(num_attention_heads=4, num_key_value_heads=2, head_dim=8, **SIZES)
    ),
}


def row(prompt, answer):
    return Tokens([*prompt, *answer], [*([IGNORED] * len(prompt)), *answer])


def rows_after(prefix):
    generator = torch.Generator().manual_seed(0)
    made = []
    for length in (1, 2, 5, 9, 3):
        drawn = torch.randint(3, 64, (length + 4,), generator=generator).tolist()
        made.append(row([*prefix, *drawn[:length]], drawn[length:]))
    return made


@pytest.mark.parametrize("name", MODELS)
def test_the_losses_are_those_of_whole_rows(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    rows = rows_after(list(range(20, 40)))
    prefix = shared_prefix(rows)
    assert prefix == list(range(20, 40))
    rest = [without_prefix(one, prefix) for one in rows]
    device = torch.device("cpu")
    found = summed_losses(model, len(rows), evaluation_batches(rest, 0, device), prefix)
    assert found.tolist() == pytest.approx(row_losses(model, rows, 0).tolist(), abs=1e-4)


def test_a_prefix_leaves_every_row_a_token_of_its_prompt():
    same = row(list(range(20)), [1, 2])
    assert shared_prefix([same, same]) == list(range(19))
    short = row(list(range(12)), [1, 2])
    assert shared_prefix([same, short]) == list(range(11))


def test_few_tokens_are_not_worth_a_pass():
    assert shared_prefix(rows_after(range(LEAST_TOKENS - 1))) == []
    assert shared_prefix([row([5], [1]), row([6], [2])]) == []
