"""The predictive distribution of a run: how wide, of which shape, and one draw for each seed.

Width: a polynomial of the features for the logarithm of the held-out residuals' size, so that it
differs from place to place. Shape: the quantiles of the residuals in units of that width (as it
would be said of a configuration that it has not seen), widened for the finite number of
configurations (split conformal prediction; Papadopoulos et al., 2002; Lei et al., 2018). Residuals
come from cross-validation, so they hold the model's error and the seeds' noise together.

Draw: a plausible course of events for a seed, not white noise of the whole width. The model errs
alike for neighbouring configurations, while seeds differ from run to run; so the normal number
that picks the quantile is `sqrt(1 - s) * field + sqrt(s) * own`. `own` belongs to (configuration,
seed); `field` is a smooth random function of the configuration that belongs to the seed (random
Fourier features; Rahimi and Recht, 2007). `s` is the share of the variance that seeds cause,
measured where seeds repeat, and 1 where none do: the two cannot be told apart there. At any one
configuration the draws of all seeds have the whole predictive distribution. A draw is shared by
all fidelities, so a curve is one run's, and correlated between metrics as their residuals are.

Random numbers come from SHAKE-128 of (configuration, seed): equal in any process.
"""

from dataclasses import dataclass, field
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import spearmanr

from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models.base import Files, pack, rowwise, unpack
from hpobench_llm.surrogates.models.ridge import Polynomial, fit_polynomial

STEP, REACH = 0.2, 2.6  # of the quantiles' grid, in standard deviations of a normal number
GRID = np.round(np.arange(-REACH, REACH + STEP / 2, STEP), 10)
WAVES, LENGTH = 32, 0.3  # of the field: how many, and how far it reaches in unit encoding

_FOLDS = 10  # of the configurations, to scale residuals by widths that did not see them
_SMALLEST = 1e-3  # a residual counts as at least this share of the median one
_SEEDS_KEPT = 256


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Predictive distributions of several targets around their predictions, on the fitted scale.

    Shapes: `quantiles (targets, grid)` at the normal numbers of `GRID`, in units of the width;
    `log_range (2, targets)` bounds the logarithm of the width to what was seen; `seed_share
    (targets,)`; `mixing (targets, targets)` correlates independent normal numbers; `waves
    (features of a configuration, WAVES)` and `phases (WAVES,)` make the field.
    """

    width: Polynomial
    log_range: FloatArray
    quantiles: FloatArray
    seed_share: FloatArray
    mixing: FloatArray
    waves: FloatArray
    phases: FloatArray
    _weights: dict[int, FloatArray] = field(default_factory=dict, init=False)

    def widths(self, features: FloatArray) -> FloatArray:
        """Return `(n, targets)`."""
        low, high = self.log_range
        logs = np.minimum(np.maximum(self.width.predict(features), low), high)
        widths: FloatArray = np.exp(logs)
        return widths

    def residuals(self, features: FloatArray, normal: FloatArray) -> FloatArray:
        """Return `(n, targets)` residuals at normal numbers of that shape."""
        place = (np.minimum(np.maximum(normal, -REACH), REACH) + REACH) / STEP
        below = np.minimum(place.astype(np.intp), len(GRID) - 2)
        part = place - below
        column = np.arange(len(self.quantiles))
        low, high = self.quantiles[column, below], self.quantiles[column, below + 1]
        shape: FloatArray = low + (high - low) * part
        return shape * self.widths(features)

    def normals(self, numbers: FloatArray, units: FloatArray, seed: int) -> FloatArray:
        """Return the draws `(n, targets)`: normal over seeds, smooth in part over configurations.

        Args:
            numbers: `(n, d)` of the configurations, which name them.
            units: `(n, width)` features of the configurations, where the field is evaluated.
            seed: any integer.
        """
        targets = len(self.seed_share)
        salt = b"%d:" % seed
        names = numbers.astype("<f8")
        own = np.array([_normal(salt + name.tobytes(), targets) for name in names])
        waves = np.cos(rowwise(units, self.waves) + self.phases)
        size = np.sqrt((waves**2).sum(axis=1, keepdims=True))
        parts = np.concatenate((own, waves / np.maximum(size, 1e-12)), axis=1)
        return rowwise(parts, self._mixed(seed))

    def interval(self, features: FloatArray, coverage: float) -> tuple[FloatArray, FloatArray]:
        """Return the residuals `(n, targets)` between which a run lies with that probability."""
        reach = float(ndtri(0.5 + coverage / 2))
        shape = (len(features), len(self.quantiles))
        low = self.residuals(features, np.full(shape, -reach))
        return low, self.residuals(features, np.full(shape, reach))

    def _mixed(self, seed: int) -> FloatArray:
        """Return `(targets + WAVES, targets)`: what a seed makes of own numbers and of waves."""
        weights = self._weights.get(seed)
        if weights is None:
            if len(self._weights) >= _SEEDS_KEPT:
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

    def files(self) -> dict[str, bytes]:
        """Return the arrays as a NumPy archive."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        degree = np.array([self.width.degree], dtype=np.float64)
        return pack(width=self.width.weights, degree=degree, **arrays)

    @staticmethod
    def read(files: Files) -> "Noise":
        """Rebuild what `files` gave.

        Raises:
            IntegrityError: the archive is not one of these.
        """
        width, degree, *arrays = unpack(files, "width", "degree", *_ARRAYS)
        named = dict(zip(_ARRAYS, arrays, strict=True))
        return Noise(width=Polynomial(width, int(degree[0])), **named)


