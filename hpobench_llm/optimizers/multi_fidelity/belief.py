"""Where someone believes the best configuration to be: a distribution around one. Our own code."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hpobench_llm.optimizers.encoding import Point, encode
from hpobench_llm.optimizers.model_based.density import names_of, to_indices
from hpobench_llm.space import Configuration, Space

WIDTH = 0.25  # of the range, and what all other names share


@dataclass(frozen=True, slots=True)
class Belief:
    """Independent on each axis of the unit cube with equal cells (d,), names as their indices.

    On a range it is a normal distribution around `centre`, `WIDTH` wide and cut off at the ends.
    Among names the centre has a probability of 1 - `WIDTH`, and the others share the rest.
    """

    centre: Point
    names: NDArray[np.int64]

    @staticmethod
    def around(space: Space, config: Configuration) -> "Belief":
        """Return the belief in a configuration."""
        names = names_of(space)
        return Belief(to_indices(encode(space, config)[None], names)[0], names)

    def sample(self, rng: np.random.Generator) -> Point:
        """Draw a point."""
        # The quantile at a uniform share between the ends' is a draw of the cut-off normal.
        low, high = self._ends()
        moved = self.centre + WIDTH * ndtri(low + rng.random(len(self.centre)) * (high - low))
        others = self.others(rng)
        # An axis of one name has no others.
        at_centre = (rng.random(len(self.centre)) < 1.0 - WIDTH) | (self.names == 1)
        of_names = np.where(at_centre, self.centre, others)
        return np.where(self.names == 0, np.clip(moved, 0, 1), of_names)

    def others(self, rng: np.random.Generator) -> Point:
        """Draw, on each axis of names, one that is not the centre; the only one where it is."""
        count = np.maximum(self.names, 1)
        steps = 1 + np.floor(rng.random(len(count)) * (count - 1))
        drawn: Point = (self.centre + steps) % count
        return drawn

    def logarithm(self, point: Point) -> float:
        """Return the logarithm of the density at a point."""
        low, high = self._ends()
        inside = np.where(self.names == 0, high - low, 1.0)
        normal = -0.5 * ((point - self.centre) / WIDTH) ** 2 - np.log(inside)
        rest = WIDTH / np.maximum(self.names - 1, 1)
        of_centre = np.where(self.names == 1, 1.0, 1.0 - WIDTH)
        share = np.where(point == self.centre, of_centre, rest)
        constant = np.log(WIDTH * np.sqrt(2.0 * np.pi))
        return float(np.where(self.names == 0, normal - constant, np.log(share)).sum())

    def _ends(self) -> tuple[Point, Point]:
        return ndtr(-self.centre / WIDTH), ndtr((1.0 - self.centre) / WIDTH)
