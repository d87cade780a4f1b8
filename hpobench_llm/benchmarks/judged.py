"""The judge of a table's runs in full: all of their seeds, less the effect common to a seed."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from hpobench_llm.benchmarks.cells import Cells, Level, Page
from hpobench_llm.evaluation import STATUSES
from hpobench_llm.metrics import Metric
from hpobench_llm.seeds import NOTHING_REPEATED, SeedEffects, seed_effects

_OK = STATUSES.index("ok")


class AllRuns:
    """A table's runs at full fidelity, by every seed that they have (see `seeds.seed_effects`)."""

    def __init__(self, cells: Cells, metrics: Mapping[str, Metric], full: Level) -> None:
        self._cells, self._metrics, self._full = cells, metrics, full

    @cached_property
    def effects(self) -> dict[str, SeedEffects]:
        """The two-way model of each metric, from configurations whose runs in full are all ok."""
        if self._full not in self._cells.levels:
            return dict.fromkeys(self._metrics, NOTHING_REPEATED)
        configs, seeds, status = self._cells.runs(self._full)
        ok = ~np.isin(configs, configs[status != _OK])
        return {
            name: seed_effects(
                configs[ok],
                seeds[ok],
                metric.sign * self._cells.column(name, self._full)[ok],
            )
            for name, metric in self._metrics.items()
        }

    @cached_property
    def page(self) -> Page:
        """The mean over all seeds of each configuration, without the seeds' common effects."""
        _, seeds, _ = self._cells.runs(self._full)
        offsets = np.zeros((len(seeds), len(self._cells.columns)))
        for name, metric in self._metrics.items():
            offsets[:, self._cells.columns[name]] = metric.sign * self.effects[name].of(seeds)
        return self._cells.of_all_runs(self._full, offsets)

    def read(self, level: Level, seed: int | None) -> Page:
        """Return a page of the table; in full and for no single seed it is `page`."""
        return self.page if level == self._full and seed is None else self._cells.page(level, seed)
