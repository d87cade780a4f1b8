"""The factors of a space: single axes, and simplexes, whose axes sum to one.

A simplex of k proportions has k - 1 degrees of freedom. Its *sticks* are numbers in [0, 1] that
take the proportions off the whole one after the other (stick-breaking), scaled so that uniform
sticks give uniform proportions: Dirichlet(1, ..., 1) for ranges, equally likely combinations for
levels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.dimensions import Dimension, Float, Ordinal, Value
from hpobench_llm.errors import ConfigurationError

SUM_ERROR = 1e-6  # by which the sum of rounded proportions may differ from one
Sticks = NDArray[np.float64]
_MOST_COMBINATIONS = 10**7  # of levels, which are searched for those that sum to one


@dataclass(frozen=True, slots=True)
class Simplex:
    """Neighbouring axes of a space whose values are proportions of one whole.

    Example:
        >>> from hpobench_llm.space import Float, Space
        >>> shares = Float("code", 0.0, 1.0), Float("prose", 0.0, 1.0)
        >>> space = Space(shares, (Simplex("mixture", ("code", "prose")),))
        >>> sum(space.sample(0).values())
        1.0
    """

    name: str
    axes: tuple[str, ...]


class Factor(Protocol):
    """A factor of a space: `points` are the values of its axes, None for a range."""

    @property
    def names(self) -> tuple[str, ...]:
        """The axes."""

    @property
    def points(self) -> tuple[tuple[Value, ...], ...] | None:
        """All values together, in order."""

    def draw(self, rng: np.random.Generator) -> tuple[Value, ...]:
        """Draw uniformly."""


class Axis:
    """One dimension; `points` are its levels, None of a range."""

    def __init__(self, dimension: Dimension) -> None:
        self.dimension = dimension
        self.names = (dimension.name,)
        levels = dimension.levels
        self.points: tuple[tuple[Value, ...], ...] | None = None
        if levels is not None:
            self.points = tuple((value,) for value in levels)

    def draw(self, rng: np.random.Generator) -> tuple[Value, ...]:
        """Draw uniformly among the levels, of a range in the unit encoding."""
        if self.points is not None:
            return self.points[int(rng.integers(len(self.points)))]
        return (self.dimension.from_unit(float(rng.random())),)


class Ranges:
    """A simplex of ranges, each with a least share."""

    points: tuple[tuple[Value, ...], ...] | None = None

    def __init__(self, name: str, axes: Sequence[Float]) -> None:
        self.name = name
        self.names = tuple(axis.name for axis in axes)
        self._low = np.array([axis.low for axis in axes])
        self._free = 1.0 - float(self._low.sum())
        if self._free <= 0:
            raise ValueError(f"simplex `{name}`: its least proportions leave nothing of one")
        for axis in axes:
            if axis.high < axis.low + self._free - SUM_ERROR:
                raise ValueError(
                    f"simplex `{name}`: `{axis.name}` ends at {axis.high}, but has to reach "
                    f"{axis.low + self._free:.6g}, what the others leave at most"
                )

    def draw(self, rng: np.random.Generator) -> tuple[float, ...]:
        """Draw uniformly from the simplex."""
        return self.decode(rng.random(len(self.names) - 1))

    def decode(self, sticks: Sticks) -> tuple[float, ...]:
        """Return the proportions `(k,)` of sticks `(k - 1,)`."""
        shares, rest = [], 1.0
        for left, stick in zip(range(len(sticks), 0, -1), sticks, strict=True):
            # Of what is left, the first of `left + 1` uniform parts is Beta(1, left).
            shares.append(rest * (1.0 - (1.0 - float(stick)) ** (1.0 / left)))
            rest -= shares[-1]
        return tuple((self._low + self._free * np.array([*shares, rest])).tolist())

    def encode(self, proportions: Sequence[Value]) -> Sticks:
        """Return the sticks `(k - 1,)` of proportions; a half once nothing is left to take off."""
        shares, rest = (np.array(proportions, dtype=np.float64) - self._low) / self._free, 1.0
        sticks: Sticks = np.full(len(shares) - 1, 0.5)
        for i, share in enumerate(shares[:-1]):
            if rest > SUM_ERROR:
                left = min(max(1.0 - share / rest, 0.0), 1.0)
                sticks[i] = 1.0 - left ** (len(sticks) - i)
            rest -= share
        return sticks

    def nearest(self, values: Sequence[Value]) -> tuple[float, ...]:
        """Return the nearest proportions (Duchi et al., "Efficient projections", ICML 2008)."""
        free = (np.array(values, dtype=np.float64) - self._low) / self._free
        ordered = np.sort(free)[::-1]
        excess = (np.cumsum(ordered) - 1.0) / np.arange(1, len(free) + 1)
        shift = excess[np.flatnonzero(ordered > excess)[-1]]
        return tuple((self._low + self._free * np.maximum(free - shift, 0.0)).tolist())

    def centred(self, sticks: Sticks) -> Sticks:
        """Return sticks as they are: each is a point of its own."""
        return sticks


class Lattice:
    """A simplex of levels: those combinations of them, `points`, that sum to one."""

    def __init__(self, name: str, axes: Sequence[Ordinal]) -> None:
        self.name = name
        self.names = tuple(axis.name for axis in axes)
        free = axes[:-1]  # the last is what is left
        if math.prod(len(axis.values) for axis in free) > _MOST_COMBINATIONS:
            raise ValueError(f"simplex `{name}`: more combinations of levels than can be listed")
        self.points: tuple[tuple[Value, ...], ...] = tuple(
            (*levels, last)
            for levels in product(*(axis.values for axis in free))
            for last in axes[-1].values
            if abs(sum(levels) + last - 1.0) <= SUM_ERROR
        )
        if not self.points:
            raise ValueError(f"simplex `{name}`: no combination of its levels sums to one")
        self._array = np.array(self.points, dtype=np.float64)
        self._ranges = self._runs()
        # `(points, k - 1)`: the middle of each point's sticks
        self.centres: Sticks = np.empty((len(self.points), len(free)))
        begin, end = (
            np.zeros(len(self.points), np.intp),
            np.full(len(self.points), len(self.points)),
        )
        for number, (first, last) in enumerate(self._ranges):
            self.centres[:, number] = ((first + last) / 2.0 - begin) / (end - begin)
            begin, end = first, last

    def _runs(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return for each stick the rows, first and last `(points,)`, with the same beginning."""
        runs = []
        for number in range(1, len(self.names)):
            _, run = np.unique(self._array[:, :number], axis=0, return_inverse=True)
            run = run.reshape(-1)
            runs.append((np.searchsorted(run, run), np.searchsorted(run, run, side="right")))
        return runs

    def draw(self, rng: np.random.Generator) -> tuple[Value, ...]:
        """Draw one of the points, each as likely as any other."""
        return self.points[int(rng.integers(len(self.points)))]

    def rows(self, sticks: Sticks) -> NDArray[np.intp]:
        """Return the number `(n,)` of the point in which each of the sticks `(n, k - 1)` lies."""
        begin = np.zeros(len(sticks), dtype=np.intp)
        end = np.full(len(sticks), len(self.points))
        row = begin
        for number, (first, last) in enumerate(self._ranges):
            row = begin + (sticks[:, number] * (end - begin)).astype(np.intp)
            row = np.minimum(row, end - 1)
            begin, end = first[row], last[row]
        return row

    def decode(self, sticks: Sticks) -> tuple[Value, ...]:
        """Return the point of sticks `(k - 1,)`."""
        return self.points[int(self.rows(sticks[None])[0])]

    def encode(self, proportions: Sequence[Value]) -> Sticks:
        """Return the middle of a point's sticks, `(k - 1,)`."""
        middle: Sticks = self.centres[self._row(proportions)]
        return middle

    def nearest(self, values: Sequence[Value]) -> tuple[Value, ...]:
        """Return the nearest point."""
        return self.points[self._row(values)]

    def centred(self, sticks: Sticks) -> Sticks:
        """Return sticks `(n, k - 1)`, each in the middle of those of its point."""
        middles: Sticks = self.centres[self.rows(sticks)]
        return middles

    def _row(self, values: Sequence[Value]) -> int:
        return int(
            np.argmin(((self._array - np.array(values, dtype=np.float64)) ** 2).sum(axis=1))
        )


