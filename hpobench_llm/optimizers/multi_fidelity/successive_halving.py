"""Successive halving and Hyperband, synchronous: a rung is full before the next begins. Our own.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016; Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: a novel bandit-based
approach to hyperparameter optimization", JMLR 18, 2018.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.multi_fidelity.rungs import MultiFidelityOptimizer, RungMember, best


@dataclass(slots=True)
class _Bracket:
    """The rung that is being filled, with its waiting, running and finished trials."""

    rung: int
    waiting: deque[RungMember | None]  # None: a new configuration
    running: set[int] = field(default_factory=set)
    done: list[RungMember] = field(default_factory=list)


class Hyperband(MultiFidelityOptimizer):
    """Hyperband's brackets, from the most to the least aggressive, over and over.

    A bracket that begins at rung `b` of `K` draws `ceil(K / (K - b) * eta**(K - 1 - b))`
    configurations, of which the best `1 / eta` of each rung reach the next: Algorithm 1 with
    `s = K - 1 - b`. The rungs are those of the fidelity axis, so that resources may grow by less
    than `eta` from one to the next. Failed trials are never promoted. With several workers `ask`
    gives None while the last trials of a rung run. An initial design is in no bracket.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._brackets = 0
        self._bracket = self._open()

    def first_rung(self, bracket: int) -> int:
        """Return the rung at which the `bracket`-th bracket (from 0) begins."""
        return bracket % len(self.rungs)

    def size(self, first: int) -> int:
        """Return how many configurations a bracket draws that begins at rung `first`."""
        total, above = len(self.rungs), len(self.rungs) - 1 - first
        # `ceil((s_max + 1) / (s + 1) * eta**s)` of the paper, with s = `above`.
        size: int = math.ceil(total / (above + 1) * self.eta**above)
        return size

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next trial of the rung, None while its last ones run."""
        bracket = self._bracket
        if not bracket.waiting:
            return None
        bracket.running.add(number)
        return self.on_rung(bracket.rung, bracket.waiting.popleft())

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into its rung, and go to the next when all are there."""
        bracket = self._bracket
        if trial.number not in bracket.running:  # of an initial design
            return
        bracket.running.remove(trial.number)
        bracket.done.append(self.member(trial, evaluation))
        if bracket.running or bracket.waiting:
            return
        promoted = best(bracket.done, len(bracket.done) // self.eta)
        if promoted and bracket.rung + 1 < len(self.rungs):
            self._bracket = _Bracket(bracket.rung + 1, deque(promoted))
        else:
            self._bracket = self._open()

    def _open(self) -> _Bracket:
        first = self.first_rung(self._brackets)
        self._brackets += 1
        return _Bracket(first, deque([None] * self.size(first)))


class SuccessiveHalving(Hyperband):
    """Hyperband's most aggressive bracket alone, over and over: all begin at the lowest rung."""

    def first_rung(self, bracket: int) -> int:
        """Return the lowest rung."""
        return 0
