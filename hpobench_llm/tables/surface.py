"""A table as a surface: what an optimizer is told of each configuration, and what it is worth.

What may be read off it: which axes matter, and what people and random draws are expected to lose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hpobench_llm.measured import DENSE
from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.practice import default_configuration, strong_configuration, swept_axis
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Configuration, Space, config_id
from hpobench_llm.tables.anova import FloatArray, between_share, full_grid, total_shares
from hpobench_llm.tables.difficulty import random_search_regret
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import answers, density_of, judged

SWEEP = 8  # values of an axis that is swept


@dataclass(frozen=True, slots=True)
class Practice:
    """What people do who do not search: in words, its trials, and what its answer loses.

    The regret is None where nothing of it was measured.
    """

    words: str
    trials: int
    regret: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A table's configurations by its main metric.

    `told` are infinite and `worth` the worst where no run is sound.
    """

    space: Space
    metric: Metric
    noise: Noise
    dense: bool
    configs: list[Configuration]
    ids: list[str]
    told: FloatArray
    worth: FloatArray
    untrained: float

    @staticmethod
    def of(table: Table) -> "Surface | None":
        """Return the surface of a table; None where no run in full is sound."""
        space, metric = table.metadata.space, objective_of(table.metadata.metrics)
        told = answers(table, metric)
        if not np.isfinite(told).any():
            return None
        values, noise = judged(table, metric)
        worth = (metric.sign * values).reindex(told.index).fillna(metric.to_loss(metric.worst))
        rows = table.frame.drop_duplicates("config_id").set_index("config_id").loc[told.index]
        configs = [
            space.canonical({str(k): v for k, v in row.items()})
            for row in rows[list(space.names)].to_dict("records")
        ]
        untrained = metric.to_loss(table.metadata.untrained.get(metric.name, metric.worst))
        ids = [str(name) for name in told.index]
        return Surface(
            space, metric, noise, density_of(table).startswith(DENSE), configs, ids,
            told.to_numpy(), worth.to_numpy(), untrained,
        )  # fmt: skip

    @property
    def losses(self) -> FloatArray:
        """The losses `(n,)`; a run without one learned nothing."""
        return np.where(np.isfinite(self.told), self.worth, self.untrained)

    @property
    def best(self) -> Configuration:
        """The configuration that is worth most."""
        return self.configs[int(np.argmin(self.worth))]

    def shares(self) -> dict[str, float] | None:
        """Return each axis's share of the variance, alone and in every interaction.

        None where the grid is not full.
        """
        if not self.dense:
            return None
        whole = full_grid(self.space, self.configs, self.losses)
        if whole is None:
            return None
        names, grid = whole
        return dict(zip(names, total_shares(grid).tolist(), strict=True))

    def alone(self) -> dict[str, float]:
        """Return the share of the variance between the values of each axis, whatever the grid.

        It is the correlation ratio, less what as many groups drawn at random would have. Axes of a
        sparse table may go together, and then share what they have in common.
        """
        return {
            dimension.name: between_share(
                np.array([config[dimension.name] for config in self.configs]), self.losses
            )
            for dimension in self.space
        }

    def practices(self, *, nearest: bool = False) -> Iterator[Practice]:
        """Return what people lose: sweeps of one axis, at two settings, and the defaults.

        What was not measured is left out, or becomes the `nearest` that was and is not among them
        yet, as in a replay.
        """
        axis = swept_axis(self.space)
        levels = axis.levels or tuple({c[axis.name] for c in self.configs})
        spaced = np.linspace(0, len(levels) - 1, min(SWEEP, len(levels))).round().astype(int)
        kinds = {
            "": default_configuration(self.space),
            ", largest rank and smallest batch,": strong_configuration(self.space),
        }
        for kind, fixed in kinds.items():
            swept = [fixed | {axis.name: sorted(levels)[place]} for place in spaced]
            words = f"a sweep of {axis.name} over {len(swept)} values{kind}"
            yield Practice(words, len(swept), self.lost(swept, nearest=nearest))
        yield Practice("the libraries' defaults", 1, self.lost([kinds[""]], nearest=nearest))

    def lost(self, configs: Sequence[Configuration], *, nearest: bool = False) -> float | None:
        """Return what the best of some trials loses; None: none of them was measured."""
        place = {name: number for number, name in enumerate(self.ids)}
        # The id alone: of a sweep that leaves a simplex nothing was measured.
        tried = [place[i] for c in configs if (i := config_id(c)) in place]
        if nearest:
            tried = self._nearest(configs)
        if not tried:
            return None
        answer = min(tried, key=lambda number: self.told[number])
        return float(self.worth[answer] - self.worth.min())

    def _nearest(self, configs: Sequence[Configuration]) -> list[int]:
        """Return for each configuration the nearest measured one that is not taken yet."""
        units = self.space.to_unit(self.configs)
        left = np.ones(len(units), dtype=np.bool_)
        found: list[int] = []
        for wanted in self.space.to_unit(configs)[: len(units)]:
            distances = ((units - wanted) ** 2).sum(axis=1)
            found.append(int(np.argmin(np.where(left, distances, np.inf))))
            left[found[-1]] = False
        return found

    def random_search(self, trials: Sequence[int]) -> dict[int, float]:
        """Return what random search is expected to lose after so many trials, exactly."""
        found = random_search_regret(self.told, self.worth, trials)
        return dict(zip(trials, found, strict=True))
