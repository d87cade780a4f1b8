"""A Gaussian process with a Matern 5/2 kernel, one length a feature, shared by a group's targets.

Fitted by scikit-learn (marginal likelihood); only its mean is kept, as arrays. Rasmussen and
Williams (2006). For small tables: asking it costs a kernel value for each row it learned from.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import fmin_l_bfgs_b

from hpobench_llm.errors import IntegrityError
from hpobench_llm.surrogates.models.base import (
    Files,
    FloatArray,
    ModelFamily,
    check_shapes,
    pack,
    rowwise,
    size_of,
    unpack,
)

MOST_ROWS, MOST_FEATURES = 300, 40
ITERATIONS = 100  # of the search for the lengths


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

    def targets(self, inputs: int) -> int:
        """See `Model.targets`."""
        rows, targets = size_of(self.centres, 0), size_of(self.weights, 1)
        arrays = {"centres": self.centres, "weights": self.weights, "lengths": self.lengths}
        check_shapes(
            arrays, {"centres": (rows, inputs), "weights": (rows, targets), "lengths": (inputs,)}
        )
        return targets


def fit_process(features: FloatArray, targets: FloatArray, seed: int) -> Process:
    """Fit lengths and noise by marginal likelihood."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    shape = Matern(np.full(features.shape[1], 0.5), (5e-2, 1e2), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * shape + WhiteKernel(1e-2, (1e-6, 1.0))
    process = GaussianProcessRegressor(kernel, optimizer=_climb, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length may lie on its bound
        process.fit(features, targets)
    fitted = process.kernel_.k1
    # Of a single feature scikit-learn gives the length as a number.
    lengths = np.broadcast_to(fitted.k2.length_scale, features.shape[1]).astype(np.float64)
    weights = np.asarray(process.alpha_, dtype=np.float64).reshape(len(features), -1)
    # The kernel's constant goes into the weights, so that asking has one factor less.
    return Process(features / lengths, fitted.k1.constant_value * weights, lengths)


def _climb(objective: Any, start: FloatArray, bounds: Any) -> tuple[FloatArray, float]:
    """Minimize the negated marginal likelihood as scikit-learn does, in bounded time."""
    best, value, _ = fmin_l_bfgs_b(objective, start, bounds=bounds, maxiter=ITERATIONS)
    return best, float(value)


def _read(files: Files) -> Process:
    process = Process(*unpack(files, *Process.__slots__))
    if not (process.lengths > 0).all():
        raise IntegrityError("`lengths` must be above 0")
    return process


PROCESS = ModelFamily(
    "process",
    "Gaussian process, Matern 5/2, one length a feature",
    fit=fit_process,
    read=_read,
    module="sklearn",
    most_rows=MOST_ROWS,
    most_features=MOST_FEATURES,
)
