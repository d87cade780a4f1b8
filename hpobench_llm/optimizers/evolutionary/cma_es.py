"""CMA-ES with margin, restarted with a larger population when it has converged.

Hamano, Saito, Nomura and Shirakawa, "CMA-ES with margin: lower-bounding marginal probability for
mixed-integer black-box optimization", GECCO 2022, as the library `cmaes` has it. Restarts: Auger
and Hansen, "A restart CMA evolution strategy with increasing population size", CEC 2005.
"""

from dataclasses import dataclass

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import Point
from hpobench_llm.optimizers.evolutionary.cmaes_library import CMAwM
from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Value

SIGMA = 0.3  # of the range: Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772


@dataclass(frozen=True, slots=True)
class _Axis:
    """A dimension as CMA-ES sees it: [0, 1], with `levels` equally spaced values, or real."""

    dimension: Dimension
    levels: int | None

    def encode(self, value: Value) -> float:
        """Return the coordinate of a value."""
        if self.levels is None:
            return min(max(self.dimension.to_unit(value), 0.0), 1.0)
        if isinstance(self.dimension, Ordinal | Categorical):
            return self.dimension.level(value) / (self.levels - 1)
        return self.dimension.to_unit(value)

    def decode(self, coordinate: float) -> Value:
        """Return the value at a coordinate."""
        if isinstance(self.dimension, Ordinal | Categorical):
            return self.dimension.values[round(coordinate * (len(self.dimension.values) - 1))]
        return self.dimension.from_unit(min(max(coordinate, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A suggestion that runs, with its restart and the library's vector for it."""

    restart: int
    config: Configuration
    point: Point


class CmaEs(SingleObjectiveOptimizer):
    """`cmaes.CMAwM` on the unit cube with the library's defaults.

    These are `4 + floor(3 ln d)` trials a generation and a margin of one over d times that. The
    first mean is the best of the initial design, where there is one (`ask` waits for it), else a
    uniform draw, and the first step size 0.3, both as in Hansen's tutorial. When the library says
    that it should stop, it starts again from another draw with twice the population.

    Encoding: the values of an ordinal axis and of an integer range are equally spaced steps with
    a margin; an integer range with log is a real axis that is rounded; so is a real range, of the
    logarithm where the dimension says log. An axis with a single value is left out.

    Deviations: a categorical axis is treated as an ordinal one, in the order of the space, since
    CMA-ES needs one. With one axis a second is added that nothing depends on, for the library
    takes no less than two. A generation is complete when as many outcomes are known, whichever
    generation they were asked in: no worker waits. On an axis where a configuration was moved
    before it was evaluated, the vector is too. A failed trial has the metric's worst value.

    A configuration may come again: the margin keeps every value of an axis likely enough to be
    drawn, not new, and repetitions are no reason for a restart, in the paper as here.

    Raises:
        MissingDependencyError: cmaes is not installed.
        OptimizerError: more than one objective.
    """

    seeding = "seeds of CMAwM from a NumPy generator"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._axes = [axis for axis in map(_axis, self.space) if axis is not None]
        self._start = self.space.sample(self._rng)
        self._start_loss = float("inf")  # the loss at the start, if it is the best of a design
        self._cma: CMAwM | None = None
        self._restarts = 0
        self._under_way: dict[int, _Asked] = {}
        self._generation: list[tuple[Point, float]] = []

    def suggest(self, number: int) -> Suggestion | None:
        """Return a draw from the distribution; None while an initial design runs."""
        if not self._axes:
            return Suggestion(self._start)
        if self._cma is None:
            if self._running:
                return None
            mean = [axis.encode(self._start[axis.dimension.name]) for axis in self._axes]
            self._cma = self._begin(np.array(mean), None)
        values, point = self._cma.ask()
        config = self._start | {
            axis.dimension.name: axis.decode(float(value))
            for axis, value in zip(self._axes, values, strict=False)  # there may be a dummy axis
        }
        self._under_way[number] = _Asked(self._restarts, config, point)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Collect a generation, then move the distribution."""
        loss = evaluation.loss(self.objective)
        asked = self._under_way.pop(trial.number, None)
        if asked is None and loss < self._start_loss:  # of an initial design
            self._start, self._start_loss = trial.config, loss
        # What was asked for before a restart belongs to another distribution.
        if asked is None or self._cma is None or asked.restart != self._restarts:
            return
        point = asked.point.copy()
        for index, axis in enumerate(self._axes):
            name = axis.dimension.name
            if trial.config[name] != asked.config[name]:
                point[index] = axis.encode(trial.config[name])
        self._generation.append((point, loss))
        if len(self._generation) < self._cma.population_size:
            return
        self._cma.tell(self._generation)
        self._generation = []
        if self._cma.should_stop():
            self._restarts += 1
            draw = self._rng.random(len(self._axes))
            self._cma = self._begin(draw, 2 * self._cma.population_size)

    def _begin(self, mean: Point, population: int | None) -> CMAwM:
        steps = [0.0 if axis.levels is None else 1.0 / (axis.levels - 1) for axis in self._axes]
        if len(steps) == 1:  # CMAwM takes no less than two axes
            steps, mean = [*steps, 0.0], np.append(mean, 0.5)
        return CMAwM(
            mean=mean,
            sigma=SIGMA,
            bounds=np.tile([0.0, 1.0], (len(steps), 1)),
            steps=np.array(steps),
            population_size=population,
            seed=int(self._rng.integers(2**31)),
        )


def _axis(dimension: Dimension) -> _Axis | None:
    match dimension:
        case Ordinal() | Categorical():
            levels = len(dimension.values)
            return _Axis(dimension, levels) if levels > 1 else None
        case Integer(log=False):
            return _Axis(dimension, dimension.high - dimension.low + 1)
        case _:
            return _Axis(dimension, None)
