"""Sub-networks: slices equal masks, importance orders them, a step sums four passes."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from hpobench_llm.collect.lora.bases.architecture import untrained
from hpobench_llm.collect.lora.bases.spec import Architecture
from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens
from hpobench_llm.collect.lora.recipe import Base, Data, DataSource
from hpobench_llm.collect.lora.shape import Shape
from hpobench_llm.collect.subnets.cuts import cuts
from hpobench_llm.collect.subnets.importance import (
    Orders,
    by_activation,
    by_magnitude,
    reordered,
)
from hpobench_llm.collect.subnets.network import Linked, Skeletons, cut, extracted, weights_of
from hpobench_llm.collect.subnets.pruning import (
    LAST,
    LEAST,
    MAGNITUDE,
    UNCUT,
    by_bins,
    by_depth,
)
from hpobench_llm.collect.subnets.sampling import bins_of, calibrated
from hpobench_llm.collect.subnets.spec import SubnetsCampaign, Training
from hpobench_llm.collect.subnets.subnet import Subnet, Whole, flops, parameters, subnet_of
from hpobench_llm.collect.subnets.training import SandwichTrainer, distillation, sandwich
from hpobench_llm.collect.subnets.weights import Trained

SIZES = Shape(
    hidden_size=24, intermediate_size=20, layers=3, heads=3, vocabulary=300, tied_head=True
)
WHOLE = Whole.of(SIZES)
SHAPE = Architecture(
    vocabulary=300, hidden_size=24, layers=3, heads=3, intermediate_size=20, context_tokens=32
)
PART = Subnet(width=10, heads=2, units=7, layers=(0, 2))
IDS = torch.arange(18).reshape(2, 9) * 13 % 300


@pytest.fixture(scope="module")
def base():
    model = untrained(SHAPE, 0).eval()
    with torch.no_grad():  # an untrained one is nearly linear, its norms all ones
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model


def answers(model):
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def masked(base, orders, subnet):
    """The same sub-network with nothing cut: zeros, in the base's own order of parts."""
    model = untrained(SHAPE, 0).eval()
    model.load_state_dict(base.state_dict())
    kept = list(orders.width[: subnet.width])
    dropped = [i for i in range(24) if i not in kept]
    with torch.no_grad():
        model.model.embed_tokens.weight[:, dropped] = 0
        for module in model.modules():
            if type(module).__name__ == "LlamaRMSNorm":  # its mean counts the zeros too
                module.weight *= (subnet.width / 24) ** 0.5
                module.variance_epsilon *= subnet.width / 24
        for number, layer in enumerate(model.model.layers):
            for matrix in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                matrix[dropped] = 0
                if number not in subnet.layers:
                    matrix.zero_()
            for head in orders.heads[number][subnet.heads :]:
                layer.self_attn.o_proj.weight[:, head * 8 : head * 8 + 8] = 0
            for unit in orders.units[number][subnet.units :]:
                layer.mlp.down_proj.weight[:, unit] = 0
    return model


def orders_of(base):
    return Orders.of(by_activation(base, [IDS[:1], IDS[1:]], WHOLE), WHOLE)


@pytest.mark.parametrize(
    "subnet", [PART, Subnet(24, 3, 20, (1,)), Subnet(5, 1, 1, (0, 1, 2)), Subnet(24, 3, 20, ())]
)
def test_a_sub_network_equals_the_masked_network(base, subnet):
    orders = orders_of(base)
    weights = reordered(weights_of(base), orders, WHOLE)
    expected = answers(masked(base, orders, subnet))
    linked = Linked(Skeletons(base), weights, subnet, WHOLE)
    assert (answers(linked) - expected).abs().max() < 1e-5
    own = extracted(base, weights, subnet, WHOLE)
    assert (answers(own) - expected).abs().max() < 1e-5
    assert sum(p.numel() for p in own.parameters()) == parameters(subnet, WHOLE)


def test_the_largest_equals_the_whole_in_any_order(base):
    for scores in (by_activation(base, [IDS], WHOLE), by_magnitude(weights_of(base), WHOLE)):
        weights = reordered(weights_of(base), Orders.of(scores, WHOLE), WHOLE)
        whole = extracted(base, weights, WHOLE.subnet, WHOLE)
        assert (answers(whole) - answers(base)).abs().max() < 1e-5


