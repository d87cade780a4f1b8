"""Grid search: every point of a fixed grid once, in an order that the seed shuffles. Our own code.

In the order of the axes a budget below the size of the grid would only see one corner of the
space, and seeds could not differ. Shuffled, any budget is a uniform draw *without replacement*
from the grid: on a finite space, whose grid is the space itself, that is all the difference to
random search, which repeats configurations.
"""

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.space import Space, Value


class Grid(Optimizer):
    """The product of all values of finite axes and of `resolution` values of the others.

    These are equally spaced in the unit encoding (in the logarithm where the dimension says so),
    both bounds included; those of an integer range are rounded, and fewer where the range is
    narrow. `ask` gives None for ever when the grid is exhausted. An initial design may come again.
    """

    resolution: ClassVar[int] = 10

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._axes = list(_axes(self.space, self.resolution))
        self._size = math.prod(len(points) for _, points in self._axes)
        self._rng = np.random.default_rng(self.seed)
        self._drawn = 0
        self._moved: dict[int, int] = {}

    def suggest(self, number: int) -> Suggestion | None:
        """Return a point of the grid that was not suggested yet, None if there is no more."""
        if self._drawn == self._size:
            return None
        index = self._draw()
        config: dict[str, Value] = {}
        for names, points in self._axes:
            index, level = divmod(index, len(points))
            config |= zip(names, points[level], strict=True)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""

    def _draw(self) -> int:
        # The shuffle of Fisher and Yates, as far as it is needed: a dict holds what it has moved,
        # so that a grid of any size costs memory for the points that were drawn only.
        position = self._drawn + int(self._rng.random() * (self._size - self._drawn))
        drawn = self._moved.get(position, position)
        self._moved[position] = self._moved.pop(self._drawn, self._drawn)
        self._drawn += 1
        return drawn


def _axes(
    space: Space, resolution: int
) -> Iterator[tuple[tuple[str, ...], tuple[tuple[Value, ...], ...]]]:
    """Yield names and what they take together: a list's values, or those of one range."""
    dimensions = {dimension.name: dimension for dimension in space}
    for factor in space.factors:
        if factor.points is not None:
            yield factor.names, factor.points
            continue
        for name in factor.names:
            spaced = map(dimensions[name].from_unit, np.linspace(0.0, 1.0, resolution).tolist())
            yield (name,), tuple((value,) for value in dict.fromkeys(spaced))
