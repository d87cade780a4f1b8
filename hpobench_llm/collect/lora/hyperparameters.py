"""The hyperparameters of one fine-tune: everything that a campaign can fix or vary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from hpobench_llm.collect.lora.targets import ALL_LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Everything that can be varied in a run; an axis of the grid overrides a default.

    Args:
        rank: LoRA's rank, at least 1.
        alpha_ratio: LoRA's alpha divided by its rank, above 0; what the adapter's output is
            scaled by.
        dropout: that of LoRA's input, from 0 to 1.
        lr: the peak learning rate of AdamW, above 0, reached after the warm-up and then decayed
            to zero by a cosine.
        batch_rows: rows that make one update, a multiple of `step_rows`.
        train_fraction: the share of the training rows that is used, above 0, at most 1.
        warmup_fraction: the share of the updates over which the rate rises, below 1.
        weight_decay: AdamW's, 0 or more.
        clip_norm: the largest norm of a gradient, above 0.
        beta1: AdamW's, from 0 to below 1.
        beta2: AdamW's, from 0 to below 1.
        epsilon: AdamW's, above 0.
        scaling: with `rslora` the adapter's output is scaled by alpha divided by the root of the
            rank (Kalajdzievski 2023).
        target_modules: the modules with adapters: `all-linear`, or `attention`, `mlp` and names of
            modules, as a list or joined by commas (which they are afterwards, without spaces).
        layer_fraction: the share of the layers that carry adapters, the last ones, above 0, at
            most 1: below the first of them nothing is propagated back.
    """

    rank: int = 8
    alpha_ratio: float = 2.0
    dropout: float = 0.0
    lr: float = 1e-3
    batch_rows: int = 8
    train_fraction: float = 1.0
    warmup_fraction: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    scaling: Literal["lora", "rslora"] = "lora"
    target_modules: str | tuple[str, ...] = ALL_LINEAR
    layer_fraction: float = 1.0

    def __post_init__(self) -> None:
        rules = {
            "rank": self.rank >= 1,
            "alpha_ratio": self.alpha_ratio > 0,
            "dropout": 0 <= self.dropout <= 1,
            "lr": self.lr > 0,
            "batch_rows": self.batch_rows >= 1,
            "train_fraction": 0 < self.train_fraction <= 1,
            "warmup_fraction": 0 <= self.warmup_fraction < 1,
            "weight_decay": self.weight_decay >= 0,
            "clip_norm": self.clip_norm > 0,
            "beta1": 0 <= self.beta1 < 1,
            "beta2": 0 <= self.beta2 < 1,
            "epsilon": self.epsilon > 0,
            "layer_fraction": 0 < self.layer_fraction <= 1,
        }
        for name, holds in rules.items():
            if not holds or not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)!r} is outside its range")
        if self.scaling not in ("lora", "rslora"):
            raise ValueError(f"scaling = {self.scaling!r} is neither lora nor rslora")
        # One spelling, so that equal lists of modules are equal settings.
        object.__setattr__(self, "target_modules", self.targets)

    @property
    def targets(self) -> str:
        """`target_modules` in their one spelling."""
        return module_names(self.target_modules)

    def layers(self, count: int) -> range:
        """Return which of a base's `count` layers carry adapters: at least the last one."""
        return range(count - max(1, round(self.layer_fraction * count)), count)

    @property
    def scale(self) -> float:
        """What the adapter's output `B A x` is multiplied by."""
        return self.alpha_ratio * (math.sqrt(self.rank) if self.scaling == "rslora" else 1.0)


def module_names(names: str | Sequence[str]) -> str:
    """Return module names, given as a list or joined by commas, in one spelling: `q_proj,v_proj`.

    Raises:
        ValueError: there is none, an empty one, or one twice.
    """
    listed = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    if not listed or not all(listed):
        raise ValueError(f"target_modules = {names!r} names no module")
    if len({*listed}) < len(listed) or (ALL_LINEAR in listed and len(listed) > 1):
        raise ValueError(f"target_modules = {names!r} names a module twice")
    return ",".join(listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An axis whose values are not listed: the numbers from `low` to `high`, both included.

    They are whole where the hyperparameter is.

    Args:
        low: the least value.
        high: the largest value.
        log: whether it is spaced by its logarithm; left out, as for a list of its values.
    """

    low: int | float
    high: int | float
    log: bool | None = None


STEP = "step"  # the fidelity's column
NAMES = tuple(field.name for field in fields(Hyperparameters))
TARGETS = "target_modules"
NOMINAL = ("scaling", TARGETS)
LOGARITHMIC = (
    "rank",
    "alpha_ratio",
    "lr",
    "batch_rows",
    "train_fraction",
    "layer_fraction",
    "clip_norm",
    "epsilon",
)