def test_key_heads_are_kept_in_groups():
    whole = Whole(
        width=16, heads=4, units=8, layers=1, key_heads=2, head_size=4, vocabulary=300, tied=False
    )
    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=16,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=4,
            tie_word_embeddings=False,
        )
    ).eval()
    orders = Orders((*range(16),), (0,), ((1, 0),), ((*range(8),),))
    weights = reordered(weights_of(base), orders, whole)
    own = extracted(base, weights, whole.subnet, whole)
    assert (answers(own) - answers(base)).abs().max() < 1e-5
    half = Subnet(16, 2, 8, (0,))
    with torch.no_grad():
        base.model.layers[0].self_attn.o_proj.weight[:, :8] = 0  # the group that is dropped
    own = extracted(base, weights, half, whole)
    assert (answers(own) - answers(base)).abs().max() < 1e-5
    assert sum(p.numel() for p in own.parameters()) == parameters(half, whole)
    with pytest.raises(ValueError, match="heads 3: the base's share keys in groups of 2"):
        subnet_of({"heads": 3}, whole)


def test_smaller_sub_networks_lie_within_larger_ones(base):
    marks = {
        name: torch.arange(weight.numel()).reshape(weight.shape)
        for name, weight in weights_of(base).items()
    }
    ranked = (2, 0, 1)
    small = subnet_of({"width": 8, "heads": 1, "mlp_ratio": 0.5, "depth": 2}, WHOLE, ranked)
    large = subnet_of({"width": 16, "heads": 2, "mlp_ratio": 0.75, "depth": 3}, WHOLE, ranked)
    assert small.layers == (0, 2)
    assert small.units == 4
    within = cut(marks, small, WHOLE)
    around = cut(marks, large, WHOLE)
    for name, part in within.items():
        parts = name.split(".")
        if name.startswith("model.layers."):
            parts[2] = str(small.layers[int(parts[2])])
        assert set(part.flatten().tolist()) <= set(around[".".join(parts)].flatten().tolist())


def test_importance_finds_the_parts_that_do_something(base):
    weights = weights_of(base)
    with torch.no_grad():
        weights["model.layers.1.self_attn.v_proj.weight"][8:16] = 0  # head 1 of layer 1
        weights["model.layers.2.mlp.up_proj.weight"][5] = 0
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            weights[f"model.layers.0.{name}.weight"].zero_()
    model = extracted(base, weights, WHOLE.subnet, WHOLE)
    orders = Orders.of(by_activation(model, [IDS], WHOLE), WHOLE)
    assert orders.heads[1][-1] == 1
    assert orders.units[2][-1] == 5
    assert orders.layers[-1] == 0


def rows_of(count):
    rng = np.random.default_rng(1)
    ids = [rng.integers(3, 300, 8).tolist() for _ in range(count)]
    return [Tokens(row, [IGNORED] * 4 + row[4:]) for row in ids]


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_step_makes_four_passes_whose_gradients_sum(base, monkeypatch, kind):
    training = Training(weights=kind, rank=2, batch_rows=2, temperature=3.0)
    start, smallest = weights_of(base), Subnet(8, 1, 4, (1,))
    trainer = SandwichTrainer(Skeletons(base), WHOLE, training, rows_of(4), 2)
    drawn = iter([PART, Subnet(24, 3, 20, (0, 1))])
    rule = sandwich(WHOLE.subnet, smallest, lambda _: next(drawn), training.random_subnets)
    subnets = rule(np.random.default_rng(0))
    assert subnets[0] == WHOLE.subnet
    assert subnets[1] == PART
    assert subnets[3] == smallest
    rows = rows_of(2)
    batch = {
        "input_ids": torch.tensor([row.ids for row in rows]),
        "labels": torch.tensor([row.labels for row in rows]),
    }
    passes, forward = [], Linked.forward

    def counted(self, **inputs):
        passes.append(1)
        return forward(self, **inputs)

    monkeypatch.setattr(Linked, "forward", counted)
    trained = Trained(start, training, 0)
    trainer.add_gradients(trained, subnets, batch)
    assert len(passes) == 4

    sums = [torch.zeros_like(p) for p in trained.parameters]
    whole = None
    for subnet in subnets:  # each pass by itself, on a model of its own where it is the whole
        single = Trained(start, training, 0)
        model = Linked(Skeletons(base), single.weights(), subnet, WHOLE)
        logits = forward(model, input_ids=batch["input_ids"]).logits[:, 3:-1].flatten(0, 1)
        labels = batch["labels"][:, 4:].flatten()
        if whole is None:
            whole, chosen = logits.detach(), logits.log_softmax(-1)
            loss = -chosen[torch.arange(len(labels)), labels].mean()
        else:
            p, q = (whole / 3).log_softmax(-1), (logits / 3).log_softmax(-1)
            loss = 9 * (p.exp() * (p - q)).sum(-1).mean()
        loss.backward()
        for total, part in zip(sums, single.parameters, strict=True):
            total += 0 if part.grad is None else part.grad
    for p, total in zip(trained.parameters, sums, strict=True):
        assert torch.allclose(p.grad, total, atol=1e-5)


