"""A campaign of sub-networks: the base, the training of the super-network, the grid."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from hpobench_llm.collect.campaign.identity import Identity, essence, identity_of
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.lora.recipe import Base, Data, DataSource, Score
from hpobench_llm.collect.subnets.sampling import calibrated
from hpobench_llm.collect.subnets.subnet import (
    JOINT,
    LAYER,
    SMALL,
    Whole,
    parameters,
    subnet_of,
)
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Configuration, Ordinal, Space

STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How weights are trained: the whole network first, then the super-network.

    A step of the super-network sums the gradients of the whole, of random sub-networks and of the
    smallest; all but the whole learn from its answers.

    Args:
        finetune_steps: steps of the whole network before, 0 or more.
        batch_rows: rows of a step, at least 1.
        lr: the peak learning rate of AdamW, above 0.
        warmup_fraction: the share of the steps over which it rises, from 0 to 1.
        weight_decay: AdamW's, 0 or more.
        clip_norm: the largest norm of a gradient, above 0.
        temperature: that of the whole's answers as they are learned, above 0.
        random_subnets: random sub-networks of a step, 0 or more.
        weights: with `lora` only adapters of all linear modules of the layers are trained.
        rank: that of these adapters, at least 1.
        alpha_ratio: alpha divided by the rank, above 0.
    """

    finetune_steps: int = 0
    batch_rows: int = 8
    lr: float = 1e-3
    warmup_fraction: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    temperature: float = 10.0
    random_subnets: int = 2
    weights: Literal["full", "lora"] = "full"
    rank: int = 16
    alpha_ratio: float = 2.0

    def __post_init__(self) -> None:
        if min(self.lr, self.clip_norm, self.temperature, self.alpha_ratio) <= 0:
            raise ValueError("lr, clip_norm, temperature and alpha_ratio must be above 0")
        if min(self.batch_rows, self.rank) < 1:
            raise ValueError("batch_rows and rank must be at least 1")
        if min(self.finetune_steps, self.random_subnets, self.weight_decay) < 0:
            raise ValueError(
                "finetune_steps, random_subnets and weight_decay must not be negative"
            )
        if not 0 <= self.warmup_fraction <= 1:
            raise ValueError(f"warmup_fraction must be from 0 to 1, got {self.warmup_fraction}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The rows on which the importance of parts is measured.

    Args:
        rows: how many, at least 1.
        source: where they come from; left out, they are training rows.
    """

    rows: int = 64
    source: tuple[DataSource, ...] = ()

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetsCampaign(Campaign):
    """Sub-networks of a super-network. A run is one of them and one super-network's seed.

    Args:
        base: the model that is cut, a LLaMA without biases; `shape` is needed.
        data: what is learned.
        grid: the axes of one space: `layers`, `heads`, `units` (SMALL); `layer_0`, `layer_1`, ...
            of 0 or 1 (LAYER); `width`, `heads`, `mlp_ratio`, `depth` (joint).
        checkpoints: the steps of the super-network's training at which sub-networks are measured,
            increasing; 0 is the fine-tuned network, cut by importance alone.
        training: how the super-network is trained.
        calibration: the rows by which importance is measured.
        importance: by what the parts of the base are ordered.
        score: benchmark scores beside the losses.
        sample: how many configurations are measured, drawn by `bins` of parameter counts; 0: all.
        bins: how many bins, at least 1.
        alone: how many configurations, the first ones, are trained alone too, for as many steps,
            from the fine-tuned weights.
        latency_rows: rows of a pass whose time is measured, at least 1.
        latency_repeats: passes whose time is measured, at least 1.
    """

    base: Base
    data: Data
    grid: dict[str, tuple[int | float, ...]]
    checkpoints: tuple[int, ...]
    training: Training = field(default_factory=Training)
    calibration: Calibration = field(default_factory=Calibration)
    importance: Literal["activation", "magnitude"] = "activation"
    score: tuple[Score, ...] = ()
    sample: int = 0
    bins: int = 20
    alone: int = 0
    latency_rows: int = 8
    latency_repeats: int = 15

    def __post_init__(self) -> None:
        Campaign.__post_init__(self)  # super() is lost in a class with slots
        steps = self.checkpoints
        if not steps or steps[0] < 0 or list(steps) != sorted(set(steps)):
            raise ValueError(f"`checkpoints` must increase from 0 or more: {list(steps)}")
        if min(self.sample, self.alone) < 0:
            raise ValueError("sample and alone must not be negative")
        if min(self.bins, self.latency_rows, self.latency_repeats) < 1:
            raise ValueError("bins, latency_rows and latency_repeats must be at least 1")
        rows, own = self.calibration.rows, self.calibration.source
        if not own and 0 < self.data.train_rows < rows:
            raise ValueError(f"calibration.rows = {rows} is more than data.train_rows")
        for score in self.score:
            stray = sorted(set(score.checkpoints) - set(steps))
            if stray:
                raise ValueError(f"score {score.name}: {stray} are not among the checkpoints")
        self._check_grid()

    def _check_grid(self) -> None:
        whole = self.whole
        axes, layered = set(self.grid), {f"{LAYER}{number}" for number in range(whole.layers)}
        if axes not in (set(SMALL), set(JOINT), layered):
            raise ValueError(
                f"`grid` has the axes {sorted(axes)}; those of one space are expected: "
                f"{list(SMALL)}, {list(JOINT)} or {LAYER}0 to {LAYER}{whole.layers - 1}"
            )
        for axis, values in self.grid.items():
            if axis != "mlp_ratio" and not all(isinstance(value, int) for value in values):
                raise ValueError(f"`grid.{axis}`: integers are expected: {list(values)}")
            if axis in layered and not set(values) <= {0, 1}:
                raise ValueError(f"`grid.{axis}`: 0 (dropped) or 1 (kept), got {list(values)}")
        widths = self.grid.get("width", (whole.width,))
        for axis, values in self.grid.items():
            for value in values:
                # A ratio gives other units at each width.
                for width in widths if axis == "mlp_ratio" else widths[:1]:
                    try:
                        subnet_of({"width": width, axis: value}, whole)
                    except ValueError as error:
                        raise ValueError(f"`grid.{axis}`: {error}") from None
        cells = math.prod(map(len, self.grid.values()))
        if self.sample > cells:
            raise ValueError(f"`sample` = {self.sample}, but the grid has {cells} configurations")
        self._check_repeats()

    @property
    def whole(self) -> Whole:
        """The sizes of the base; a campaign that has none is not made."""
        shape = self.base.shape
        if shape is None or shape.family != "llama":
            raise ValueError("`base.shape` must give the sizes of a LLaMA, to count parameters by")
        if shape.heads % (shape.key_value_heads or shape.heads):
            raise ValueError("`base.shape.heads` is no multiple of its key_value_heads")
        return Whole.of(shape)

    @property
    def space(self) -> Space:
        """The axes of the grid, all of them ordinal."""
        return Space(
            tuple(
                Ordinal(axis, tuple(map(float if axis == "mlp_ratio" else int, values)))
                for axis, values in self.grid.items()
            )
        )

    @property
    def fidelity(self) -> Fidelity:
        """The axis along which sub-networks are measured: steps of the super-network."""
        rows = self.training.batch_rows
        return Fidelity(
            name=STEP, unit=f"super-network steps of {rows} rows", values=self.checkpoints
        )

    @property
    def mixture(self) -> Mapping[str, tuple[float, ...]]:
        """No share of a source is an axis."""
        return {}

    def configs(self) -> list[Configuration]:
        """Return all configurations, or a sample of them calibrated by parameter counts."""
        if not self.sample:
            return Campaign.configs(self)
        return list(_sampled(self.space, self.whole, self.sample, self.bins))

    def smallest(self) -> Configuration:
        """Return the smallest sub-network of the grid."""
        return {axis.name: min(axis.levels or ()) for axis in self.space}

    def largest(self) -> Configuration:
        """Return the largest sub-network of the grid."""
        return {axis.name: max(axis.levels or ()) for axis in self.space}

    def identity(self) -> Identity:
        """Return what a ledger of this campaign is known by.

        The grid belongs to it, since the super-network's random sub-networks come from it.
        """
        base = essence(self.base)
        base.pop("shape", None)  # only estimates read it
        recipe = essence(self) | {"base": base}
        for name in ("sample", "bins", "alone"):  # which runs there are, or more to a record
            recipe.pop(name, None)
        return identity_of(self.name, recipe | {"searched": recipe["grid"]})


# A campaign is asked for its runs many times; the sizes of its grid are counted once.
@lru_cache(maxsize=8)
def _sampled(space: Space, whole: Whole, count: int, bins: int) -> tuple[Configuration, ...]:
    configs = list(space.configurations())
    sizes = [parameters(subnet_of(config, whole), whole) for config in configs]
    return tuple(configs[index] for index in calibrated(sizes, count, bins))
