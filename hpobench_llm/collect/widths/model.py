"""The model: LLaMA's architecture with the multipliers of a parametrisation.

With standard scales it computes what transformers' `LlamaForCausalLM` computes; a test holds it.
"""

import torch
from torch import nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from hpobench_llm.collect.widths.parametrisation import Scales
from hpobench_llm.collect.widths.spec import VOCABULARY, WidthsModel

EPSILON = 1e-6  # under the root of a norm
_ROTARY_BASE = 10_000.0


class Norm(nn.Module):
    """RMSNorm (Zhang and Sennrich 2019) with a gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(..., width)` vectors at a root mean square of 1, times the gain."""
        return rms_norm(x, self.gain.shape, self.gain, EPSILON)


class Attention(nn.Module):
    """Causal attention with rotary positions; heads of one size, as many as fill the width."""

    def __init__(self, width: int, head_size: int, scale: float) -> None:
        super().__init__()
        self._head_size, self._scale = head_size, scale
        self.query, self.key, self.value, self.project = (_linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        """Return `(rows, tokens, width)`; `cosine` and `sine` are `(tokens, head_size)`."""
        rows, tokens, width = x.shape
        query, key, value = (
            layer(x).view(rows, tokens, -1, self._head_size).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        query, key = (_rotated(part, cosine, sine) for part in (query, key))
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True, scale=self._scale)
        projected: torch.Tensor = self.project(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return projected


class Mlp(nn.Module):
    """Gated SiLU (Shazeer 2020)."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.gate, self.up = _linear(width, units), _linear(width, units)
        self.project = _linear(units, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(..., width)`."""
        projected: torch.Tensor = self.project(silu(self.gate(x)) * self.up(x))
        return projected


class Layer(nn.Module):
    """Attention and MLP, each added to the residual stream."""

    def __init__(self, model: WidthsModel, width: int, scale: float, *, norms: bool) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = _norm(width, norms), _norm(width, norms)
        self.attention = Attention(width, model.head_size, scale)
        self.mlp = Mlp(width, model.mlp_ratio * width)

    def forward(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        """Return the residual stream, `(rows, tokens, width)`."""
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        x = x + self.mlp(self.mlp_norm(x))
        return x


class Transformer(nn.Module):
    """A language model over bytes with a tied head; `norms=False` leaves the norms out."""

    def __init__(
        self, model: WidthsModel, width: int, scales: Scales, *, norms: bool = True
    ) -> None:
        super().__init__()
        self.scales = scales
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList(
            Layer(model, width, scales.attention_scale, norms=norms) for _ in range(model.layers)
        )
        self.final_norm = _norm(width, norms)
        cosine, sine = _rotary(model.context_tokens, model.head_size)
        # Buffers move with the model; they follow from its shape and are no part of its weights.
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the logits `(rows, tokens, vocabulary)` of `(rows, tokens)` ids."""
        return self.logits(self.residual(ids))

    def residual(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the residual stream after the last layer, `(rows, tokens, width)`."""
        x = self.embedding(ids)
        tokens = ids.shape[1]
        for layer in self.layers:
            x = layer(x, self.cosine[:tokens], self.sine[:tokens])  # type: ignore[index]
        return x  # type: ignore[no-any-return]

    def logits(self, residual: torch.Tensor) -> torch.Tensor:
        """Return the logits of a residual stream."""
        scaled = self.final_norm(residual) * self.scales.logit_scale
        return scaled @ self.embedding.weight.T  # type: ignore[no-any-return]


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Draw the first weights: normal with the deviations of its scales, gains 1.

    Parametrisations draw the same numbers at one width and seed, and scale them differently.
    """
    draws = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if is_gain(weight):
            weight.fill_(1.0)
        else:
            weight.copy_(torch.randn(weight.shape, generator=draws) * _std(name, model.scales))


def is_gain(weight: torch.Tensor) -> bool:
    """Say whether a parameter is the gain of a norm: the only vectors."""
    return weight.dim() == 1


def is_hidden(name: str) -> bool:
    """Say whether a parameter of this name is a matrix between hidden layers."""
    return name.startswith("layers.") and name.endswith(".weight")


def _std(name: str, scales: Scales) -> float:
    if name.endswith(".project.weight"):
        return scales.residual_std
    return scales.hidden_std if is_hidden(name) else scales.embedding_std


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def _norm(width: int, norms: bool) -> nn.Module:
    return Norm(width) if norms else nn.Identity()


def _rotary(tokens: int, head_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of each position's angles, `(tokens, head_size)` each."""
    # In float64, and rounded once at the end.
    speeds = _ROTARY_BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angles = torch.outer(torch.arange(tokens, dtype=torch.float64), speeds).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()


def _rotated(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
