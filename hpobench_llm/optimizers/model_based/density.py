"""A kernel density of points on ranges and names, with normal-reference bandwidths. Our own code.

As statsmodels' `KDEMultivariate` has it: Gaussian kernels on ranges, and on names the kernel of
Aitchison and Aitken, "Multivariate binary discrimination by the kernel method", Biometrika 63,
1976.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hpobench_llm.optimizers.encoding import Points
from hpobench_llm.space import Categorical, Space

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Density:
    """The mean of kernels at `centres (n, d)`.

    `names (d,)` is the number of names of a categorical axis, whose coordinate is the index of a
    name, and 0 for any other axis, which lies in [0, 1].
    """

    centres: Array
    bandwidths: Array
    names: NDArray[np.int64]

    @staticmethod
    def fit(centres: Array, names: NDArray[np.int64], least: float) -> "Density":
        """Return the density with bandwidths `1.06 sd n**(-1 / (4 + d))`, none below `least`.

        On a categorical axis it is at most `1 - 1 / names`, where all names are equally likely.
        """
        count, axes = centres.shape
        widths = 1.06 * centres.std(axis=0) * count ** (-1.0 / (4 + axes))
        most = np.where(names > 0, 1.0 - 1.0 / np.maximum(names, 1), np.inf)
        return Density(centres, np.minimum(np.maximum(widths, least), most), names)

    def logarithm(self, points: Array) -> Array:
        """Return the logarithm of the density `(m,)` at `points (m, d)`."""
        total = np.zeros((len(points), len(self.centres)))
        for axis, (width, names) in enumerate(zip(self.bandwidths, self.names, strict=True)):
            gaps = points[:, axis, None] - self.centres[:, axis]
            if names == 0:
                total -= 0.5 * (gaps / width) ** 2 + np.log(width * np.sqrt(2.0 * np.pi))
            elif names > 1:
                total += np.log(np.where(gaps == 0.0, 1.0 - width, width / (names - 1)))
        most = total.max(axis=1)  # taken out of the sum, so that the exponentials do not underflow
        logs: Array = most + np.log(np.exp(total - most[:, None]).mean(axis=1))
        return logs

    def sample(self, count: int, widened: float, rng: np.random.Generator) -> Array:
        """Return `count` points `(count, d)`, each around a random centre.

        On a range by a normal step of `widened` bandwidths, truncated to [0, 1]; of names the
        centre's with a probability of 1 less the bandwidth, else any.
        """
        centres = self.centres[rng.integers(len(self.centres), size=count)]
        steps = np.where(self.names == 0, widened * self.bandwidths, 1.0)
        low, high = ndtr(-centres / steps), ndtr((1.0 - centres) / steps)
        moved = centres + steps * ndtri(low + rng.random(centres.shape) * (high - low))
        at_centre = rng.random(centres.shape) < 1.0 - self.bandwidths
        anew = np.floor(rng.random(centres.shape) * self.names)
        on_ranges = np.clip(moved, 0.0, 1.0)
        of_names = np.where(at_centre, centres, anew)
        return np.where(self.names == 0, on_ranges, of_names)


def names_of(space: Space) -> NDArray[np.int64]:
    """Return the number of names of each axis, `(d,)`; 0 for an axis that is not categorical."""
    return np.array([len(d.values) if isinstance(d, Categorical) else 0 for d in space])


def to_indices(points: Points, names: NDArray[np.int64]) -> Array:
    """Return points of the unit cube with equal cells with names as indices, `(n, d)`."""
    return np.where(names == 0, points, np.floor(points * names))


def from_indices(points: Array, names: NDArray[np.int64]) -> Points:
    """Undo `to_indices`."""
    return np.where(names == 0, points, (points + 0.5) / np.maximum(names, 1))
