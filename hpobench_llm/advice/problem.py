"""A table as advice reads it: what each configuration loses against the best, and in which units.

Losses of different tables have no common unit. A regret is therefore also counted in *typical*
ones, the median regret of the table's configurations (as `comparison` counts over tasks), and in
noises, where the table has repeats to know one by.
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
# How far a measured value may lie from what is asked for: beyond, it is another configuration.
FACTORS = {RATE: 2.0, RANK: 4.0, BATCH: 4.0, RATIO: 4.0}


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The configurations of one table and metric.

    Args:
        name: the table's.
        family: of the related tables that it is one of, or its own name.
        context: what a reader of the table must know, as it says itself.
        metric: what is judged, by all seeds (see `tables.worth.judged`).
        space: the table's axes.
        configs: those that were measured in full.
        regrets: `(configs,)` what each loses against the best, in the metric's unit; one without a
            sound run has what the metric's `worst` loses.
        typical: the median of them.
        noise: the standard deviation between good runs at one seed; NaN where fewer than
            `seeds.FREEDOM` repeats tell it.
        fixed: hyperparameters that the table held fixed, as far as it says.
        flagged: configurations that the table itself calls doubtful, which are left out.
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
    _places: dict[tuple[Value, ...], int] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(table: Table, metric: Metric) -> "Problem | str":
        """Return what a table says by a metric, or why it says nothing of use."""
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
        return Problem(
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
        """Return a configuration as settings, with what the table held fixed of `FACTORS`."""
        fixed = {n: self.fixed[n] for n in FACTORS if isinstance(self.fixed.get(n), int | float)}
        return fixed | settings_of(config)

    @property
    def shared(self) -> frozenset[str]:
        """The settings that are known of the table's configurations."""
        return frozenset(self.settings(self.configs[0]))

    def near(self, share: float) -> float:
        """Return the regret up to which a configuration is near the best.

        It is a share of the typical regret, or the noise where that is larger.
        """
        return max(share * self.typical, 0.0 if math.isnan(self.noise) else self.noise)

    def nearest(self, settings: Settings) -> int:
        """Return the number of the measured configuration nearest to settings, -1 for none.

        Nearest is meant in the unit encoding of the table's axes; settings that are none of them
        are ignored, and axes that the settings do not name are at the defaults. There is none
        where it differs by more than one of `FACTORS`.
        """
        wanted = configuration_of(settings, self.space)
        key = tuple(wanted.values())
        if key not in self._places:
            apart = self._units - self.space.to_unit([wanted])
            names = [n for n, axis in enumerate(self.space) if isinstance(axis, Categorical)]
            apart[:, names] = apart[:, names] != 0
            self._places[key] = int(np.argmin((apart**2).sum(axis=1)))
        place = self._places[key]
        measured = self.settings(self.configs[place])
        for name, factor in FACTORS.items():
            if name in settings and name in measured:
                low, high = sorted((_number(settings[name]), _number(measured[name])))
                if high > factor * low:
                    return -1
        return place

    def tells(self, settings: Settings) -> bool:
        """Whether the table can speak of settings: both say what alpha is, or neither does.

        Alpha scales the learning rate, so one is not known without the other.
        """
        return (RATIO in settings) == (RATIO in self.shared)

    def regret_of(self, settings: Settings) -> float:
        """Return what settings lose here; NaN where nothing near them was measured."""
        place = self.nearest(settings)
        return math.nan if place < 0 else float(self.regrets[place])


def _number(value: Value) -> float:
    """Return a value that may be a name as a number; names are all alike."""
    return 1.0 if isinstance(value, str) else float(value)


def _repeats(table: Table) -> int:
    """Return by how many sound runs in full a table exceeds its configurations."""
    full = in_full(table)
    full = full[full["status"] == "ok"]
    return len(full) - full["config_id"].nunique()


def _flagged(table: Table) -> list[str]:
    """Return the configurations of the rows that a table's `flag` marks."""
    frame = table.frame
    if "flag" not in frame:
        return []
    return [str(name) for name in frame.loc[frame["flag"].fillna("") != "", "config_id"].unique()]
