"""A table as advice reads it: the regret of each configuration, and its units.

Losses of different tables have no common unit. A regret is therefore also counted in *typical*
ones, the median regret of the table's configurations (as `comparison` counts over tasks), and in
noises, if the table has enough repeats to know them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.advice.settings import (
    BATCH,
    RANK,
    RATE,
    RATIO,
    Settings,
    configuration_of,
    settings_of,
    shared_name,
)
from hpobench_llm.metrics import Metric
from hpobench_llm.seeds import FREEDOM
from hpobench_llm.space import Categorical, Configuration, Space, Value
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import answers, in_full, judged

Floats = NDArray[np.float64]
# A measured value may be off by this factor; beyond, it is of another configuration.
FACTORS = {RATE: 2.0, RANK: 4.0, BATCH: 4.0, RATIO: 4.0}


@dataclass(frozen=True, slots=True, eq=False)
class JudgedTable:
    """The configurations of one table and metric.

    Args:
        name: the table's.
        family: the name of its family of related tables, or its own name.
        context: the table's own note to its readers.
        metric: the metric that is judged, by all seeds (see `tables.worth.judged`).
        space: the table's axes.
        configs: those that were measured in full.
        regrets: `(configs,)` in the metric's unit; one without a sound run has the regret of the
            metric's `worst`.
        typical: the median regret.
        noise: the standard deviation between good runs at one seed; NaN with fewer than
            `seeds.FREEDOM` repeats.
        fixed: hyperparameters that the table states as fixed.
        flagged: the number of configurations that are left out as the table calls them doubtful.
    """

    name: str
    family: str
    context: str
    metric: Metric
    space: Space
    configs: list[Configuration]
    regrets: Floats
    typical: float
    noise: float
    fixed: Mapping[str, Value]
    flagged: int
    _units: Floats = field(repr=False)
    _nearest: dict[tuple[Value, ...], int] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(table: Table, metric: Metric) -> "JudgedTable | str":
        """Judge a table by a metric; returns the reason if it is of no use."""
        metadata = table.metadata
        axes = [axis for axis in metadata.space if shared_name(axis.name) == RATE]
        if not axes or isinstance(axes[0], Categorical):
            return "no axis is a learning rate"
        if not (table.frame[axes[0].name] > 0).all():
            return "some of its learning rates are 0 or below"
        ids = answers(table, metric).index
        doubtful = ids.intersection(_flagged(table))
        ids = ids.difference(doubtful, sort=False)
        worth, noise = judged(table, metric)
        if not len(worth.index.intersection(ids)):
            return "no run is ok in full"
        losses = (metric.sign * worth).reindex(ids).fillna(metric.to_loss(metric.worst))
        regrets = losses.to_numpy(dtype=np.float64)
        regrets = regrets - regrets.min()
        typical = float(np.median(regrets))
        if typical <= 0:
            return "half of its configurations are as good as the best"
        rows = table.frame.drop_duplicates("config_id").set_index("config_id").loc[ids]
        configs = [
            metadata.space.canonical({str(k): v for k, v in row.items()})
            for row in rows[list(metadata.space.names)].to_dict("records")
        ]
        defaults = metadata.provenance.get("defaults", {})
        return JudgedTable(
            name=metadata.name,
            family=metadata.family or metadata.name,
            context=metadata.context,
            metric=metric,
            space=metadata.space,
            configs=configs,
            regrets=regrets,
            typical=typical,
            noise=float(noise.rest) if _repeats(table) >= FREEDOM else math.nan,
            fixed={name: value for name, value in defaults.items() if value != "axis"},
            flagged=len(doubtful),
            _units=metadata.space.to_unit(configs),
        )

    @property
    def adapts(self) -> bool:
        """Whether adapters were trained, not the whole model: there is a rank."""
        return RANK in self.shared

    def settings(self, config: Configuration) -> Settings:
        """Return a configuration as settings, with the fixed ones that `FACTORS` names."""
        fixed = {n: self.fixed[n] for n in FACTORS if isinstance(self.fixed.get(n), int | float)}
        return fixed | settings_of(config)

    @property
    def shared(self) -> frozenset[str]:
        """The settings that the table's configurations have."""
        return frozenset(self.settings(self.configs[0]))

    def near(self, share: float) -> float:
        """Return the regret up to which a configuration is near the best.

        It is a share of the typical regret, or the noise where that is larger.
        """
        return max(share * self.typical, 0.0 if math.isnan(self.noise) else self.noise)

    def nearest(self, settings: Settings) -> int:
        """Return the number of the measured configuration nearest to settings, -1 for none.

        Nearest is meant in the unit encoding of the table's axes. Settings that are no axis are
        ignored, and axes without a setting are at the defaults. There is none if the nearest
        differs by more than one of `FACTORS`.
        """
        wanted = configuration_of(settings, self.space)
        key = tuple(wanted.values())
        if key not in self._nearest:
            offsets = self._units - self.space.to_unit([wanted])
            choices = [n for n, axis in enumerate(self.space) if isinstance(axis, Categorical)]
            offsets[:, choices] = (
                offsets[:, choices] != 0
            )  # two names are equal or not, never near
            self._nearest[key] = int(np.argmin((offsets**2).sum(axis=1)))
        number = self._nearest[key]
        measured = self.settings(self.configs[number])
        for name, factor in FACTORS.items():
            if name in settings and name in measured:
                low, high = sorted((_number(settings[name]), _number(measured[name])))
                if high > factor * low:
                    return -1
        return number

    def tells(self, settings: Settings) -> bool:
        """Whether the table can judge settings: both have an alpha, or neither has.

        Alpha scales the learning rate, so a learning rate means nothing without it.
        """
        return (RATIO in settings) == (RATIO in self.shared)

    def regret_of(self, settings: Settings) -> float:
        """Return the regret of settings; NaN if nothing near them was measured."""
        number = self.nearest(settings)
        return math.nan if number < 0 else float(self.regrets[number])


def _number(value: Value) -> float:
    """Return a value as a number; all names are the same number."""
    return 1.0 if isinstance(value, str) else float(value)


def _repeats(table: Table) -> int:
    """Return how many sound runs in full a table has beyond one for each configuration."""
    full = in_full(table)
    full = full[full["status"] == "ok"]
    return len(full) - full["config_id"].nunique()


def _flagged(table: Table) -> list[str]:
    """Return the configurations of the rows that a table's `flag` marks."""
    frame = table.frame
    if "flag" not in frame:
        return []
    return [str(name) for name in frame.loc[frame["flag"].fillna("") != "", "config_id"].unique()]
