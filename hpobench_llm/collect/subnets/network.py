"""A LLaMA whose sub-networks share its weights: each is made of slices of them.

The parts are in the order of their importance (see `importance`), so a slice keeps the first.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from hpobench_llm.collect.subnets.subnet import Subnet, Whole

Weights = Mapping[str, torch.Tensor]
LAYERS = "model.layers."


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return a copy of a model's parameters in float32; a tied head is the embedding's."""
    return {name: p.detach().float().clone() for name, p in model.named_parameters()}


def cut(weights: Weights, subnet: Subnet, whole: Whole) -> dict[str, torch.Tensor]:
    """Return the weights of a sub-network, views into those of the whole; layers renumbered."""
    width, units = slice(subnet.width), slice(subnet.units)
    queries = slice(subnet.heads * whole.head_size)
    keys = slice(subnet.heads // whole.group * whole.head_size)
    slices: dict[str, tuple[slice, ...]] = {
        "q_proj": (queries, width),
        "k_proj": (keys, width),
        "v_proj": (keys, width),
        "o_proj": (width, queries),
        "gate_proj": (units, width),
        "up_proj": (units, width),
        "down_proj": (width, units),
        "embed_tokens": (slice(None), width),
        "lm_head": (slice(None), width),
    }
    new_numbers = {str(number): str(new) for new, number in enumerate(subnet.layers)}
    own = {}
    for name, weight in weights.items():
        parts = name.split(".")
        if name.startswith(LAYERS):
            if parts[2] not in new_numbers:
                continue
            parts[2] = new_numbers[parts[2]]
        gain = (width,)  # what is not named above belongs to a norm
        own[".".join(parts)] = weight[slices.get(parts[-2], gain)]
    return own


class Skeletons:
    """LLaMAs without weights, one for each number of layers, to be called with any weights.

    transformers' LLaMA reads how many heads and units it has off its weights.
    """

    def __init__(self, base: PreTrainedModel) -> None:
        self._config = base.config
        self._device = next(base.parameters()).device
        self._by_layers: dict[int, LlamaForCausalLM] = {}

    def of(self, subnet: Subnet) -> LlamaForCausalLM:
        """Return the skeleton with as many layers."""
        count = len(subnet.layers)
        if count not in self._by_layers:
            self._by_layers[count] = _skeleton(self._config, self._device, num_hidden_layers=count)
        return self._by_layers[count]


class Linked(nn.Module):
    """A sub-network that computes with slices of the super-network's own weights.

    The gradients of its loss are those of the super-network's weights.
    """

    def __init__(
        self, skeletons: Skeletons, weights: Weights, subnet: Subnet, whole: Whole
    ) -> None:
        super().__init__()
        self._skeleton = skeletons.of(subnet)
        self._weights = cut(weights, subnet, whole)

    def get_output_embeddings(self) -> Any:
        """Return the head, as a model of transformers does."""
        return self._skeleton.get_output_embeddings()

    def forward(self, **inputs: Any) -> Any:
        """Return what the sub-network answers, as a model of transformers does."""
        return functional_call(self._skeleton, self._weights, (), inputs)


def extracted(base: PreTrainedModel, weights: Weights, subnet: Subnet, whole: Whole) -> Any:
    """Return a sub-network as a model of its own, with a copy of its weights."""
    model = _skeleton(
        base.config,
        next(base.parameters()).device,
        hidden_size=subnet.width,
        intermediate_size=subnet.units,
        num_hidden_layers=len(subnet.layers),
        num_attention_heads=subnet.heads,
        num_key_value_heads=subnet.heads // whole.group,
        head_dim=whole.head_size,
    )
    own = {name: part.detach().clone() for name, part in cut(weights, subnet, whole).items()}
    # Not strict: a tied head is missing, which `tie_weights` adds.
    model.load_state_dict(own, strict=False, assign=True)
    model.tie_weights()
    return model.requires_grad_(False).eval()


def _skeleton(config: Any, device: torch.device, **sizes: int) -> LlamaForCausalLM:
    config = copy.deepcopy(config)
    for name, size in sizes.items():
        setattr(config, name, size)
    with torch.device("meta"):  # no memory and no draws: the weights come from elsewhere
        model = LlamaForCausalLM(config)
    # Its table of frequencies is no weight: nothing would replace it on the meta device.
    model.model.rotary_emb = LlamaRotaryEmbedding(config).to(device)
    return model.eval()
