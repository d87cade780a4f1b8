"""The models of widths by closed forms: scales, first weights, growth, the coordinate check."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from hpobench_llm.collect.widths.coordinates import SIZES, activation_sizes
from hpobench_llm.collect.widths.costs import matrix_parameters, parameters
from hpobench_llm.collect.widths.growth import grow
from hpobench_llm.collect.widths.hyperparameters import WidthsHyperparameters
from hpobench_llm.collect.widths.learner import Learner
from hpobench_llm.collect.widths.model import EPSILON, Norm, Transformer, initialise, is_hidden
from hpobench_llm.collect.widths.parametrisation import scales_of
from hpobench_llm.collect.widths.spec import VOCABULARY, WidthsModel

SHAPE = WidthsModel(layers=2, head_size=4, mlp_ratio=2, context_tokens=12, base_width=8)
IDS = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (3, 12)))


def untrained(width, parametrisation="sp", *, init_std=0.3, norms=True, shape=SHAPE, seed=0):
    hyper = WidthsHyperparameters(width=width, parametrisation=parametrisation, init_std=init_std)
    model = Transformer(shape, width, scales_of(shape, hyper), norms=norms)
    initialise(model, seed)
    return model


def padded(small, width, parametrisation="sp", norms=True):
    """Return the wider model of nothing but a small one's weights."""
    model = untrained(width, parametrisation, norms=norms)
    for name, weight in model.named_parameters():
        weight.data.fill_(1.0 if name.endswith("gain") else 0.0)
    grow(model, dict(small.named_parameters()), 1.0)
    return model


@torch.no_grad()
def test_standard_scales_give_the_llama_of_transformers():
    ours = untrained(8)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=12,
            rms_norm_eps=EPSILON,
            tie_word_embeddings=True,
        )
    ).eval()
    names = {
        "embedding.weight": "model.embed_tokens.weight",
        "final_norm.gain": "model.norm.weight",
    }
    parts = {
        "attention_norm.gain": "input_layernorm.weight",
        "mlp_norm.gain": "post_attention_layernorm.weight",
        "attention.query.weight": "self_attn.q_proj.weight",
        "attention.key.weight": "self_attn.k_proj.weight",
        "attention.value.weight": "self_attn.v_proj.weight",
        "attention.project.weight": "self_attn.o_proj.weight",
        "mlp.gate.weight": "mlp.gate_proj.weight",
        "mlp.up.weight": "mlp.up_proj.weight",
        "mlp.project.weight": "mlp.down_proj.weight",
    }
    for layer in range(2):
        names |= {f"layers.{layer}.{a}": f"model.layers.{layer}.{b}" for a, b in parts.items()}
    their_weights = dict(theirs.named_parameters())
    our_weights = dict(ours.named_parameters())
    assert our_weights.keys() == names.keys()
    assert their_weights.keys() == set(names.values())
    for name, weight in our_weights.items():
        their_weights[names[name]].copy_(weight)
    torch.testing.assert_close(ours(IDS), theirs(IDS).logits, rtol=1e-4, atol=1e-5)
    assert parameters(SHAPE, 8) == sum(weight.numel() for weight in ours.parameters())
    assert matrix_parameters(SHAPE, 8) == sum(w.numel() for w in ours.parameters() if w.dim() > 1)


