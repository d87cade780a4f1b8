"""A campaign: which fine-tunes to run, on which base, data and scores (`collect/<name>.toml`)."""

import dataclasses
import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.errors import SpecError, nearest
from hpobench_llm.space import Ordinal, Space, config_id
from hpobench_llm.spec import read_spec

NUMERIC = (
    "rank",
    "alpha_ratio",
    "dropout",
    "lr",
    "batch_rows",
    "warmup_fraction",
    "weight_decay",
    "clip_norm",
    "beta1",
    "beta2",
    "epsilon",
)
LOGARITHMIC = {"rank", "alpha_ratio", "lr", "batch_rows", "clip_norm", "epsilon"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Everything that can be varied in a run; an axis of the grid overrides a numeric default.

    `alpha_ratio` is LoRA's alpha divided by its rank (the scale of the adapter's output), `lr` the
    peak learning rate of AdamW, reached after `warmup_fraction` of the steps and then decayed to
    zero by a cosine, `clip_norm` the largest gradient norm. `target_modules` is `all-linear` or
    module names joined by commas.
    """

    rank: int = 8
    alpha_ratio: float = 2.0
    dropout: float = 0.0
    lr: float = 1e-3
    batch_rows: int = 8
    warmup_fraction: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    target_modules: str = "all-linear"

    def __post_init__(self) -> None:
        rules = {
            "rank": self.rank >= 1,
            "alpha_ratio": self.alpha_ratio > 0,
            "dropout": 0 <= self.dropout <= 1,
            "lr": self.lr > 0,
            "batch_rows": self.batch_rows >= 1,
            "warmup_fraction": 0 <= self.warmup_fraction < 1,
            "weight_decay": self.weight_decay >= 0,
            "clip_norm": self.clip_norm > 0,
            "beta1": 0 <= self.beta1 < 1,
            "beta2": 0 <= self.beta2 < 1,
            "epsilon": self.epsilon > 0,
        }
        for name, holds in rules.items():
            if not holds or not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)!r} is outside its range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The frozen model: a local folder, or a hub id with its revision."""

    path: str = ""
    hub: str = ""
    revision: str = ""

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.hub):
            raise ValueError("give either `path` (a local folder) or `hub` (a hub id)")
        if self.hub and not self.revision:
            raise ValueError("a hub id needs `revision`, or the table could not be repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Instruction data: a JSON or JSONL file (.gz too), a hub dataset, or generated tasks.

    At most `rows` rows are taken, in an order set by their hash; 0 takes all. `strip_suffix` is
    taken off the end of every answer: an end marker in the text is no part of the answer.
    """

    name: str
    path: str = ""
    sha256: str = ""
    hub: str = ""
    revision: str = ""
    split: str = "train"
    generated_tasks: int = 0
    rows: int = 0
    strip_suffix: str = ""

    def __post_init__(self) -> None:
        if min(self.rows, self.generated_tasks) < 0:
            raise ValueError("rows and generated_tasks must not be negative")
        if sum(map(bool, (self.path, self.hub, self.generated_tasks))) != 1:
            raise ValueError("give exactly one of `path`, `hub` and `generated_tasks`")
        if self.hub and not self.revision:
            raise ValueError("a hub dataset needs `revision`, or the table could not be repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is learned, and how the rows are split.

    With `group_words` above 0, rows whose questions share a run of so many words that few other
    rows have are renderings of one source row and go into one split (see `grouping`).
    """

    source: tuple[Source, ...]
    max_tokens: int
    val_rows: int
    test_rows: int
    train_rows: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    template: str = "{instruction}\n"
    group_words: int = 0

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("`source` is empty")
        if len({source.name for source in self.source}) < len(self.source):
            raise ValueError("two sources have one name")
        for name, least in (("val_rows", 1), ("test_rows", 1), ("train_rows", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.max_tokens < 2 or self.group_words < 0:
            raise ValueError("max_tokens must be at least 2 and group_words at least 0")
        if not (self.val_fraction > 0 < self.test_fraction):
            raise ValueError("val_fraction and test_fraction must be above 0")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must stay below 1")
        if "{instruction}" not in self.template:
            raise ValueError("`template` must hold {instruction}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A benchmark score, measured at some of the checkpoints.

    `exact-match`: share of test rows whose greedy answer is right to the token. `minimal-pairs`:
    a JSONL file of `good` and `bad` sentences; share of pairs in which the good one is likelier.
    `multiple-choice`: a JSONL file of `query`, `choices`, `gold`. The last two have a margin too.
    At most `items` items are used (0: all), spread evenly over the file.
    """

    name: str
    kind: Literal["exact-match", "minimal-pairs", "multiple-choice"]
    checkpoints: tuple[int, ...]
    path: str = ""
    sha256: str = ""
    items: int = 0

    def __post_init__(self) -> None:
        if self.items < 0:
            raise ValueError(f"items must not be negative, got {self.items}")
        if (self.kind == "exact-match") == bool(self.path):
            raise ValueError(f"`path` is needed for all kinds but exact-match, got {self.path!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A grid of real fine-tunes. A run is one configuration and one seed.

    `checkpoints` are the steps at which losses are recorded: 0 (the untrained base) first, the
    last step last. A run is `diverged` from where a loss is not finite, or at the end if its
    validation loss exceeds `diverged_factor` times that of the untrained base.
    """

    name: str
    version: str
    description: str
    base: Base
    data: Data
    grid: dict[str, tuple[int | float, ...]]
    seeds: tuple[int, ...]
    checkpoints: tuple[int, ...]
    defaults: Hyperparameters = Hyperparameters()
    score: tuple[Score, ...] = ()
    diverged_factor: float = 1.0
    context: str = ""
    licence: str = "CC-BY-4.0"

    def __post_init__(self) -> None:
        if len(self.checkpoints) < 2 or self.checkpoints[0] != 0:
            raise ValueError("`checkpoints` must start at 0 and hold at least one more step")
        if any(a >= b for a, b in zip(self.checkpoints, self.checkpoints[1:], strict=False)):
            raise ValueError(f"`checkpoints` must increase: {list(self.checkpoints)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"`seeds` must be distinct, from 0 up: {list(self.seeds)}")
        if not (math.isfinite(self.diverged_factor) and self.diverged_factor > 0):
            raise ValueError(f"`diverged_factor` must be above 0, got {self.diverged_factor}")
        if len({score.name for score in self.score}) < len(self.score):
            raise ValueError("two scores have one name")
        if not self.grid or not all(self.grid.values()):
            raise ValueError("`grid` is empty: name at least one axis with at least one value")
        for axis, values in self.grid.items():
            if axis not in NUMERIC:
                raise ValueError(f"`grid.{axis}`: unknown hyperparameter{nearest(axis, NUMERIC)}")
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"`grid.{axis}`: values must be finite: {list(values)}")
        for score in self.score:
            stray = sorted(set(score.checkpoints) - set(self.checkpoints))
            if stray:
                raise ValueError(f"score {score.name}: {stray} are not among the checkpoints")
        for config in (min, max):
            self.hyperparameters({axis: config(v) for axis, v in self.grid.items()})
        _ = self.space  # its own rules: increasing values, positive where logarithmic

    @property
    def space(self) -> Space:
        """The axes of the grid as ordinal dimensions."""
        return Space(
            tuple(
                Ordinal(
                    axis,
                    tuple(self._typed(axis, value) for value in values),
                    log=axis in LOGARITHMIC,
                )
                for axis, values in self.grid.items()
            )
        )

    def _typed(self, name: str, value: Any) -> Any:
        return type(getattr(self.defaults, name))(value)

    def hyperparameters(self, config: dict[str, Any]) -> Hyperparameters:
        """Return all hyperparameters of a configuration, defaults filled in."""
        typed = {name: self._typed(name, value) for name, value in config.items()}
        return dataclasses.replace(self.defaults, **typed)

    def runs(self) -> list["Run"]:
        """Return every run, in an order that spreads a part-finished grid over the whole of it."""
        found = [
            Run(config, seed) for config, seed in product(self.space.configurations(), self.seeds)
        ]
        return sorted(found, key=lambda run: sha256_of_text(run.run_id))

    def identity(self) -> dict[str, str]:
        """Return what a ledger is known by: the name, and a SHA-256 of the recipe.

        The recipe is all that a run's numbers depend on beside its own configuration. The grid
        and the seeds are left out, so that a campaign may grow; prose is left out too.
        """
        recipe = dataclasses.asdict(self)
        for key in ("grid", "seeds", "description", "version", "context", "licence"):
            del recipe[key]
        return {
            "campaign": self.name,
            "recipe_sha256": sha256_of_text(canonical_json(recipe)),
        }


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
    for axis, values in campaign.grid.items():
        expected = type(getattr(campaign.defaults, axis))
        for value in values:
            if expected is int and not isinstance(value, int):
                raise SpecError(path, f"grid.{axis}", f"an integer is expected, got {value!r}")
    return campaign
