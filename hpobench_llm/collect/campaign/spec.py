"""A campaign: which fine-tunes to run, on which base, data and scores (`collect/<name>.toml`)."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hpobench_llm.collect.campaign.design import spread
from hpobench_llm.collect.campaign.hyperparameters import (
    LOGARITHMIC,
    NAMES,
    NOMINAL,
    STEP,
    TARGETS,
    Hyperparameters,
    Range,
    module_names,
)
from hpobench_llm.collect.campaign.identity import Identity, identity_of
from hpobench_llm.collect.campaign.recipe import Base, Data, Score
from hpobench_llm.errors import ConfigurationError, SpecError, nearest
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Dimension, Float, Integer, Ordinal, Space, config_id
from hpobench_llm.spec import read_spec
from hpobench_llm.tables.schema import LICENCE_NOT_STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """More seeds for a part of the grid: the `first` configurations of its order, or a list."""

    seeds: tuple[int, ...]
    first: int = 0
    configs: tuple[dict[str, int | float | str], ...] = ()

    def __post_init__(self) -> None:
        if (self.first > 0) == bool(self.configs):
            raise ValueError("give either `first` (how many configurations) or `configs`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A grid of real fine-tunes. A run is one configuration and one seed.

    An axis of `grid` lists its values, or is a `Range`; only lists can be collected as a grid, a
    range is for tuning on the campaign itself (`benchmarks/live.py`).

    A step is one forward and backward pass over `step_rows` rows; a configuration updates its
    weights every `batch_rows / step_rows` steps, so that all see the same rows at a step. With
    `steps_are = "updates"` it is an update, made of so many passes: larger batches cost more.
    `checkpoints` are the steps at which losses are recorded: 0 (the untrained base) first, the
    last step last. A run is `diverged` from where a loss is not finite, or at the end if its
    validation loss exceeds `diverged_factor` times that of the untrained base.

    Every configuration is trained with all of `seeds`, some with more (`repeat`). The first
    `per_example_runs` runs keep the loss of every validation row. With the packed engine
    `solo_runs` runs a class of equal cost are trained once more alone, to know their true seconds.
    Campaigns of one `family` measure the same space on related tasks; `task` says what this one's
    is.
    """

    name: str
    version: str
    description: str
    base: Base
    data: Data
    grid: dict[str, tuple[int | float | str | tuple[str, ...], ...] | Range]
    seeds: tuple[int, ...]
    checkpoints: tuple[int, ...]
    step_rows: int = 8
    steps_are: Literal["passes", "updates"] = "passes"
    defaults: Hyperparameters = field(default_factory=Hyperparameters)
    repeat: tuple[Repeat, ...] = ()
    score: tuple[Score, ...] = ()
    diverged_factor: float = 1.0
    per_example_runs: int = 0
    solo_runs: int = 2
    context: str = ""
    family: str = ""
    task: dict[str, str | int | float] = field(default_factory=dict)
    licence: str = LICENCE_NOT_STATED

    def __post_init__(self) -> None:
        if len(self.checkpoints) < 2 or self.checkpoints[0] != 0:
            raise ValueError("`checkpoints` must start at 0 and hold at least one more step")
        if any(a >= b for a, b in zip(self.checkpoints, self.checkpoints[1:], strict=False)):
            raise ValueError(f"`checkpoints` must increase: {list(self.checkpoints)}")
        for seeds in (self.seeds, *(repeat.seeds for repeat in self.repeat)):
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise ValueError(f"`seeds` must be distinct, from 0 up: {list(seeds)}")
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
                self.grid[axis] = tuple(map(_spelled, listed))
            values = self.extent(axis)
            for value in values:
                if isinstance(value, str) != (axis in NOMINAL):
                    kind = "name" if axis in NOMINAL else "number"
                    raise ValueError(f"`grid.{axis}`: a {kind} is expected, got {value!r}")
            if axis not in NOMINAL and not all(math.isfinite(float(value)) for value in values):
                raise ValueError(f"`grid.{axis}`: values must be finite: {list(values)}")
            for value in values:
                self.hyperparameters({axis: value})
        least = min(float(fraction) for fraction in self.extent("train_fraction"))
        if self.data.train_rows and self.data.leaked_rows > round(least * self.data.train_rows):
            raise ValueError(
                f"`data.leaked_rows` = {self.data.leaked_rows}: with train_fraction = {least:g} "
                "not all of them would be trained on"
            )
        _ = self.space  # its own rules: increasing values, positive where logarithmic
        if isinstance(self.grid.get("batch_rows"), Range):
            raise ValueError(
                "`grid.batch_rows`: list the values, which are whole numbers of steps"
            )
        for rows in self.extent("batch_rows"):
            steps, rest = divmod(int(rows), self.step_rows)
            whole = self.steps_are == "updates" or not any(
                checkpoint % steps for checkpoint in self.checkpoints if steps
            )
            if rest or not whole:
                raise ValueError(
                    f"batch_rows = {rows}: every checkpoint {list(self.checkpoints)} must end a "
                    f"whole number of batches made of steps of {self.step_rows} rows (step_rows)"
                )
        for number, repeat in enumerate(self.repeat):
            for config in repeat.configs:
                try:
                    self.space.canonical(config)
                except ConfigurationError as error:
                    raise ValueError(f"`repeat[{number}].configs`: {error}") from None

    @property
    def space(self) -> Space:
        """The axes of the grid: ordinal dimensions, categorical ones for names, and ranges."""
        return Space(tuple(map(self._dimension, self.grid)))

    def extent(self, name: str) -> tuple[int | float | str, ...]:
        """Return what a hyperparameter takes: its values, the ends of its range, its default."""
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

    def _typed(self, name: str, value: Any) -> Any:
        return type(getattr(self.defaults, name))(value)

    def hyperparameters(self, config: dict[str, Any]) -> Hyperparameters:
        """Return all hyperparameters of a configuration, defaults filled in."""
        typed = {name: self._typed(name, value) for name, value in config.items()}
        return dataclasses.replace(self.defaults, **typed)

    def runs(self) -> list["Run"]:
        """Return every run once, in an order of which each beginning is a balanced design.

        All configurations with the first seed come first, in the order of `design.spread`, then
        the other seeds, then the repeats. With a range there is no grid, and so no run of one.
        """
        if not self.space.finite:
            return []
        configs = spread(self.space)
        found = [Run(config, seed) for seed in self.seeds for config in configs]
        for repeat in self.repeat:
            listed = [self.space.canonical(config) for config in repeat.configs]
            chosen = listed or configs[: repeat.first]
            found += [Run(config, seed) for seed in repeat.seeds for config in chosen]
        return list({run.run_id: run for run in found}.values())

    def identity(self) -> Identity:
        """Return what a ledger of this campaign is known by."""
        return identity_of(self)