@torch.no_grad()
def test_mup_at_the_base_width_is_standard_up_to_the_attention_scale():
    sp, mup = untrained(8), untrained(8, "mup")
    assert sp.scales.attention_scale == 4**-0.5
    assert mup.scales.attention_scale == 4**-1.0
    as_mup = dataclasses.replace(sp.scales, attention_scale=mup.scales.attention_scale)
    assert as_mup == mup.scales  # all that the forward pass and Adam depend on
    for ours, theirs in zip(sp.parameters(), mup.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    same = Transformer(SHAPE, 8, as_mup)
    initialise(same, 0)
    assert torch.equal(same(IDS), mup(IDS))
    assert not torch.allclose(sp(IDS), mup(IDS), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("parametrisation", "multiplier"), [("sp", 1), ("mup", 8)])
def test_first_weights_have_the_stated_deviations(parametrisation, multiplier):
    model = untrained(64, parametrisation)
    hidden = 0.3 / math.sqrt(multiplier)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert (weight == 1).all()
            continue
        stated = 0.3 if not is_hidden(name) else hidden
        stated /= math.sqrt(2 * SHAPE.layers) if name.endswith("project.weight") else 1.0
        # 4,096 draws or more: the standard error of a deviation is 1.1 %
        assert float(weight.std()) == pytest.approx(stated, rel=0.05), name
        assert float(weight.mean()) == pytest.approx(0.0, abs=0.08 * stated)


@torch.no_grad()
@settings(max_examples=8)
@given(heads=st.integers(1, 3), more=st.integers(1, 4), seed=st.integers(0, 99))
def test_padding_with_zeros_keeps_the_function_of_a_network_without_norms(heads, more, seed):
    small = untrained(4 * heads, norms=False, seed=seed)
    wide = padded(small, 4 * (heads + more), norms=False)
    torch.testing.assert_close(wide(IDS), small(IDS), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_under_mup_keeps_the_residual_stream_and_divides_the_logits():
    small = untrained(8, "mup", norms=False)
    wide = padded(small, 24, "mup", norms=False)
    torch.testing.assert_close(wide.residual(IDS)[..., :8], small.residual(IDS))
    assert (wide.residual(IDS)[..., 8:] == 0).all()
    torch.testing.assert_close(wide(IDS), small(IDS) / 3)


@torch.no_grad()
def test_padding_scales_a_norm_by_the_root_of_the_widths():
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    narrow, wide = Norm(8)(x), Norm(24)(torch.cat((x, torch.zeros(5, 16)), dim=1))
    square = (x**2).mean(dim=1, keepdim=True)
    factor = math.sqrt(3) * ((square + EPSILON) / (square + 3 * EPSILON)).sqrt()
    torch.testing.assert_close(wide[:, :8], narrow * factor)
    assert float((factor / math.sqrt(3) - 1).abs().max()) < 1e-4
    small = untrained(8)
    residual = torch.randn(1, 2, 8, generator=torch.Generator().manual_seed(1))
    beside = torch.cat((residual, torch.zeros(1, 2, 16)), dim=2)
    logits = padded(small, 24).logits(beside)
    torch.testing.assert_close(logits, small.logits(residual) * math.sqrt(3), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_warm_start_is_the_cold_one_and_the_shrunk_block():
    small, cold, warm = untrained(8, "mup", seed=1), untrained(16, "mup"), untrained(16, "mup")
    small.final_norm.gain.fill_(2.0)
    grow(warm, dict(small.named_parameters()), 0.4)
    blocks, first = dict(small.named_parameters()), dict(cold.named_parameters())
    for name, weight in warm.named_parameters():
        corner = tuple(slice(size) for size in blocks[name].shape)
        rest = weight.clone()
        rest[corner] = first[name][corner]
        assert torch.equal(rest, first[name])
        if weight.dim() == 1:
            assert torch.equal(weight[corner], blocks[name])
        else:
            stated = first[name][corner] + 0.4 * blocks[name]
            torch.testing.assert_close(weight[corner], stated)


def learner(width, parametrisation, *, shape=SHAPE, steps=4, lr=1e-2):
    hyper = WidthsHyperparameters(
        width=width,
        parametrisation=parametrisation,
        lr=lr,
        init_std=0.1,
        batch_rows=8,
        warmup_fraction=0.0,
    )
    tokens = shape.context_tokens + 1
    rows = np.random.default_rng(0).zipf(1.3, (8, tokens)).clip(1, VOCABULARY) - 1
    return Learner(shape, hyper, torch.from_numpy(rows), seed=0, steps=steps)


def test_the_first_update_moves_hidden_weights_by_their_own_rate():
    trained = learner(32, "mup")
    before = {name: p.detach().clone() for name, p in trained.model.named_parameters()}
    trained.train_to(1, lambda _: None)
    for name, weight in trained.model.named_parameters():
        moved = (weight.detach() - before[name]).abs().max()
        rate = 1e-2 / 4 if is_hidden(name) else 1e-2  # Adam's first step: the sign, times the rate
        assert float(moved) == pytest.approx(rate, rel=1e-3), name


@pytest.mark.slow
def test_activations_are_flat_over_the_width_under_mup_and_grow_without():
    """The coordinate check of Yang et al.: sizes after a few updates, over 16 times the width."""
    shape = WidthsModel(layers=1, head_size=8, mlp_ratio=2, context_tokens=12, base_width=16)
    widths = (16, 64, 256)
    slopes = {}
    for parametrisation in ("sp", "mup"):
        sizes = []
        for width in widths:
            trained = learner(width, parametrisation, shape=shape, steps=100, lr=2e-2)
            trained.train_to(5, lambda _: None)
            sizes.append(activation_sizes(trained.model, IDS))
        for name in SIZES:
            logs = np.log([size[name] for size in sizes])
            slopes[parametrisation, name] = np.polyfit(np.log(widths), logs, 1)[0]
    for name in ("attention_size", "mlp_size", "residual_size", "logit_size"):
        assert slopes["sp", name] > 0.4, (name, slopes)
        assert abs(slopes["mup", name]) < 0.2, (name, slopes)
