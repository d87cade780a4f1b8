"""A few settings of which one is near the best on every table: greedy coverage.

"Stay Tuned" (arXiv 2407.18990) ranks configurations by the number of data sets that each covers
and those before it do not: a configuration covers a data set on which it is near the best. Here
near means within a share of the typical regret, or the noise (see `JudgedTable.near`); of
configurations that cover equally many further tables, the one that lowers the portfolio's mean
regret most is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.advice.judged_table import Floats, JudgedTable
from hpobench_llm.advice.settings import Settings

CAP = 2.0  # typical regrets: a larger regret counts as this one


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Settings, and the regret of each on each table.

    Args:
        settings: of every configuration that any of the tables has measured, each once.
        origins: `(tables, candidates)` whether the table has measured the candidate itself.
        regrets: `(tables, candidates)` in typical ones; NaN if nothing near was measured, or if
            only one of the two knows alpha (see `JudgedTable.tells`).
        near: `(tables, candidates)` whether it is near the best.
    """

    settings: list[Settings]
    origins: NDArray[np.bool_]
    regrets: Floats
    near: NDArray[np.bool_]

    @staticmethod
    def of(tables: Sequence[JudgedTable], share: float) -> "Candidates":
        """Return the configurations of all tables, the ones with the most settings first."""
        unique: dict[tuple[tuple[str, object], ...], tuple[Settings, set[int]]] = {}
        for number, table in enumerate(tables):
            for config in table.configs:
                settings = table.settings(config)
                key = tuple(sorted(settings.items()))
                unique.setdefault(key, (settings, set()))[1].add(number)
        candidates = sorted(unique.values(), key=lambda candidate: -len(candidate[0]))
        regrets = np.full((len(tables), len(candidates)), np.nan)
        origins = np.zeros(regrets.shape, dtype=np.bool_)
        for row, table in enumerate(tables):
            for column, (settings, numbers) in enumerate(candidates):
                origins[row, column] = row in numbers
                if table.tells(settings):
                    regrets[row, column] = table.regret_of(settings)
        typical = np.array([table.typical for table in tables])[:, None]
        limits = np.array([table.near(share) for table in tables])[:, None]
        return Candidates(
            settings=[settings for settings, _ in candidates],
            origins=origins,
            regrets=regrets / typical,
            near=regrets <= limits,
        )

    def without(self, left_out: Sequence[int]) -> NDArray[np.intp]:
        """Return the candidates that a table other than these has measured."""
        rest = np.delete(self.origins, left_out, axis=0)
        return np.flatnonzero(rest.any(axis=0))

    def greedy(self, tables: Sequence[int], among: NDArray[np.intp], length: int) -> list[int]:
        """Return up to `length` candidates, each of which covers the most further tables.

        There are fewer if no candidate covers a further one.
        """
        rows = np.asarray(tables, dtype=np.intp)[:, None]
        near = self.near[rows, among]
        losses = np.nan_to_num(np.minimum(self.regrets[rows, among], CAP), nan=CAP)
        covered = np.zeros(len(tables), dtype=bool)
        lowest = np.full(len(tables), CAP)
        picks: list[int] = []
        while len(picks) < length:
            gain = (near & ~covered[:, None]).sum(axis=0)
            if not len(gain) or not gain.max():
                break
            mean = np.minimum(lowest[:, None], losses).mean(axis=0)
            # Rounded, so that the last bits of a sum decide nothing.
            best = int(np.lexsort((mean.round(12), -gain))[0])
            covered |= near[:, best]
            lowest = np.minimum(lowest, losses[:, best])
            picks.append(int(among[best]))
        return picks
