"""ASHA: asynchronous successive halving, by promotion or by stopping. Our own code.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, "A system for massively
parallel hyperparameter tuning", MLSys 2020 (promotion). The stopping rule is that of Syne Tune up
to version 0.13 (Klein et al., "Model-based asynchronous hyperparameter and neural architecture
search", arXiv 2003.10865, section 3).
"""

from abc import abstractmethod
from collections import deque

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.multi_fidelity.rungs import (
    MultiFidelityOptimizer,
    RungMember,
    RungOptimizer,
    best,
)


class Promotion(RungOptimizer):
    """Promotes whatever is among the best `1 / eta` of a rung, the highest rung first."""

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._rung_of: dict[int, int] = {}
        self._done: list[list[RungMember]] = [[] for _ in self.rungs]
        self._promoted: list[set[int]] = [set() for _ in self.rungs]  # promoted from the rung

    def suggest(self, number: int) -> Suggestion:
        """Return a promotion if there is one, else a new configuration at the lowest rung."""
        promoted = self._next()
        rung = 0 if promoted is None else self._rung_of[promoted.number] + 1
        self._rung_of[number] = rung
        return self.on_rung(rung, promoted)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into its rung."""
        # A trial of an initial design has no rung yet: it was run in full.
        rung = self._rung_of.setdefault(trial.number, len(self.rungs) - 1)
        self._done[rung].append(self.member(trial, evaluation))

    def _next(self) -> RungMember | None:
        # From the top: what is nearest to a run in full goes on first.
        for rung in range(len(self.rungs) - 2, -1, -1):
            done, promoted = self._done[rung], self._promoted[rung]
            for member in self.best(done, len(done) // self.eta):
                if member.number not in promoted:
                    promoted.add(member.number)
                    return member
        return None

    @abstractmethod
    def best(self, rung: list[RungMember], count: int) -> list[RungMember]:
        """Return the `count` best of a rung that did not fail, or as many as there are."""


class Asha(Promotion, MultiFidelityOptimizer):
    """Promotes whatever is among the best third of a rung, the highest rung first.

    Defaults of the paper: reduction factor `eta` = 3 (its experiments use 4), early-stopping rate
    0, so that every configuration begins at the lowest rung. A failed trial is never promoted; it
    counts as a member of its rung. Trials of an initial design are in full: members of the
    highest rung.
    """

    def best(self, rung: list[RungMember], count: int) -> list[RungMember]:
        """Return those of the lowest loss, ties by age."""
        return best(rung, count)


class AshaStopping(Asha):
    """Trains a configuration on while its loss is within the best third of each rung it reaches.

    A run goes on if its loss is at most the `1 / eta` quantile (linear, as NumPy's) of the n runs
    of its rung, itself included: the best `ceil(n / eta)` go on, and those that equal the last of
    them. The first run of a rung always goes on, unless it failed. A stopped run stays stopped.

    Others: Ray Tune compares with the quantile of the runs before; Syne Tune 0.16 goes on while at
    most n / eta are better, one more than here where eta divides n.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._going_on: deque[RungMember] = deque()

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Decide whether the trial goes on; if so, the next `ask` returns it."""
        super().learn(trial, evaluation)
        rung = self._rung_of[trial.number]
        done = self._done[rung]
        newest = done[-1]
        # In whole numbers: `better < n / eta`, the quantile without its rounding.
        better = sum(member.ok and member.loss < newest.loss for member in done)
        if rung + 1 < len(self.rungs) and newest.ok and better * self.eta < len(done):
            self._going_on.append(newest)

    def _next(self) -> RungMember | None:
        return self._going_on.popleft() if self._going_on else None
