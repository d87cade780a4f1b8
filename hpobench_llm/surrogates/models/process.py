"""A Gaussian process with a Matern 5/2 kernel, one length a feature, shared by a group's targets.

Fitted by scikit-learn (marginal likelihood); only its mean is kept, as arrays. Rasmussen and
Williams (2006). For small tables: asking it costs a kernel value for each row it learned from.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from hpobench_llm.surrogates.models.base import Family, FloatArray, pack, rowwise, unpack

MOST_ROWS = 300


@dataclass(frozen=True, slots=True)
class Process:
    """`centres (m, d)` in units of the lengths, `weights (m, targets)`, `lengths (d,)`."""

    centres: FloatArray
    weights: FloatArray
    lengths: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`."""
        scaled = features / self.lengths
        squares = ((scaled[:, None, :] - self.centres) ** 2).sum(axis=2)
        distance = np.sqrt(5.0 * squares)
        kernel = (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
        return rowwise(kernel, self.weights)

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return pack(centres=self.centres, weights=self.weights, lengths=self.lengths)


def fit_process(features: FloatArray, targets: FloatArray, seed: int) -> Process:
    """Fit lengths and noise by marginal likelihood."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    shape = Matern(np.full(features.shape[1], 0.5), (5e-2, 1e2), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * shape + WhiteKernel(1e-2, (1e-6, 1.0))
    process = GaussianProcessRegressor(kernel, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length may lie on its bound
        process.fit(features, targets)
    fitted = process.kernel_.k1
    lengths = np.broadcast_to(fitted.k2.length_scale, features.shape[1]).astype(np.float64)
    weights = np.asarray(process.alpha_, dtype=np.float64).reshape(len(features), -1)
    return Process(features / lengths, fitted.k1.constant_value * weights, lengths)


PROCESS = Family(
    "process",
    "Gaussian process, Matern 5/2, one length a feature",
    fit=fit_process,
    read=lambda files: Process(*unpack(files, *Process.__slots__)),
    module="sklearn",
    most_rows=MOST_ROWS,
)
