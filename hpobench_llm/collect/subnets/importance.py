"""How much each part of a network matters, and the same network with the parts in that order.

By `activation`, on calibration rows, as whittle's `importance/` (Sukthanker et al. 2024, after
Muralidharan et al. 2024) measures it: a head by the norm of its output, a unit by its mean
absolute activation, an entry of the embedding by the mean absolute output of the norms, a layer by
how far it turns its input (1 less the cosine). whittle has one order of heads and of units for
all layers; here each layer has its own. By `magnitude`, a part by the norm of its own weights.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.collect.subnets.network import LAYERS, Weights
from hpobench_llm.collect.subnets.subnet import Whole

Scores = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Orders:
    """The numbers of the parts, the most important first; `heads` are groups with common keys."""

    width: tuple[int, ...]
    layers: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    units: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(scores: Scores, whole: Whole) -> "Orders":
        """Return the orders by falling scores; of equal ones the first comes first."""
        return Orders(
            width=_falling(scores["width"]),
            layers=_falling(scores["layers"]),
            heads=tuple(_falling(scores[f"heads.{i}"]) for i in range(whole.layers)),
            units=tuple(_falling(scores[f"units.{i}"]) for i in range(whole.layers)),
        )

    @property
    def sha256(self) -> str:
        """The sum of all of it."""
        return sha256_of_text(canonical_json([self.width, self.layers, self.heads, self.units]))


def _falling(scores: torch.Tensor) -> tuple[int, ...]:
    # Stable: an unstable sort may order equal scores otherwise on another device.
    return tuple(scores.double().argsort(descending=True, stable=True).tolist())


def by_activation(model: PreTrainedModel, batches: Iterable[torch.Tensor], whole: Whole) -> Scores:
    """Return each part's score on rows of `(1, tokens)` ids, without padding."""
    sums: Scores = defaultdict(lambda: torch.zeros((), dtype=torch.float64))

    def add(name: str, values: torch.Tensor) -> None:
        sums[name] = sums[name] + values.double().cpu()

    def heads(name: str, _: Any, inputs: tuple[torch.Tensor]) -> None:
        rows = inputs[0].flatten(0, -2)
        outputs = rows.reshape(len(rows), whole.key_heads, -1)
        add(name, outputs.norm(dim=-1).sum(0))

    def units(name: str, _: Any, inputs: tuple[torch.Tensor]) -> None:
        add(name, inputs[0].flatten(0, -2).abs().sum(0))

    def width(_: Any, inputs: Any, output: torch.Tensor) -> None:
        add("width", output.flatten(0, -2).abs().sum(0))

    def turned(name: str, _: Any, inputs: tuple[torch.Tensor], output: Any) -> None:
        after = output[0] if isinstance(output, tuple) else output
        add(name, (1 - torch.cosine_similarity(inputs[0], after, dim=-1)).sum())

    inner: Any = model.model
    hooks: list[Any] = [inner.norm.register_forward_hook(width)]
    for number, layer in enumerate(inner.layers):
        hooks += [
            # Before the projections, where the heads and the units still stand side by side.
            layer.self_attn.o_proj.register_forward_pre_hook(partial(heads, f"heads.{number}")),
            layer.mlp.down_proj.register_forward_pre_hook(partial(units, f"units.{number}")),
            layer.input_layernorm.register_forward_hook(width),
            layer.post_attention_layernorm.register_forward_hook(width),
            layer.register_forward_hook(partial(turned, f"layer.{number}")),
        ]
    try:
        with torch.no_grad():
            for ids in batches:
                model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return _with_layers(dict(sums), whole)


def by_magnitude(weights: Weights, whole: Whole) -> Scores:
    """Return the norm of each part's own weights."""
    squares = {name: weight.double().square().cpu() for name, weight in weights.items()}
    scores: Scores = {"width": squares["model.embed_tokens.weight"].sum(0)}
    for number in range(whole.layers):
        layer = {
            name.split(".")[-2]: square
            for name, square in squares.items()
            if name.startswith(f"{LAYERS}{number}.")
        }
        # Query heads that share keys and values are one part.
        attention = layer["q_proj"].sum(1).reshape(whole.key_heads, -1).sum(1)
        attention += layer["o_proj"].sum(0).reshape(whole.key_heads, -1).sum(1)
        for name in ("k_proj", "v_proj"):
            attention += layer[name].sum(1).reshape(whole.key_heads, -1).sum(1)
        scores[f"heads.{number}"] = attention
        inputs = layer["gate_proj"].sum(1) + layer["up_proj"].sum(1)
        scores[f"units.{number}"] = inputs + layer["down_proj"].sum(0)
        scores[f"layer.{number}"] = torch.stack([square.sum() for square in layer.values()]).sum()
    return _with_layers(scores, whole)


def _with_layers(scores: Scores, whole: Whole) -> Scores:
    layers = [scores.pop(f"layer.{number}") for number in range(whole.layers)]
    return scores | {"layers": torch.stack(layers)}


def reordered(weights: Weights, orders: Orders, whole: Whole) -> dict[str, torch.Tensor]:
    """Return the weights of the same function with its parts in order; layers stay in place."""
    width = torch.tensor(orders.width)
    ordered = {}
    for name, weight in weights.items():
        parts = name.split(".")
        rows: dict[str, tuple[torch.Tensor, ...]] = {}
        if name.startswith(LAYERS):
            number = int(parts[2])
            units = torch.tensor(orders.units[number])
            keys = _rows(orders.heads[number], whole.head_size)
            queries = _rows(orders.heads[number], whole.group * whole.head_size)
            rows = {"q_proj": (queries, width), "k_proj": (keys, width), "v_proj": (keys, width)}
            rows |= {"o_proj": (width, queries), "down_proj": (width, units)}
            rows |= dict.fromkeys(("gate_proj", "up_proj"), (units, width))
        else:
            rows = dict.fromkeys(("embed_tokens", "lm_head"), (torch.arange(len(weight)), width))
        gain = (width,)  # what is not named above belongs to a norm
        for axis, indices in enumerate(rows.get(parts[-2], gain)):
            weight = weight.index_select(axis, indices.to(weight.device))
        ordered[name] = weight
    return ordered


def _rows(groups: tuple[int, ...], size: int) -> torch.Tensor:
    """Return the rows of groups of `size` rows each."""
    return (torch.tensor(groups)[:, None] * size + torch.arange(size)).flatten()
