"""The order in which a grid is collected: a low-discrepancy sequence over its configurations."""

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.factors import Factor, Lattice
from hpobench_llm.space import Configuration, Space


def spread(space: Space) -> list[Configuration]:
    """Return all configurations of a finite space; every beginning is a balanced design.

    The points of Sobol's sequence (unscrambled, so that the order never changes) fall into the
    cells of the grid (of proportions: of their sticks); a point whose cell is taken goes to the
    nearest free one, measured in shares of each axis. For `n` configurations this takes O(n^2)
    steps: a second for 5,000.

    Raises:
        ConfigurationError: an axis is a range.
    """
    from scipy.stats import qmc  # half of what a study's process takes to start

    if not space.finite:
        raise ConfigurationError("a space with a range cannot be listed")
    configs = list(space.configurations())
    parts = [_Part(factor) for factor in space.factors]
    sizes = [len(part.centres) for part in parts]
    cells = np.unravel_index(np.arange(len(configs)), sizes)
    centres = np.hstack([p.centres[rows] for p, rows in zip(parts, cells, strict=True)])
    # Grid and sequence do not match one to one: two points may fall into one cell.
    is_free = np.ones(len(configs), dtype=bool)
    order = []
    sobol = qmc.Sobol(centres.shape[1], scramble=False)
    # Sobol's points are balanced in powers of two alone: draw the next one, take what is needed.
    points = sobol.random_base2(int(len(configs) - 1).bit_length())[: len(configs)]
    ends = np.cumsum([part.centres.shape[1] for part in parts])[:-1]
    split = np.split(points, ends, axis=1)
    rows = [part.rows(columns) for part, columns in zip(parts, split, strict=True)]
    numbers = np.ravel_multi_index(rows, sizes)
    for point, number in zip(points, numbers.tolist(), strict=True):
        if not is_free[number]:
            unused = np.flatnonzero(is_free)
            number = int(unused[np.argmin(((centres[unused] - point) ** 2).sum(axis=1))])
        is_free[number] = False
        order.append(number)
    return [configs[number] for number in order]


class _Part:
    """A factor of the space as cells of the unit cube: `centres` are theirs, `(points, d)`."""

    def __init__(self, factor: Factor) -> None:
        self._lattice = factor if isinstance(factor, Lattice) else None
        size = len(factor.points or ())
        self.centres = ((np.arange(size) + 0.5) / size)[:, None]
        if self._lattice:
            self.centres = self._lattice.centres

    def rows(self, points: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the cell `(n,)` that each of points `(n, d)` lies in."""
        if self._lattice:
            return self._lattice.rows(points)
        return (points[:, 0] * len(self.centres)).astype(np.intp)
