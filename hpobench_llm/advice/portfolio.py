"""A few settings of which one is near the best on every table: greedy coverage.

"Stay Tuned" (arXiv 2407.18990) ranks configurations by how many data sets each covers that those
before it do not: it covers one where it is near the best. Ours counts a table as covered up to a
share of its typical regret, or its noise (see `Problem.near`); of configurations that cover as
many more tables, the one that lowers the mean regret of the portfolio the most is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.advice.problem import Floats, Problem
from hpobench_llm.advice.settings import Settings

CAP = 2.0  # typical regrets, beyond which it does not matter how bad


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Settings and what each loses on each table.

    Args:
        settings: of every configuration that was measured on any of the tables, once.
        origins: `(problems, candidates)` whether the table has measured the candidate itself.
        regrets: `(problems, candidates)` in typical ones; NaN where nothing near was
            measured, or alpha is known of one of them alone (see `Problem.tells`).
        near: `(problems, candidates)` whether it is near the best.
    """

    settings: list[Settings]
    origins: NDArray[np.bool_]
    regrets: Floats
    near: NDArray[np.bool_]

    @staticmethod
    def of(problems: Sequence[Problem], share: float) -> "Candidates":
        """Return the configurations of all tables; those that say more of themselves are first."""
        unique: dict[tuple[tuple[str, object], ...], tuple[Settings, set[int]]] = {}
        for number, problem in enumerate(problems):
            for config in problem.configs:
                one = problem.settings(config)
                key = tuple(sorted(one.items()))
                unique.setdefault(key, (one, set()))[1].add(number)
        listed = sorted(unique.values(), key=lambda each: -len(each[0]))
        settings = [one for one, _ in listed]
        raw = np.array(
            [[p.regret_of(one) if p.tells(one) else np.nan for one in settings] for p in problems]
        )
        typical = np.array([p.typical for p in problems])[:, None]
        limits = np.array([p.near(share) for p in problems])[:, None]
        return Candidates(
            settings=settings,
            origins=np.array([[n in of for _, of in listed] for n in range(len(problems))]),
            regrets=raw / typical,
            near=raw <= limits,
        )

    def without(self, left_out: Sequence[int]) -> NDArray[np.intp]:
        """Return which candidates were measured on another table than these."""
        rest = np.delete(self.origins, left_out, axis=0)
        return np.flatnonzero(rest.any(axis=0))

    def greedy(self, tables: Sequence[int], among: NDArray[np.intp], length: int) -> list[int]:
        """Return up to `length` candidates, each with the most tables that are not covered yet.

        It ends where no candidate covers a further one.
        """
        rows = np.asarray(tables, dtype=np.intp)[:, None]
        near = self.near[rows, among]
        losses = np.nan_to_num(np.minimum(self.regrets[rows, among], CAP), nan=CAP)
        covered = np.zeros(len(tables), dtype=bool)
        reached = np.full(len(tables), CAP)
        chosen: list[int] = []
        while len(chosen) < length:
            gain = (near & ~covered[:, None]).sum(axis=0)
            if not len(gain) or not gain.max():
                break
            mean = np.minimum(reached[:, None], losses).mean(axis=0)
            best = int(np.lexsort((mean.round(12), -gain))[0])
            covered |= near[:, best]
            reached = np.minimum(reached, losses[:, best])
            chosen.append(int(among[best]))
        return chosen
