"""A campaign of LoRA fine-tunes: its base, data, scores and grid."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from hpobench_llm.collect.campaign.identity import Identity, essence, identity_of
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.lora.format_2 import sum_of_format_2
from hpobench_llm.collect.lora.hyperparameters import (
    LOGARITHMIC,
    NAMES,
    NOMINAL,
    STEP,
    TARGETS,
    Hyperparameters,
    Range,
    module_names,
)
from hpobench_llm.collect.lora.mixture import SHARE, axes_of, check_sources, simplexes_of
from hpobench_llm.collect.lora.recipe import Base, Data, Score
from hpobench_llm.errors import nearest
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Space,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraCampaign(Campaign):
    """A grid of real fine-tunes. A run is one configuration and one seed.

    A run is `diverged` from where a loss is not finite, or at the end if its validation loss
    exceeds `diverged_factor` times that of the untrained base.

    Args:
        base: the frozen model.
        data: what is learned.
        grid: the axes, each a hyperparameter and the list of its values; every combination is run.
            A campaign with a `Range` instead of a list cannot be collected, only tuned on as it is
            (`benchmarks/live.py`). Values of `target_modules` may be lists.
        checkpoints: the steps at which losses are recorded, increasing: 0 (the untrained base)
            first, the last step last. Every one ends a whole number of batches.
        mixture: levels of the share of each source, by its name: axes too, `share_<source>`, in
            all combinations that sum to one. It needs `data.train_rows`, the rows that are shared
            out; validation and test rows are then equal parts of the sources.
        step_rows: rows of one forward and backward pass, at least 1. With `passes` a configuration
            updates its weights every `batch_rows / step_rows` steps, so that all have seen the
            same rows at a step.
        steps_are: with `updates` a step is an update, made of so many passes: larger batches see
            more rows and cost more.
        defaults: the hyperparameters that are no axis.
        score: benchmark scores beside the losses.
        diverged_factor: above 0; see above.
        solo_runs: how many runs of each class of equal cost the packed engine trains once more
            alone, to know their true seconds.
    """

    base: Base
    data: Data
    grid: dict[str, tuple[int | float | str | tuple[str, ...], ...] | Range]
    checkpoints: tuple[int, ...]
    mixture: dict[str, tuple[float, ...]] = field(default_factory=dict)
    step_rows: int = 8
    steps_are: Literal["passes", "updates"] = "passes"
    defaults: Hyperparameters = field(default_factory=Hyperparameters)
    score: tuple[Score, ...] = ()
    diverged_factor: float = 1.0
    solo_runs: int = 2

    def __post_init__(self) -> None:
        Campaign.__post_init__(self)  # super() is lost in a class with slots
        if len(self.checkpoints) < 2 or self.checkpoints[0] != 0:
            raise ValueError("`checkpoints` must start at 0 and hold at least one more step")
        if any(a >= b for a, b in zip(self.checkpoints, self.checkpoints[1:], strict=False)):
            raise ValueError(f"`checkpoints` must increase: {list(self.checkpoints)}")
        if not (math.isfinite(self.diverged_factor) and self.diverged_factor > 0):
            raise ValueError(f"`diverged_factor` must be above 0, got {self.diverged_factor}")
        if min(self.per_example_runs, self.solo_runs) < 0 or self.step_rows < 1:
            raise ValueError("step_rows must be at least 1, per_example_runs and solo_runs 0")
        if len({score.name for score in self.score}) < len(self.score):
            raise ValueError("two scores have one name")
        for score in self.score:
            stray = sorted(set(score.checkpoints) - set(self.checkpoints))
            if stray:
                raise ValueError(f"score {score.name}: {stray} are not among the checkpoints")
        self._check_grid()

    def _check_grid(self) -> None:
        if not self.grid or not all(self.grid.values()):
            raise ValueError("`grid` is empty: name at least one axis with at least one value")
        for axis in self.grid:
            if axis not in NAMES:
                raise ValueError(f"`grid.{axis}`: unknown hyperparameter{nearest(axis, NAMES)}")
            listed = self.grid[axis]
            if axis == TARGETS and not isinstance(listed, Range):
                # The class is frozen, its dictionary is not: space, sums and records see one
                # spelling.
                self.grid[axis] = tuple(map(_spelled, listed))
            values = self.extent(axis)
            for value in values:
                if isinstance(value, str) != (axis in NOMINAL):
                    kind = "name" if axis in NOMINAL else "number"
                    raise ValueError(f"`grid.{axis}`: a {kind} is expected, got {value!r}")
            if axis not in NOMINAL and not all(math.isfinite(float(value)) for value in values):
                raise ValueError(f"`grid.{axis}`: values must be finite: {list(values)}")
            for value in values:
                if self._integer(axis) and not isinstance(value, int):
                    raise ValueError(f"`grid.{axis}`: an integer is expected, got {value!r}")
                self.hyperparameters({axis: value})
        least = min(float(fraction) for fraction in self.extent("train_fraction"))
        if self.data.train_rows and self.data.leaked_rows > round(least * self.data.train_rows):
            raise ValueError(
                f"`data.leaked_rows` = {self.data.leaked_rows}: with train_fraction = {least:g} "
                "not all of them would be trained on"
            )
        if self.mixture:
            self._check_mixture()
        _ = self.space  # checks its own rules: increasing values, positive where logarithmic
        if isinstance(self.grid.get("batch_rows"), Range):
            raise ValueError(
                "`grid.batch_rows`: list the values, which are whole numbers of steps"
            )
        for rows in self.extent("batch_rows"):
            steps, rest = divmod(int(rows), self.step_rows)
            if self.steps_are == "updates" or steps == 0:
                broken = []
            else:
                broken = [checkpoint for checkpoint in self.checkpoints if checkpoint % steps]
            if rest or broken:
                raise ValueError(
                    f"batch_rows = {rows}: every checkpoint {list(self.checkpoints)} must end a "
                    f"whole number of batches made of steps of {self.step_rows} rows (step_rows)"
                )
        self._check_repeats()

    def _check_mixture(self) -> None:
        check_sources(self.mixture, [source.name for source in self.data.source])
        if not self.data.train_rows:
            raise ValueError("`mixture` needs data.train_rows: of how many rows are these shares?")
        if self.data.leaked_rows or self.extent("train_fraction") != (1.0,):
            raise ValueError(
                "`mixture` goes with neither data.leaked_rows nor train_fraction: its runs share "
                "no training rows, and each has data.train_rows of them"
            )

    @property
    def space(self) -> Space:
        """The axes of the grid: ordinal dimensions, categorical ones for names, and ranges."""
        axes = (*map(self._dimension, self.grid), *axes_of(self.mixture))
        return Space(axes, simplexes_of(self.mixture))

    def extent(self, name: str) -> tuple[int | float | str, ...]:
        """Return a hyperparameter's values: its list, the ends of its range, or its default."""
        values = self.grid.get(name, (getattr(self.defaults, name),))
        return (values.low, values.high) if isinstance(values, Range) else values

    def _dimension(self, axis: str) -> Dimension:
        extent = tuple(self._typed(axis, value) for value in self.extent(axis))
        if axis in NOMINAL:
            return Categorical(axis, extent)
        values, log = self.grid[axis], axis in LOGARITHMIC
        if not isinstance(values, Range):
            return Ordinal(axis, extent, log=log)
        kind = Integer if isinstance(extent[0], int) else Float
        log = log if values.log is None else values.log
        return kind(axis, low=extent[0], high=extent[1], log=log)

    @property
    def fidelity(self) -> Fidelity:
        """The axis along which runs are measured: steps."""
        unit = "updates" if self.steps_are == "updates" else f"steps of {self.step_rows} rows"
        return Fidelity(name=STEP, unit=unit, values=self.checkpoints)

    def passes(self, hyperparameters: Hyperparameters) -> int:
        """Return how many forward and backward passes make one step."""
        return hyperparameters.batch_rows // self.step_rows if self.steps_are == "updates" else 1

    def _integer(self, axis: str) -> bool:
        return type(getattr(self.defaults, axis)) is int

    def _typed(self, name: str, value: Any) -> Any:
        # In a list of floats `1` means 1.0.
        return type(getattr(self.defaults, name))(value)

    def hyperparameters(self, config: Configuration) -> Hyperparameters:
        """Return all hyperparameters of a configuration, defaults filled in."""
        typed = {
            name: self._typed(name, value)
            for name, value in config.items()
            if not name.startswith(SHARE)
        }
        return dataclasses.replace(self.defaults, **typed)

    def identity(self) -> Identity:
        """Return what a ledger of this campaign is known by."""
        base = essence(self.base)
        base.pop("shape", None)  # only estimates read it
        recipe = essence(self) | {"base": base}
        recipe.pop("solo_runs", None)  # they only add to a ledger
        if self.mixture:
            recipe["mixture"] = sorted(self.mixture)  # whatever the levels, as of the grid
        return identity_of(self.name, recipe, accepted=(sum_of_format_2(self),))


def _spelled(names: object) -> str:
    if not isinstance(names, str | tuple):
        raise ValueError(f"`grid.{TARGETS}`: a name or a list of names is expected, got {names!r}")
    return module_names(names)
