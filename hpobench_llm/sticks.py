"""The product of free axes that optimizers search in place of a space with proportions.

A simplex of k axes becomes k - 1 real axes on [0, 1], its sticks (see `factors`), so that each
point of the product is a configuration, a uniform point a uniform one, and no optimizer needs to
know of sums. Of levels, sticks count as the middle of those that give the same configuration.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.factors import Factor, Lattice, Proportions, Ranges
from hpobench_llm.space import Configuration, Dimension, Float, Space, Value

Points = NDArray[np.float64]


class Broken:
    """A simplex as its sticks: a factor of the product."""

    def __init__(self, whole: Proportions) -> None:
        self.whole = whole
        self.names = tuple(f"stick_{name}" for name in whole.names[:-1])
        self.points = None
        if whole.points is not None:
            self.points = tuple(tuple(whole.encode(point).tolist()) for point in whole.points)

    def draw(self, rng: np.random.Generator) -> tuple[Value, ...]:
        """Draw the sticks of uniform proportions."""
        return tuple(self.whole.encode(self.whole.draw(rng)).tolist())


@dataclass(frozen=True, slots=True)
class StickSpace(Space):
    """The product that stands for `whole`, a space with simplexes.

    It has the size, the configurations and the draws of `whole`. Its canonical form has sticks of
    levels in their middle, so that a configuration of `whole` has one id here too.
    """

    whole: Space = field(kw_only=True, repr=False)

    @staticmethod
    def of(whole: Space) -> "StickSpace | None":
        """Return the product of a space, None if it has no simplex."""
        if not whole.simplexes:
            return None
        axes = {axis.name: axis for axis in whole.dimensions}
        dimensions: list[Dimension] = []
        for factor in whole.factors:
            if isinstance(factor, Ranges | Lattice):
                dimensions += [Float(name, 0.0, 1.0) for name in Broken(factor).names]
            else:
                dimensions.append(axes[factor.names[0]])
        return StickSpace(tuple(dimensions), whole=whole)

    def _factors(self) -> tuple[Factor, ...]:
        factors = self.whole.factors
        return tuple(Broken(f) if isinstance(f, Ranges | Lattice) else f for f in factors)

    def canonical(self, config: Mapping[str, object]) -> Configuration:
        """Return the canonical form. See `Space.canonical`."""
        return self.settled(Space.canonical(self, config))

    def _check_keys(self, config: Mapping[str, object]) -> None:
        for factor in self.factors:
            if isinstance(factor, Broken) and (shares := set(factor.whole.names) & set(config)):
                raise ConfigurationError(
                    f"{', '.join(map(repr, sorted(shares)))}: an optimizer gives proportions as "
                    f"{', '.join(factor.names)}; `self.space.encode` turns them into these"
                )
        Space._check_keys(self, config)

    def settled(self, config: Configuration) -> Configuration:
        """Return a configuration with the sticks of levels in their middle."""
        settled = dict(config)
        for factor in self._of_levels():
            sticks = np.array([[float(config[name]) for name in factor.names]])
            settled |= zip(factor.names, factor.whole.centred(sticks)[0].tolist(), strict=True)
        return settled

    def centred(self, points: Points) -> Points:
        """Return points `(n, d)` of the unit cube with the sticks of levels in their middle."""
        centred = points.copy()
        for factor in self._of_levels():
            first = self.names.index(factor.names[0])
            columns = slice(first, first + len(factor.names))
            centred[:, columns] = factor.whole.centred(points[:, columns])
        return centred

    def _of_levels(self) -> list[Broken]:
        return [f for f in self.factors if isinstance(f, Broken) and f.points is not None]

    def configurations(self) -> Iterator[Configuration]:
        """Yield the sticks of every configuration of the space."""
        yield from map(self.encode, self.whole.configurations())

    def sample(self, rng: np.random.Generator | int) -> Configuration:
        """Draw the sticks of one configuration of the space. See `Space.sample`."""
        return self.encode(self.whole.sample(rng))

    def encode(self, config: Mapping[str, Value]) -> Configuration:
        """Return the sticks of a canonical configuration of the space."""
        coded: Configuration = {}
        for factor in self.factors:
            if isinstance(factor, Broken):
                sticks = factor.whole.encode([config[name] for name in factor.whole.names])
                coded |= zip(factor.names, sticks.tolist(), strict=True)
            else:
                coded[factor.names[0]] = config[factor.names[0]]
        return coded

    def decode(self, config: Mapping[str, Value]) -> Configuration:
        """Return the configuration of the space for these sticks."""
        decoded: Configuration = {}
        for factor in self.factors:
            if isinstance(factor, Broken):
                sticks = np.array([float(config[name]) for name in factor.names])
                decoded |= zip(factor.whole.names, factor.whole.decode(sticks), strict=True)
            else:
                decoded[factor.names[0]] = config[factor.names[0]]
        return decoded
