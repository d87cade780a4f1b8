"""A table as a surface: the answer to an optimizer for each configuration, and its worth.

It shows which axes matter, and the expected regret of common practices and of random draws.
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

SWEEP = 8  # values in a sweep of an axis


@dataclass(frozen=True, slots=True)
class Practice:
    """A common practice without a search: in words, its trials, and the regret of its answer.

    The regret is None if nothing of it was measured.
    """

    words: str
    trials: int
    regret: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A table's configurations by its main metric.

    `answers` are the losses that an optimizer is told, and `worth` the losses that judge it. If no
    run of a configuration is sound, the first is infinite and the second the worst.
    """

    space: Space
    metric: Metric
    noise: Noise
    dense: bool
    configs: list[Configuration]
    ids: list[str]
    answers: FloatArray
    worth: FloatArray
    untrained: float

    @staticmethod
    def of(table: Table) -> "Surface | None":
        """Return the surface of a table; None if no run in full is sound."""
        space, metric = table.metadata.space, objective_of(table.metadata.metrics)
        losses = answers(table, metric)
        if not np.isfinite(losses).any():
            return None
        values, noise = judged(table, metric)
        worth = (metric.sign * values).reindex(losses.index).fillna(metric.to_loss(metric.worst))
        rows = table.frame.drop_duplicates("config_id").set_index("config_id").loc[losses.index]
        configs = [
            space.canonical({str(k): v for k, v in row.items()})
            for row in rows[list(space.names)].to_dict("records")
        ]
        untrained = metric.to_loss(table.metadata.untrained.get(metric.name, metric.worst))
        ids = [str(name) for name in losses.index]
        return Surface(
            space, metric, noise, density_of(table).startswith(DENSE), configs, ids,
            losses.to_numpy(), worth.to_numpy(), untrained,
        )  # fmt: skip

    @property
    def losses(self) -> FloatArray:
        """The losses `(n,)`; a run without one counts as untrained."""
        return np.where(np.isfinite(self.answers), self.worth, self.untrained)

    @property
    def best(self) -> Configuration:
        """The configuration with the lowest `worth`."""
        return self.configs[int(np.argmin(self.worth))]

    def shares(self) -> dict[str, float] | None:
        """Return each axis's share of the variance, alone and in every interaction.

        None if the grid is not full.
        """
        if not self.dense:
            return None
        complete = full_grid(self.space, self.configs, self.losses)
        if complete is None:
            return None
        names, grid = complete
        return dict(zip(names, total_shares(grid).tolist(), strict=True))

    def alone(self) -> dict[str, float]:
        """Return the share of the variance between the values of each axis, for any grid.

        It is the correlation ratio, less that of as many random groups. Axes of a sparse table may
        be correlated, and then each has the variance that they share.
        """
        return {
            dimension.name: between_share(
                np.array([config[dimension.name] for config in self.configs]), self.losses
            )
            for dimension in self.space
        }

    def practices(self, *, nearest: bool = False) -> Iterator[Practice]:
        """Yield common practices: sweeps of one axis, at two settings, and the defaults.

        A configuration that was not measured is left out or, with `nearest`, replaced by the
        nearest measured one that is not among them yet, as in a replay.
        """
        axis = swept_axis(self.space)
        # A range has no levels: then the measured values count.
        levels = axis.levels or tuple({c[axis.name] for c in self.configs})
        spaced = np.linspace(0, len(levels) - 1, min(SWEEP, len(levels))).round().astype(int)
        kinds = {
            "": default_configuration(self.space),
            ", largest rank and smallest batch,": strong_configuration(self.space),
        }
        for kind, fixed in kinds.items():
            swept = [fixed | {axis.name: sorted(levels)[number]} for number in spaced]
            words = f"a sweep of {axis.name} over {len(swept)} values{kind}"
            yield Practice(words, len(swept), self.regret_of(swept, nearest=nearest))
        yield Practice("the libraries' defaults", 1, self.regret_of([kinds[""]], nearest=nearest))

    def regret_of(
        self, configs: Sequence[Configuration], *, nearest: bool = False
    ) -> float | None:
        """Return the regret of the best of some trials; None: none of them was measured."""
        if nearest:
            tried = self._nearest(configs)
        else:
            number_of = {name: number for number, name in enumerate(self.ids)}
            # By id, not through the space: a sweep may leave a simplex, and has no row then.
            ids = [config_id(config) for config in configs]
            tried = [number_of[name] for name in ids if name in number_of]
        if not tried:
            return None
        answer = min(tried, key=lambda number: self.answers[number])
        return float(self.worth[answer] - self.worth.min())

    def _nearest(self, configs: Sequence[Configuration]) -> list[int]:
        """Return for each configuration the nearest measured one that is not taken yet."""
        units = self.space.to_unit(self.configs)
        free = np.ones(len(units), dtype=np.bool_)
        taken: list[int] = []
        for wanted in self.space.to_unit(configs)[: len(units)]:
            distances = ((units - wanted) ** 2).sum(axis=1)
            taken.append(int(np.argmin(np.where(free, distances, np.inf))))
            free[taken[-1]] = False
        return taken

    def random_search(self, trials: Sequence[int]) -> dict[int, float]:
        """Return the exact expected regret of random search after each number of trials."""
        regrets = random_search_regret(self.answers, self.worth, trials)
        return dict(zip(trials, regrets, strict=True))
