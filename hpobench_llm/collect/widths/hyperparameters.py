"""The hyperparameters of one run: everything that a campaign can fix or vary."""

import math
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthsHyperparameters:
    """Everything that can be varied in a run; an axis of the grid overrides a default.

    Args:
        width: that of the residual stream, a whole number of heads.
        parametrisation: `sp` (standard) or `mup`, see the module of that name.
        lr: the peak learning rate of Adam, above 0, reached after the warm-up and then decayed to
            zero by a cosine.
        init_std: the standard deviation of the embedding's first weights, and of the hidden ones
            at the base width, above 0.
        shrink: the factor on the smaller model's weights in a warm start, at most 1; 0 is a cold
            start.
        batch_rows: rows that make one update, at least 1.
        warmup_fraction: the share of the updates over which the rate rises, below 1.
        clip_norm: the largest norm of a gradient, above 0.
        beta1: Adam's, from 0 to below 1.
        beta2: Adam's, from 0 to below 1.
        epsilon: Adam's, above 0.
    """

    width: int = 32
    parametrisation: Literal["sp", "mup"] = "sp"
    lr: float = 1e-2
    init_std: float = 0.02
    shrink: float = 0.0
    batch_rows: int = 16
    warmup_fraction: float = 0.1
    clip_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        rules = {
            "width": self.width >= 1,
            "lr": self.lr > 0,
            "init_std": self.init_std > 0,
            "shrink": 0 <= self.shrink <= 1,
            "batch_rows": self.batch_rows >= 1,
            "warmup_fraction": 0 <= self.warmup_fraction < 1,
            "clip_norm": self.clip_norm > 0,
            "beta1": 0 <= self.beta1 < 1,
            "beta2": 0 <= self.beta2 < 1,
            "epsilon": self.epsilon > 0,
        }
        for name, holds in rules.items():
            if not holds or not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)!r} is outside its range")
        if self.parametrisation not in ("sp", "mup"):
            raise ValueError(f"parametrisation = {self.parametrisation!r} is neither sp nor mup")

    @property
    def warm(self) -> bool:
        """Whether a run starts from a smaller model's weights."""
        return self.shrink > 0


NAMES = tuple(field.name for field in fields(WidthsHyperparameters))
NOMINAL = ("parametrisation",)
LOGARITHMIC = ("width", "lr", "init_std", "batch_rows", "clip_norm", "epsilon")