def test_distillation_is_zero_for_the_teacher_itself():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert abs(float(distillation(logits, logits, 4.0))) < 1e-6
    assert distillation(logits, logits.flip(0), 4.0) > 0


@pytest.mark.slow
def test_training_lowers_the_losses_and_follows_from_its_seed(base):
    training = Training(batch_rows=4, lr=3e-3, temperature=1.0)
    trainer = SandwichTrainer(Skeletons(base), WHOLE, training, rows_of(8), 2)
    rule = sandwich(WHOLE.subnet, Subnet(8, 1, 4, (1,)), lambda rng: PART, 1)
    first, last = trainer.train(weights_of(base), rule, [0, 60], 0)
    (again,) = trainer.train(weights_of(base), rule, [60], 0)
    assert all(torch.equal(last[name], again[name]) for name in last)
    assert all(torch.equal(first[name], weight) for name, weight in weights_of(base).items())
    for subnet in (WHOLE.subnet, PART):
        before, after = (loss_of(base, weights, subnet) for weights in (first, last))
        assert after < 0.9 * before


def test_a_sub_network_without_layers_has_no_adapters_to_train(base):
    training = Training(weights="lora", rank=2, batch_rows=2)
    trainer = SandwichTrainer(Skeletons(base), WHOLE, training, rows_of(4), 2)
    nothing = Subnet(24, 3, 20, ())
    rule = sandwich(WHOLE.subnet, nothing, lambda rng: PART, 1)
    first, last = trainer.train(weights_of(base), rule, [0, 2], 0)
    changed = {name.split(".")[-2] for name in first if not torch.equal(first[name], last[name])}
    assert changed == {f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "up", "down")}
    own = Whole(24, 3, 20, 0, 3, 8, 300, tied=True)
    start = cut(weights_of(base), nothing, WHOLE)
    alone = SandwichTrainer(Skeletons(base), own, training, rows_of(4), 2)
    (same,) = alone.train(start, lambda _: [own.subnet], [2], 0)
    assert all(torch.equal(same[name], start[name]) for name in start)


def loss_of(base, weights, subnet):
    rows = rows_of(8)
    ids = torch.tensor([row.ids for row in rows])
    with torch.no_grad():
        logits = extracted(base, weights, subnet, WHOLE)(input_ids=ids).logits[:, 3:-1]
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 4:].flatten()))


