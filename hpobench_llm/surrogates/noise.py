"""What seeds do to a run: how much in which region, and one draw for each seed.

Size: what repeated runs of a configuration differ by depends on how good it is and how far it is
trained (a good run's seeds differ by a hundredth, a chaotic one's by a tenth), so its standard
deviation is a function of the prediction and the fidelity (`regions.py`). The model's own error
is not part of it: the surrogate is one landscape, and a seed is a run on it. Where no seed repeats
the two cannot be told apart: draws then differ by what held-out residuals do, region by region.

Draw: that deviation times a normal number `sqrt(1 - s) * field + sqrt(s) * own`. `own` belongs to
(configuration, seed); `field` is a smooth random function of the configuration that belongs to
the seed (random Fourier features; Rahimi and Recht, 2007): a lucky order of the data is lucky for
neighbours too. `1 - s` is measured: how much alike the runs of one seed lie at neighbouring
configurations; where no seed repeats `s` is 1. A draw is shared by all fidelities, so a curve is
one run's, and correlated between metrics as the differences are.

Random numbers come from SHAKE-128 of (configuration, seed): equal in any process.
"""

from dataclasses import dataclass, field
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import spearmanr

from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models.base import rowwise
from hpobench_llm.surrogates.regions import Regions, fit_regions

WAVES, LENGTH = 32, 0.3  # of the field: how many, and how far it reaches in unit encoding
REACH = 3.0  # standard deviations: no draw lies farther out

_SEEDS_KEPT = 256
_MOST_PAIRED = 1000  # rows of one seed among which neighbours are compared


@dataclass(frozen=True, slots=True, eq=False)
class SeedNoise:
    """Draws for several targets around their predictions, on the fitted scale.

    `regions` is None in surrogates of format 2: their draws have the whole predictive spread.
    Shapes: `seed_share (targets,)`; `mixing (targets, targets)` correlates independent normal
    numbers; `waves (features of a configuration, WAVES)` and `phases (WAVES,)` make the field.
    """

    regions: Regions | None
    seed_share: FloatArray
    mixing: FloatArray
    waves: FloatArray
    phases: FloatArray
    _weights: dict[int, FloatArray] = field(default_factory=dict, init=False)

    def normals(self, numbers: FloatArray, units: FloatArray, seed: int) -> FloatArray:
        """Return the draws `(n, targets)`: normal over seeds, smooth in part over configurations.

        Args:
            numbers: `(n, d)` of the configurations, which name them.
            units: `(n, width)` features of the configurations, where the field is evaluated.
            seed: any integer.
        """
        targets = len(self.seed_share)
        salt = b"%d:" % seed
        names = numbers.astype("<f8")  # the same bytes, and so the same draw, on any machine
        own = np.array([_normal(salt + name.tobytes(), targets) for name in names])
        own = own.reshape(len(names), targets)
        waves = np.cos(rowwise(units, self.waves) + self.phases)
        # Divided by its length, the field has variance 1 at every configuration.
        size = np.sqrt((waves**2).sum(axis=1, keepdims=True))
        parts = np.concatenate((own, waves / np.maximum(size, 1e-12)), axis=1)
        return rowwise(parts, self._mixed(seed))

    def _mixed(self, seed: int) -> FloatArray:
        """Return `(targets + WAVES, targets)`: what a seed makes of own numbers and of waves."""
        weights = self._weights.get(seed)
        if weights is None:
            if len(self._weights) >= _SEEDS_KEPT:  # a cache: dropping it costs time alone
                self._weights.clear()
            shape = (WAVES, len(self.seed_share))
            smooth = _normal(b"field:%d" % seed, shape[0] * shape[1]).reshape(shape)
            weights = np.concatenate(
                (
                    self.mixing.T * np.sqrt(self.seed_share),
                    smooth @ self.mixing.T * np.sqrt(1.0 - self.seed_share),
                )
            )
            self._weights[seed] = weights
        return weights


