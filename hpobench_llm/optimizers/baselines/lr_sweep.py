"""The practitioner's search: the learning rate alone, from coarse to fine, then an end. Our own.

Four values that span the axis evenly come first, whatever their outcomes. Then the middle of the
wider gap beside the best is tried, and so on, until the best has no gap beside it or eight trials
are made.
"""

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.practice import default_configuration, strong_configuration, swept_axis
from hpobench_llm.space import Configuration, Value

COARSE, TRIALS = 4, 8
POINTS = 25  # of an axis without levels: its ends are among them, and the coarse values too


class LrSweep(SingleObjectiveOptimizer):
    """Sweeps `practice.swept_axis`; everything else is as the libraries' defaults have it."""

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        axis = swept_axis(self.space)
        self._axis, self._fixed = axis.name, self.fixed()
        spaced = [axis.from_unit(index / (POINTS - 1)) for index in range(POINTS)]
        self._values: tuple[Value, ...] = axis.levels or tuple(dict.fromkeys(spaced))
        last = len(self._values) - 1
        self._queue = [*dict.fromkeys(round(last * n / (COARSE - 1)) for n in range(COARSE))]
        self._asked_indices: dict[int, int] = {}
        self._losses: dict[int, float] = {}

    def fixed(self) -> Configuration:
        """Return what all axes but the swept one are set to, among values for that one too."""
        return default_configuration(self.space)

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next value of the axis; None: wait for what runs, or the sweep is over."""
        if not self._queue:
            index = None if self._asked_indices else self._finer()
            if index is None:
                return None
            self._queue.append(index)
        index = self._queue.pop(0)
        self._asked_indices[number] = index
        return Suggestion(self._fixed | {self._axis: self._values[index]})

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Keep the loss of a value; trials of an initial design are none of the sweep."""
        if trial.number in self._asked_indices:
            self._losses[self._asked_indices.pop(trial.number)] = evaluation.loss(self.objective)

    def _finer(self) -> int | None:
        """Return the middle of the wider gap beside the best; None: there is none."""
        if len(self._losses) >= TRIALS:
            return None
        tried = sorted(self._losses)
        best = tried.index(min(tried, key=self._losses.__getitem__))
        gaps = [tried[max(best - 1, 0) : best + 1], tried[best : best + 2]]
        # Twice the gap, so that a gap of one value (the best lies at an end) has two ends.
        low, *_, high = max(gaps, key=lambda gap: gap[-1] - gap[0]) * 2
        return (low + high) // 2 if high - low > 1 else None


class LrSweepLarge(LrSweep):
    """The same at the largest rank and the smallest batch: most capacity, most updates."""

    def fixed(self) -> Configuration:
        """Return the defaults but for rank and batch."""
        return strong_configuration(self.space)