def test_flops_count_what_a_pass_multiplies(base):
    model = extracted(base, weights_of(base), PART, WHOLE)
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=IDS[:1], use_cache=False)
    assert counter.get_total_flops() == flops(PART, WHOLE, 9)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=150),
    st.integers(1, 150),
    st.integers(1, 20),
)
def test_no_bin_overfills(sizes, count, bins):
    chosen = calibrated(sizes, count, bins)
    assert len(set(chosen)) == len(chosen) == min(count, len(sizes))
    assert calibrated(sizes, count // 2, bins) == chosen[: count // 2]
    if bins > 1 and count > 1:
        assert {sizes[index] for index in chosen[:2]} >= {min(sizes)}
        assert max(sizes) in {sizes[index] for index in chosen}
    place = bins_of(sizes, bins)
    there, filled = Counter(place), Counter(place[index] for index in chosen)
    free = [b for b in there if filled[b] < there[b]]
    # A bin is ahead of one that still has some by one at most: none took what was another's turn.
    assert all(max(filled.values()) <= filled[b] + 1 for b in free)


DATA = Data(
    source=(DataSource(name="a", generated_tasks=9),), max_tokens=9, val_rows=1, test_rows=1
)


def campaign_of(**more):
    grid = {"width": (8, 16, 24), "heads": (1, 2, 3), "mlp_ratio": (0.25, 0.8), "depth": (0, 3)}
    return SubnetsCampaign(
        name="pruned", version="0.1", description="", seeds=(0,),
        base=Base(path="base", shape=SIZES), data=DATA,
        checkpoints=(0, 4), **({"grid": grid} | more),
    )  # fmt: skip


def test_what_is_cut_from_the_fine_tuned_network_equals_the_masked_one(base):
    campaign, tuned = campaign_of(bins=6), weights_of(base)
    by_weight = Orders.of(by_magnitude(tuned, WHOLE), WHOLE)
    named = Counter()
    for cut_ in cuts(campaign, reordered(tuned, orders_of(base), WHOLE), orders_of(base)):
        # In the base's own order of parts: by weights, whatever order they came in.
        expected = answers(masked(base, by_weight, cut_.subnet))
        own = extracted(base, cut_.weights, cut_.subnet, WHOLE)
        assert (answers(own) - expected).abs().max() < 1e-5
        assert sum(p.numel() for p in own.parameters()) == parameters(cut_.subnet, WHOLE)
        named[cut_.method] += 1
    assert named[UNCUT] == 1
    assert named[MAGNITUDE] >= 3
    assert named[LAST] == named[LEAST] == 2


@pytest.mark.parametrize(
    "grid",
    [
        {"width": (8, 16, 24), "heads": (1, 3), "mlp_ratio": (0.25, 0.8), "depth": (0, 3)},
        {"layers": (0, 3), "heads": (1, 2, 3), "units": (1, 20)},
        {"layer_0": (0, 1), "layer_1": (0, 1), "layer_2": (0, 1)},
    ],
)
def test_one_share_of_all_parts_meets_the_parameter_counts_of_the_bins(grid):
    campaign = campaign_of(bins=8, grid=grid)
    ends = [
        parameters(subnet_of(config, WHOLE), WHOLE)
        for config in (campaign.smallest(), campaign.largest())
    ]
    kept = by_bins(campaign)
    sizes = [parameters(subnet, WHOLE) for subnet in kept]
    assert sizes == sorted(sizes, reverse=True)
    places = bins_of([*ends, *sizes], 8)[2:]
    assert places[0] == 7
    assert len(set(places)) == len(places) >= 3
    middles = np.linspace(*ends, 17)[1::2]
    for place, subnet in zip(places, kept, strict=True):
        assert subnet.layers == (0, 1, 2)
        assert subnet.width == 24 or "width" in grid
        # No other network of one share is nearer to the bin's middle.
        for share in np.linspace(0.05, 1, 40):
            other = Subnet(
                max(1, round(share * 24)) if "width" in grid else 24,
                max(1, round(share * 3)), max(1, round(share * 20)), (0, 1, 2),
            )  # fmt: skip
            distance = abs(parameters(other, WHOLE) - middles[place])
            assert abs(parameters(subnet, WHOLE) - middles[place]) <= distance


def test_layers_go_last_first_or_by_importance():
    assert [subnet.layers for subnet in by_depth(WHOLE, range(3))] == [(0, 1), (0,)]
    assert [subnet.layers for subnet in by_depth(WHOLE, (2, 0, 1))] == [(0, 2), (2,)]


def test_bins_are_of_equal_width():
    assert bins_of([0, 4, 5, 9, 10], 2) == [0, 0, 1, 1, 1]
    assert bins_of([7, 7], 20) == [19, 19]


def test_magnitude_is_by_the_weights_alone(base):
    weights = weights_of(base)
    weights["model.embed_tokens.weight"][:, 4] *= 100
    weights["model.layers.2.mlp.gate_proj.weight"][3] *= 100
    orders = Orders.of(by_magnitude(weights, WHOLE), WHOLE)
    assert orders.width[0] == 4
    assert orders.units[2][0] == 3
    assert orders.layers[0] == 2
