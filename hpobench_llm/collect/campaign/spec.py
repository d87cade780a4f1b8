"""A campaign: which runs to make, whatever kind of run it is (`collect/<name>.toml`)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from hpobench_llm.collect.campaign.design import spread
from hpobench_llm.collect.campaign.identity import PROSE, Identity, essence, identity_of
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Configuration, Space, config_id
from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import LICENCE_NOT_STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """More seeds for a part of the grid.

    Args:
        seeds: the further seeds, from 0 up.
        first: how many configurations get them, the first ones of the order; this or `configs`.
        configs: the configurations that get them, each with all axes of the grid.
    """

    seeds: tuple[int, ...]
    first: int = 0
    configs: tuple[dict[str, int | float | str], ...] = ()

    def __post_init__(self) -> None:
        if (self.first > 0) == bool(self.configs):
            raise ValueError("give either `first` (how many configurations) or `configs`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(ABC):
    """What every campaign says; a family's own class adds its grid and its recipe.

    Every configuration is run with all of `seeds`, some with more (`repeat`).

    Args:
        name: the campaign's name, and that of its table.
        version: that of the table, `0.1.0`.
        description: a sentence on what is trained, for lists and the card.
        seeds: distinct whole numbers from 0 up; every configuration is run with each.
        kind: the family, which says what is trained. See `collect/family.py`.
        repeat: further seeds for a part of the grid.
        per_example_runs: how many runs, the first ones, keep the values of single items: the loss
            of every validation row, the margin of every item of a score.
        context: what a reader of the card must know beside the description.
        family: campaigns of one family measure the same space on related tasks; this is its name.
        task: what this campaign's task is among those of its family, in words and numbers.
        licence: that of the table, as an SPDX name (`CC-BY-4.0`) where it is to be passed on.
        publication: whose the table is and what it is for.
    """

    name: str
    version: str
    description: str
    seeds: tuple[int, ...]
    kind: str = "lora"
    repeat: tuple[Repeat, ...] = ()
    per_example_runs: int = 0
    context: str = ""
    family: str = ""
    task: dict[str, str | int | float] = field(default_factory=dict)
    licence: str = LICENCE_NOT_STATED
    publication: Publication = field(default_factory=Publication, metadata=PROSE)

    def __post_init__(self) -> None:
        for seeds in (self.seeds, *(repeat.seeds for repeat in self.repeat)):
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise ValueError(f"`seeds` must be distinct, from 0 up: {list(seeds)}")
        if self.per_example_runs < 0:
            raise ValueError(f"per_example_runs must not be negative: {self.per_example_runs}")

    def _check_repeats(self) -> None:
        """Check that what `repeat` lists lies in the space; for a family's `__post_init__`."""
        for number, repeat in enumerate(self.repeat):
            for config in repeat.configs:
                try:
                    self.space.canonical(config)
                except ConfigurationError as error:
                    raise ValueError(f"`repeat[{number}].configs`: {error}") from None

    @property
    @abstractmethod
    def space(self) -> Space:
        """The axes of the grid; a family says them."""

    @property
    @abstractmethod
    def fidelity(self) -> Fidelity:
        """The axis along which runs are measured; a family says it."""

    def configs(self) -> list[Configuration]:
        """Return the configurations to run, in an order whose every beginning is balanced.

        By default the whole grid in the order of `design.spread`; none where an axis is a range.
        """
        return spread(self.space) if self.space.finite else []

    def runs(self) -> list["Run"]:
        """Return every run once, in an order whose every beginning is a balanced design.

        All configurations with the first seed come first, in the order of `configs`, then the
        other seeds, then the repeats.
        """
        configs = self.configs()
        if not configs:
            return []
        runs = [Run(config, seed) for seed in self.seeds for config in configs]
        for repeat in self.repeat:
            listed = [self.space.canonical(config) for config in repeat.configs]
            repeated = listed or configs[: repeat.first]
            runs += [Run(config, seed) for seed in repeat.seeds for config in repeated]
        # A repeat may name a seed that a configuration has already: a run counts once.
        return list({run.run_id: run for run in runs}.values())

    def identity(self) -> Identity:
        """Return the identity that a ledger of this campaign carries."""
        return identity_of(self.name, essence(self))


@dataclass(frozen=True, slots=True)
class Run:
    """One fine-tune: a configuration (the grid's axes) and a seed."""

    config: Configuration
    seed: int

    @property
    def config_id(self) -> str:
        """The configuration's id, the same in every table of this grid's axes."""
        return config_id(self.config)

    @property
    def run_id(self) -> str:
        """The name of this run in the ledger."""
        return f"{self.config_id}-{self.seed}"