_ARRAYS = ("log_range", "quantiles", "seed_share", "mixing", "waves", "phases")


def fit_noise(
    features: FloatArray,
    residuals: FloatArray,
    configuration: NDArray[np.intp],
    cell: NDArray[np.intp],
    units_width: int,
) -> Noise:
    """Fit the predictive distributions to held-out residuals.

    Args:
        features: `(n, d)`, those of the configuration first.
        residuals: `(n, targets)`, held-out value minus prediction; NaN where there is none.
        configuration: `(n,)` number of the row's configuration.
        cell: `(n,)` number of the row's (configuration, fidelity): equal for its seeds.
        units_width: how many features describe the configuration.
    """
    count = residuals.shape[1]
    weights, ranges, scaled = [], [], np.full(residuals.shape, np.nan)
    for column in range(count):
        known = np.flatnonzero(np.isfinite(residuals[:, column]))
        if not len(known):  # every run has the same value: nothing is uncertain
            ranges.append(np.zeros(2))
            weights.append(np.zeros((1 + features.shape[1] * (features.shape[1] + 3) // 2, 1)))
            continue
        polynomial, low, high = _fit_width(features[known], residuals[known, column])
        ranges.append(np.array([low, high]))
        weights.append(_padded(polynomial, features.shape[1]))
        scaled[known, column] = _scaled(
            features[known], residuals[known, column], configuration[known]
        )
    rng = np.random.default_rng(0)
    return Noise(
        width=Polynomial(np.hstack(weights), 2),
        log_range=np.array(ranges).T,
        quantiles=np.array([_quantiles(scaled[:, c], configuration) for c in range(count)]),
        seed_share=np.array([_known_or_one(s) for s in seed_shares(scaled, cell)]),
        mixing=_mixing(scaled),
        waves=rng.normal(size=(units_width, WAVES)) / LENGTH,
        phases=rng.uniform(0.0, 2.0 * np.pi, WAVES),
    )


def _fit_width(features: FloatArray, residuals: FloatArray) -> tuple[Polynomial, float, float]:
    """Return a polynomial for the logarithm of the residuals' size, and the range it may say."""
    size = np.abs(residuals)
    floor = max(float(np.median(size)) * _SMALLEST, 1e-12)
    target = np.log(np.maximum(size, floor))[:, None]
    enough = len(size) >= 10 * (1 + features.shape[1])
    polynomial = fit_polynomial(features, target, 2 if enough else 0, penalty=1.0)
    low, high = np.quantile(polynomial.predict(features)[:, 0], [0.01, 0.99])
    return polynomial, float(low), float(high)


def _scaled(
    features: FloatArray, residuals: FloatArray, configuration: NDArray[np.intp]
) -> FloatArray:
    """Return the residuals in units of widths that were fitted to other configurations.

    In units of their own fit they would come out too small, and so the intervals.
    """
    who = np.unique(configuration, return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(int(who.max()) + 1)[who] % _FOLDS
    scaled = np.empty(len(residuals))
    for number in np.unique(fold):
        out = fold == number
        others = np.full(len(out), True) if out.all() else ~out
        polynomial, low, high = _fit_width(features[others], residuals[others])
        logs = np.clip(polynomial.predict(features[out])[:, 0], low, high)
        scaled[out] = residuals[out] / np.exp(logs)
    return scaled


def seed_shares(residuals: FloatArray, cell: NDArray[np.intp]) -> list[float]:
    """Return, for each column, the share of the variance within cells; NaN if no seed repeats."""
    shares = []
    for column in residuals.T:
        known = np.isfinite(column)
        values, where = column[known], np.unique(cell[known], return_inverse=True)[1]
        number = np.bincount(where)
        freedom = (number - 1).sum() if len(values) else 0
        if not freedom:
            shares.append(float("nan"))
            continue
        inner = values - (np.bincount(where, values) / number)[where]
        total = (values**2).mean()
        share = (inner**2).sum() / freedom / total if total > 0 else 1.0
        shares.append(float(min(share, 1.0)))
    return shares


def _known_or_one(share: float) -> float:
    return share if np.isfinite(share) else 1.0


def _padded(polynomial: Polynomial, features: int) -> FloatArray:
    """Return the weights as of degree 2; the constant comes first in any degree."""
    full = np.zeros((1 + features + features * (features + 1) // 2, 1))
    full[: len(polynomial.weights)] = polynomial.weights
    return full


def _quantiles(scaled: FloatArray, configuration: NDArray[np.intp]) -> FloatArray:
    """Return the conformal quantiles at `GRID`.

    With `n` configurations, the quantile of level p lies at the level p (1 + 1/n) of what was
    seen, counted from the nearer end: the rank that a new configuration's residual exceeds with
    at most the nominal probability.
    """
    known = np.isfinite(scaled)
    if not known.any():
        return np.zeros(len(GRID))
    number = len(np.unique(configuration[known]))
    level = ndtr(np.abs(GRID))
    upper = np.minimum(level * (1.0 + 1.0 / number), 1.0)
    levels = np.where(GRID < 0, 1.0 - upper, upper)
    levels[len(GRID) // 2] = 0.5
    quantiles: FloatArray = np.maximum.accumulate(np.quantile(scaled[known], levels))
    return quantiles


def _mixing(scaled: FloatArray) -> FloatArray:
    """Return a matrix with rows of length 1 whose square is the residuals' rank correlation."""
    count = scaled.shape[1]
    correlation = np.eye(count)
    for one in range(count):
        for other in range(one):
            both = np.isfinite(scaled[:, one]) & np.isfinite(scaled[:, other])
            if both.sum() >= 10:
                rank = float(spearmanr(scaled[both, one], scaled[both, other]).statistic)
                normal = 2.0 * np.sin(rank * np.pi / 6.0)  # of normal numbers with that rank's
                correlation[one, other] = correlation[other, one] = normal
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 1e-9))
    mixing: FloatArray = root / np.sqrt((root**2).sum(axis=1, keepdims=True))
    return mixing


def _normal(message: bytes, count: int) -> FloatArray:
    raw = np.frombuffer(shake_128(message).digest(8 * count), dtype="<u8")
    normal: FloatArray = ndtri(((raw >> np.uint64(11)) + 0.5) * 2.0**-53)
    return normal
