"""How first weights, learning rates and multipliers follow from the width: standard, or muP.

muP for Adam as in EleutherAI/nanoGPT-mup (after Yang et al. 2022, arXiv 2203.03466), with
m = width / base width:

| | sp | mup |
|---|---|---|
| embedding: std, rate | sigma, lr | sigma, lr |
| hidden: std, rate | sigma, lr | sigma / sqrt(m), lr / m |
| projections back into the residual stream: std | sigma / sqrt(2 layers) | the same / sqrt(m) |
| logits times | 1 | 1 / m |
| attention logits times | 1 / sqrt(head size) | 1 / head size |
| Adam's epsilon | epsilon | epsilon / m |

The tied head has the embedding's weights. Gains of norms start at 1 and have the rate lr. Ours:
heads keep their size and grow in number, so the attention scale does not depend on the width.
"""

import math
from dataclasses import dataclass

from hpobench_llm.collect.widths.hyperparameters import WidthsHyperparameters
from hpobench_llm.collect.widths.spec import WidthsModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """What a model of one width is made and trained with.

    `*_std` are standard deviations of first weights, `*_scale` factors of the forward pass,
    `hidden_lr` and `epsilon` those of Adam; the other learning rates are `lr`.
    """

    embedding_std: float
    hidden_std: float
    residual_std: float
    attention_scale: float
    logit_scale: float
    lr: float
    hidden_lr: float
    epsilon: float


def scales_of(model: WidthsModel, hyper: WidthsHyperparameters) -> Scales:
    """Return the scales of a run's model."""
    mup = hyper.parametrisation == "mup"
    m = hyper.width / model.base_width if mup else 1.0
    hidden = hyper.init_std / math.sqrt(m)
    return Scales(
        embedding_std=hyper.init_std,
        hidden_std=hidden,
        residual_std=hidden / math.sqrt(2 * model.layers),
        attention_scale=model.head_size ** (-1.0 if mup else -0.5),
        logit_scale=1 / m,
        lr=hyper.lr,
        hidden_lr=hyper.lr / m,
        epsilon=hyper.epsilon / m,
    )