Proportions = Ranges | Lattice


def check_sum(factor: Proportions, values: Sequence[Value]) -> None:
    """Check that the proportions of a simplex sum to one.

    Raises:
        ConfigurationError: they do not.
    """
    numbers = [float(value) for value in values]
    if abs(math.fsum(numbers) - 1.0) > SUM_ERROR:
        stated = ", ".join(f"{n} = {v:g}" for n, v in zip(factor.names, numbers, strict=True))
        near = ", ".join(f"{float(value):g}" for value in factor.nearest(numbers))
        raise ConfigurationError(
            f"`{factor.name}`: {stated} sum to {math.fsum(numbers):g}, not to one; nearest: {near}"
        )


@lru_cache(maxsize=256)
def proportions_of(simplex: Simplex, axes: tuple[Dimension, ...]) -> Proportions:
    """Return the factor of a simplex, whose axes are all ranges or all lists of levels.

    Raises:
        ValueError: it is none.
    """
    where = f"simplex `{simplex.name}`"
    if len(axes) < 2:
        raise ValueError(f"{where}: at least two axes are needed, got {list(simplex.axes)}")
    for axis in axes:
        if not isinstance(axis, Float | Ordinal) or axis.log:
            raise ValueError(f"{where}: `{axis.name}` has to be a real axis without `log`")
        low = axis.low if isinstance(axis, Float) else axis.values[0]
        high = axis.high if isinstance(axis, Float) else axis.values[-1]
        if not 0 <= low <= high <= 1:
            raise ValueError(f"{where}: `{axis.name}`: a proportion lies in [0, 1]: {low}, {high}")
    ranges = tuple(axis for axis in axes if isinstance(axis, Float))
    levels = tuple(axis for axis in axes if isinstance(axis, Ordinal))
    if ranges and levels:
        raise ValueError(f"{where}: its axes have to be all ranges, or all lists of levels")
    return Ranges(simplex.name, ranges) if ranges else Lattice(simplex.name, levels)