def fit_noise(
    features: FloatArray,
    residuals: FloatArray,
    predicted: FloatArray,
    cell: NDArray[np.intp],
    seeds: NDArray[np.int64],
    units_width: int,
) -> SeedNoise:
    """Fit the draws to what runs of one cell differ by.

    Args:
        features: `(n, d)`, those of the configuration first, then those of the fidelity.
        residuals: `(n, targets)`, held-out value minus prediction; NaN where there is none.
        predicted: `(n, targets)` held-out predictions.
        cell: `(n,)` number of the row's (configuration, fidelity): equal for its seeds.
        seeds: `(n,)` of the rows.
        units_width: how many features describe the configuration.
    """
    units, fidelity = features[:, :units_width], features[:, units_width:]
    drawn = np.column_stack([_differences(column, cell) for column in residuals.T])
    regions = fit_regions(predicted, fidelity, drawn)
    scaled = drawn / regions.deviations(predicted, fidelity)
    scaled = np.clip(scaled, -REACH, REACH)
    # Neighbours are compared in full, where seeds have had most effect.
    full = np.all(fidelity >= 1.0 - 1e-9, axis=1)
    shares = [own_share(units[full], column, seeds[full], cell[full]) for column in scaled[full].T]
    rng = np.random.default_rng(0)  # the waves are stored: equal fits give equal bytes
    return SeedNoise(
        regions=regions,
        seed_share=np.array(shares),
        mixing=_mixing(scaled),
        waves=rng.normal(size=(units_width, WAVES)) / LENGTH,
        phases=rng.uniform(0.0, 2.0 * np.pi, WAVES),
    )


def _differences(residuals: FloatArray, cell: NDArray[np.intp]) -> FloatArray:
    """Return `(n,)` how far each run lies from its cell's mean; NaN where a cell has one run.

    The differences are scaled to the variance of a single run. Where no cell has two runs, they
    are the residuals themselves.
    """
    measured = np.flatnonzero(np.isfinite(residuals))
    values, index = residuals[measured], np.unique(cell[measured], return_inverse=True)[1]
    count = np.bincount(index)
    if not len(measured) or count.max() < 2:
        return residuals
    drawn = np.full(len(residuals), np.nan)
    means = np.bincount(index, values) / count
    repeated = count[index] > 1
    differences = (values - means[index])[repeated]
    runs = count[index][repeated]
    # Differences from the mean of n runs have the share (n - 1) / n of a run's variance.
    drawn[measured[repeated]] = differences * np.sqrt(runs / (runs - 1))
    return drawn


def own_share(
    units: FloatArray, scaled: FloatArray, seeds: NDArray[np.int64], cell: NDArray[np.intp]
) -> float:
    """Return the share of a seed's variance that is a run's own, not its neighbours' too.

    The products of two cells' differences at one seed, over their variance, are regressed on the
    field's correlation at their distance; the slope is the common share. 1 where no seed repeats.
    """
    measured = np.flatnonzero(np.isfinite(scaled))
    if len(measured) == len(np.unique(cell[measured])):
        return 1.0
    rng = np.random.default_rng(0)
    common = possible = 0.0
    for seed in np.unique(seeds[measured]):
        rows = measured[seeds[measured] == seed]
        if len(rows) > _MOST_PAIRED:
            rows = rng.choice(rows, _MOST_PAIRED, replace=False)
        squares = (units[rows] ** 2).sum(axis=1)
        distance = squares[:, None] + squares - 2.0 * units[rows] @ units[rows].T
        alike = np.exp(-np.maximum(distance, 0.0) / (2.0 * LENGTH**2))
        alike[cell[rows][:, None] == cell[rows]] = 0.0  # a run with itself says nothing
        common += float(scaled[rows] @ alike @ scaled[rows])
        possible += float((alike**2).sum())
    variance = float((scaled[measured] ** 2).mean())
    if possible * variance <= 0.0:
        return 1.0
    return float(np.clip(1.0 - common / possible / variance, 0.0, 1.0))


def _mixing(scaled: FloatArray) -> FloatArray:
    """Return a matrix with rows of length 1 whose square is the differences' rank correlation."""
    count = scaled.shape[1]
    correlation = np.eye(count)
    for first in range(count):
        for second in range(first):
            both = np.isfinite(scaled[:, first]) & np.isfinite(scaled[:, second])
            x, y = scaled[both, first], scaled[both, second]
            if both.sum() >= 10 and np.ptp(x) > 0 and np.ptp(y) > 0:
                rank = float(spearmanr(x, y).statistic)
                normal = 2.0 * np.sin(rank * np.pi / 6.0)  # of normal numbers with that rank's
                correlation[first, second] = correlation[second, first] = normal
    # Correlations that are estimated pair by pair need not make a positive definite matrix.
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 1e-9))
    mixing: FloatArray = root / np.sqrt((root**2).sum(axis=1, keepdims=True))
    return mixing


def _normal(message: bytes, count: int) -> FloatArray:
    raw = np.frombuffer(shake_128(message).digest(8 * count), dtype="<u8")
    # 53 bits, moved by half a step: never 0, where the normal number would be infinite.
    normal: FloatArray = ndtri(((raw >> np.uint64(11)) + 0.5) * 2.0**-53)
    return normal