def _spelled(names: object) -> str:
    if not isinstance(names, str | tuple):
        raise ValueError(f"`grid.{TARGETS}`: a name or a list of names is expected, got {names!r}")
    return module_names(names)


@dataclass(frozen=True, slots=True)
class Run:
    """One fine-tune: a configuration (the grid's axes) and a seed."""

    config: dict[str, Any]
    seed: int

    @property
    def config_id(self) -> str:
        """The configuration's id, the same in every table of this grid's axes."""
        return config_id(self.config)

    @property
    def run_id(self) -> str:
        """The name of this run in the ledger."""
        return f"{self.config_id}-{self.seed}"


def read_campaign(path: Path) -> Campaign:
    """Read and check a campaign.

    Raises:
        SpecError: naming file, key and value.
    """
    campaign = read_spec(path, Campaign)
    for axis in campaign.grid:
        expected = type(getattr(campaign.defaults, axis))
        for value in campaign.extent(axis):
            if expected is int and not isinstance(value, int):
                raise SpecError(path, f"grid.{axis}", f"an integer is expected, got {value!r}")
    return campaign


def read_grid(path: Path) -> Campaign:
    """Read a campaign to collect, all of whose axes are lists.

    Raises:
        SpecError: naming file, key and value.
    """
    campaign = read_campaign(path)
    for axis, values in campaign.grid.items():
        if isinstance(values, Range):
            raise SpecError(
                path,
                f"grid.{axis}",
                "a grid needs a list of values, and this is a range; to tune on the campaign as "
                f'it is, load("{path}", kind="live")',
            )
    return campaign
