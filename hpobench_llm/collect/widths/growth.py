"""Warm starts: a wider model's first weights from a smaller one's that has been trained.

After Mallik et al., "Warmstarting for Scaling Language Models" (arXiv 2411.07340): shrink, pad
with zeros, perturb with the wider model's own initialisation,

    W = pad(shrink * W_small) + E.

Ours, since the paper's text does not say it: the small block lies in the corner (its heads are the
first heads, its units the first units); gains of norms are copied, not shrunk, and new ones are 1;
E is the whole first weights of a cold start, in the run's own parametrisation.

Without E and shrinking, a network without norms computes what the small one computes. An RMSNorm
over the wider vector gives sqrt(width / small width) times as much, and the logits of muP are
divided by a larger multiplier.
"""

from collections.abc import Mapping

import torch

from hpobench_llm.collect.widths.model import Transformer, is_gain


@torch.no_grad()
def grow(model: Transformer, small: Mapping[str, torch.Tensor], shrink: float) -> None:
    """Add the shrunk weights of a smaller model, by name, to a model's first ones, in place."""
    # The model holds a cold start's first weights already: they are E.
    for name, weight in model.named_parameters():
        block = small[name]
        corner = weight[tuple(slice(size) for size in block.shape)]
        if is_gain(weight):
            corner.copy_(block)
        else:
            corner.add_(block, alpha=shrink)
