"""A smaller search space: the box around the best configurations of related tasks.

Perrone, Shen, Seeger, Archambeau and Jenatton, "Learning search spaces for Bayesian optimization:
another view of hyperparameter transfer learning", NeurIPS 2019. Our own code.
"""

from collections.abc import Sequence
from dataclasses import replace

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.model_based.gp import Gp
from hpobench_llm.optimizers.transfer.knowledge import ranked
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Space,
    Value,
)


class BoundingBox(Gp):
    """`Gp` in the smallest box that holds the best configuration of every source, see `box`.

    Of tied configurations the first in the source counts. A source without a sound evaluation is
    ignored; if there is no other, the box is the whole space.

    The process knows the box alone. A trial of the initial design outside it is ignored. A
    suggestion that was moved out of it is learned at the configuration that was suggested. All
    else, the first trials too, is as in `Gp`.

    Attributes:
        space: the box.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state, in the box."""
        levels = [ranked(source, self.objectives) for source in self.sources]
        best = [ranking[0][0] for ranking in levels if ranking]
        # Before `Gp` sets itself up: its sequence and its candidates are then of the box.
        if best:
            self.space = box(self.space, best)
        super().set_up()
        self._suggested: dict[int, Configuration] = {}

    def suggest(self, number: int) -> Suggestion:
        """Return what the process asks for."""
        suggestion = super().suggest(number)
        self._suggested[number] = suggestion.config
        return suggestion

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Learn of a trial in the box, or of one that was suggested there."""
        suggested = self._suggested.pop(trial.number, None)
        if holds(self.space, trial.config):
            super().learn(trial, evaluation)
        elif suggested is not None:
            super().learn(replace(trial, config=suggested), evaluation)


def box(space: Space, configs: Sequence[Configuration]) -> Space:
    """Return the smallest space that holds the configurations.

    An axis with an order goes from the lowest to the highest of their values, and keeps a log
    scale; with one value it is an axis without a choice. An axis of names keeps those that occur.
    """
    return Space(tuple(_narrow(d, [config[d.name] for config in configs]) for d in space))


def holds(space: Space, config: Configuration) -> bool:
    """Say whether a configuration of the whole space lies in a box of it."""
    return all(_lies(d, config[d.name]) for d in space)


def _narrow(dimension: Dimension, values: list[Value]) -> Dimension:
    match dimension:
        case Categorical():
            return replace(dimension, values=tuple(v for v in dimension.values if v in values))
        case Ordinal():
            levels = sorted(dimension.level(value) for value in values)
            return replace(dimension, values=dimension.values[levels[0] : levels[-1] + 1])
    numbers = sorted(value for value in values if not isinstance(value, str))
    if numbers[0] == numbers[-1]:
        return Ordinal(dimension.name, (numbers[0],), unit=dimension.unit)
    if isinstance(dimension, Integer):
        return replace(dimension, low=int(numbers[0]), high=int(numbers[-1]))
    return replace(dimension, low=float(numbers[0]), high=float(numbers[-1]))


def _lies(dimension: Dimension, value: Value) -> bool:
    if isinstance(dimension, Integer | Float):
        return not isinstance(value, str) and dimension.low <= value <= dimension.high
    return value in dimension.values
