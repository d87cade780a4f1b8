"""A campaign of models of several widths: their shape, their text and the grid."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.training.corpus import Corpus
from hpobench_llm.collect.widths.hyperparameters import (
    LOGARITHMIC,
    NAMES,
    NOMINAL,
    WidthsHyperparameters,
)
from hpobench_llm.errors import nearest
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Configuration, Dimension, Ordinal, Space

STEP = "step"  # the fidelity's column
VOCABULARY = 257  # the bytes, and one token that ends a paragraph
EQUAL_ODDS = math.log(VOCABULARY)  # nats a byte, the loss of equal odds for each


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthsModel:
    """What models of all widths share: LLaMA's architecture, heads of one size, tied embedding.

    Args:
        layers: at least 1.
        head_size: even, at least 2; a model of width `d` has `d / head_size` heads.
        mlp_ratio: its gated MLP has `mlp_ratio * d` units, at least 1.
        context_tokens: bytes of a row, at least 2.
        base_width: the width at which muP's multiplier is 1.
    """

    layers: int = 2
    head_size: int = 16
    mlp_ratio: int = 3
    context_tokens: int = 64
    base_width: int = 32

    def __post_init__(self) -> None:
        for name in ("layers", "head_size", "mlp_ratio", "base_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.context_tokens < 2:
            raise ValueError(f"context_tokens must be at least 2, got {self.context_tokens}")
        if self.head_size % 2:
            raise ValueError(f"head_size must be even (rotary positions), got {self.head_size}")

    def check_width(self, width: int) -> None:
        """Check that a width is a whole number of heads.

        Raises:
            ValueError: it is not.
        """
        if width < 1 or width % self.head_size:
            raise ValueError(
                f"width {width} is no whole number of heads of model.head_size = {self.head_size}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """How many rows of `model.context_tokens` bytes are trained and measured on, all disjoint.

    Args:
        train_rows: training rows, at least 1.
        val_rows: validation rows, at least 1.
        test_rows: test rows, at least 1.
    """

    train_rows: int
    val_rows: int = 64
    test_rows: int = 64

    def __post_init__(self) -> None:
        for name in ("train_rows", "val_rows", "test_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthsCampaign(Campaign):
    """A grid of models trained from their first step. A run is one configuration and one seed.

    A run is `diverged` from where a loss is not finite, or at the end if its validation loss
    exceeds `diverged_factor` times that of equal odds for every byte.

    Args:
        corpus: the text, at least one source.
        text: how many rows of it.
        grid: the axes, each a hyperparameter and the list of its values; every combination is run.
        checkpoints: the updates at which losses are recorded, increasing, 0 first.
        model: what models of all widths share.
        warm_from: for each width of the grid the smaller one that its warm starts grow from: the
            same configuration and seed at that width from a cold start, trained to its end. It
            may be a width outside the grid, and is left out where no run starts warm.
        defaults: the hyperparameters that are no axis.
        diverged_factor: above 0; see above.
    """

    corpus: tuple[Corpus, ...]
    text: Text
    grid: dict[str, tuple[int | float | str, ...]]
    checkpoints: tuple[int, ...]
    model: WidthsModel = field(default_factory=WidthsModel)
    warm_from: tuple[int, ...] = ()
    defaults: WidthsHyperparameters = field(default_factory=WidthsHyperparameters)
    diverged_factor: float = 1.0

    def __post_init__(self) -> None:
        Campaign.__post_init__(self)  # super() is lost in a class with slots
        if not self.corpus:
            raise ValueError("`corpus` is empty: name at least one text")
        if self.per_example_runs:
            raise ValueError("`per_example_runs`: this family keeps no single items")
        if len(self.checkpoints) < 2 or self.checkpoints[0] != 0:
            raise ValueError("`checkpoints` must start at 0 and hold at least one more step")
        if any(a >= b for a, b in zip(self.checkpoints, self.checkpoints[1:], strict=False)):
            raise ValueError(f"`checkpoints` must increase: {list(self.checkpoints)}")
        if not 0 < self.diverged_factor * EQUAL_ODDS < math.inf:
            raise ValueError(
                f"`diverged_factor` must be above 0, and times {EQUAL_ODDS:.4f} nats finite, got "
                f"{self.diverged_factor}"
            )
        self._check_grid()
        self._check_widths()
        self._check_repeats()

    def _check_grid(self) -> None:
        if not self.grid or not all(self.grid.values()):
            raise ValueError("`grid` is empty: name at least one axis with at least one value")
        for axis, values in self.grid.items():
            if axis not in NAMES:
                raise ValueError(f"`grid.{axis}`: unknown hyperparameter{nearest(axis, NAMES)}")
            whole = type(getattr(self.defaults, axis)) is int
            for value in values:
                if isinstance(value, str) != (axis in NOMINAL):
                    kind = "name" if axis in NOMINAL else "number"
                    raise ValueError(f"`grid.{axis}`: a {kind} is expected, got {value!r}")
                if whole and not isinstance(value, int):
                    raise ValueError(f"`grid.{axis}`: an integer is expected, got {value!r}")
                self.hyperparameters({axis: value})
        _ = self.space  # checks its own rules: increasing values, positive where logarithmic

    def _check_widths(self) -> None:
        widths = self.extent("width")
        for width in (*widths, *self.warm_from):
            self.model.check_width(width)
        if not self.warm_from:
            if max(self.extent("shrink")) > 0:
                raise ValueError(
                    "`warm_from`: `shrink` above 0 starts from a smaller model; name its width "
                    f"for each of {list(widths)}"
                )
            return
        if len(self.warm_from) != len(widths):
            raise ValueError(
                f"`warm_from` = {list(self.warm_from)}: one width is expected for each of "
                f"{list(widths)}"
            )
        for width, source in zip(widths, self.warm_from, strict=True):
            if source >= width:
                raise ValueError(
                    f"`warm_from`: width {width} cannot grow from {source}, which is not smaller"
                )

    def extent(self, name: str) -> tuple[Any, ...]:
        """Return the values that a hyperparameter takes: those in the grid, else its default."""
        return self.grid.get(name, (getattr(self.defaults, name),))

    @property
    def space(self) -> Space:
        """The axes of the grid: ordinal ones, and categorical ones for names."""
        return Space(tuple(map(self._dimension, self.grid)))

    def _dimension(self, axis: str) -> Dimension:
        kind = type(getattr(self.defaults, axis))
        values = tuple(kind(value) for value in self.grid[axis])
        if axis in NOMINAL:
            return Categorical(axis, values)
        return Ordinal(axis, values, log=axis in LOGARITHMIC)

    @property
    def fidelity(self) -> Fidelity:
        """The axis along which runs are measured: updates."""
        return Fidelity(name=STEP, unit="updates", values=self.checkpoints)

    def hyperparameters(self, config: Configuration) -> WidthsHyperparameters:
        """Return all hyperparameters of a configuration, defaults filled in."""
        typed = {name: type(getattr(self.defaults, name))(v) for name, v in config.items()}
        return dataclasses.replace(self.defaults, **typed)

    def source_of(self, run: Run) -> WidthsHyperparameters | None:
        """Return the hyperparameters of the model that a run grows from; None for a cold start."""
        hyper = self.hyperparameters(run.config)
        if not hyper.warm:
            return None
        width = self.warm_from[self.extent("width").index(hyper.width)]
        return dataclasses.replace(hyper, width=width, shrink=0.0)
