"""The order in which a grid is collected: a low-discrepancy sequence over its configurations."""

import numpy as np
from scipy.stats import qmc

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.space import Configuration, Space


def spread(space: Space) -> list[Configuration]:
    """Return all configurations of a finite space; each beginning is a balanced design.

    The points of Sobol's sequence (unscrambled, so that the order never changes) fall into the
    cells of the grid; a point whose cell is taken goes to the nearest free one, measured in shares
    of each axis. For `n` configurations this takes O(n^2) steps: a second for 5,000.

    Raises:
        ConfigurationError: an axis is a range.
    """
    if not space.finite:
        raise ConfigurationError("a space with a range cannot be listed")
    axes = [d.levels for d in space if d.levels is not None]
    sizes = np.array([len(values) for values in axes])
    cells = np.stack(np.unravel_index(np.arange(sizes.prod()), sizes), axis=1)
    centres = (cells + 0.5) / sizes
    free = np.ones(len(cells), dtype=bool)
    order = []
    points = qmc.Sobol(len(sizes), scramble=False).random_base2(int(len(cells) - 1).bit_length())
    for point in points[: len(cells)]:
        number = int(np.ravel_multi_index(tuple((point * sizes).astype(int)), tuple(sizes)))
        if not free[number]:
            left = np.flatnonzero(free)
            number = int(left[np.argmin(((centres[left] - point) ** 2).sum(axis=1))])
        free[number] = False
        order.append(number)
    return [
        {
            name: axes[axis][level]
            for axis, (name, level) in enumerate(zip(space.names, cells[i], strict=True))
        }
        for i in order
    ]
