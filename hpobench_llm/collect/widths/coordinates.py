"""The coordinate check: how large activations are, which under muP does not depend on the width.

Yang et al. 2022 (arXiv 2203.03466), appendix D.1: the mean absolute coordinate of an activation
after a few updates, over the width.
"""

from collections.abc import Callable

import torch
from torch import nn

from hpobench_llm.collect.widths.model import Transformer

SIZES = {
    "attention_size": "what the last layer's attention adds to the residual stream",
    "mlp_size": "what the last layer's MLP adds to it",
    "residual_size": "the residual stream after the last layer",
    "logit_size": "the logits",
}


@torch.no_grad()
def activation_sizes(model: Transformer, ids: torch.Tensor) -> dict[str, float]:
    """Return the mean absolute coordinate of each of `SIZES` on `(rows, tokens)` ids."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            outputs[name] = output

        return hook

    last = model.layers[-1]
    parts = {"attention_size": last.attention, "mlp_size": last.mlp}
    handles = [
        part.register_forward_hook(keep(name))  # type: ignore[union-attr]
        for name, part in parts.items()
    ]
    outputs["residual_size"] = model.residual(ids)
    outputs["logit_size"] = model.logits(outputs["residual_size"])
    for handle in handles:
        handle.remove()
    return {name: outputs[name].abs().mean().item() for name in SIZES}
