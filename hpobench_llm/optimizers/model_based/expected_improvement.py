"""Expected improvement and its logarithm, which does not vanish far from the best.

Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions",
Journal of Global Optimization 13, 1998; the logarithm as in Ament, Daulton, Eriksson, Balandat and
Bakshy, "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

_HALF_LOG_2_PI = 0.5 * np.log(2.0 * np.pi)
_FAR = -1.0 / np.sqrt(np.finfo(np.float64).eps)


def log_expected_improvement(best: float, mean: Array, deviation: Array) -> Array:
    """Return the logarithm of `E[max(best - f, 0)]` for normal `f`, lower being better.

    Args:
        best: the lowest value so far.
        mean: of `f`, `(n,)`.
        deviation: of `f`, `(n,)`, above zero.
    """
    value: Array = np.log(deviation) + log_unit_improvement((best - mean) / deviation)
    return value


def log_unit_improvement(z: Array) -> Array:
    """Return `log(phi(z) + z * Phi(z))`, accurate for every `z` (equation 9 of Ament et al.)."""
    z = np.asarray(z, dtype=np.float64)
    near = np.maximum(z, -1.0)  # each branch is computed where it holds, so that nothing overflows
    plain = np.log(np.exp(-0.5 * near**2 - _HALF_LOG_2_PI) + near * ndtr(near))
    middle = np.clip(z, _FAR, -1.0)
    # phi(z) + z Phi(z) = phi(z) * (1 - |z| * sqrt(pi / 2) * erfcx(|z| / sqrt(2)))
    ratio = -middle * np.sqrt(np.pi / 2.0) * erfcx(-middle / np.sqrt(2.0))
    scaled = -0.5 * middle**2 - _HALF_LOG_2_PI + np.log1p(-np.minimum(ratio, 1.0 - 1e-16))
    far = np.minimum(z, _FAR)
    limit = -0.5 * far**2 - _HALF_LOG_2_PI - 2.0 * np.log(-far)
    value: Array = np.where(z > -1.0, plain, np.where(z > _FAR, scaled, limit))
    return value
