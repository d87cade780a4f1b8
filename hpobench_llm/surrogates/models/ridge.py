"""Ridge regression on all monomials up to the third degree: the baseline to beat."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.surrogates.models.base import Family, Files, FloatArray, pack, rowwise, unpack

DEGREE, PENALTY = 3, 1e-2


@dataclass(frozen=True, slots=True)
class Polynomial:
    """`weights` is `(monomials, targets)`, in the order of `monomials`; the degree is even so."""

    weights: FloatArray
    degree: int

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`."""
        return rowwise(monomials(features, self.degree), self.weights)

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return pack(weights=self.weights, degree=np.array([self.degree], dtype=np.float64))


def monomials(features: FloatArray, degree: int) -> FloatArray:
    """Return `(n, monomials)` of features moved from [0, 1] to [-1, 1], the constant first."""
    factors = np.empty((len(features), 1 + features.shape[1]))
    factors[:, 0] = 1.0
    factors[:, 1:] = features * 2.0 - 1.0
    if degree == 0:
        return factors[:, :1]
    first, *others = _factors(features.shape[1], degree)
    product: FloatArray = factors.take(first, axis=1)
    for chosen in others:
        product = product * factors.take(chosen, axis=1)
    return product


@lru_cache(maxsize=64)
def _factors(features: int, degree: int) -> list[NDArray[np.intp]]:
    """Return which factors are multiplied, 0 being the constant: an array for each factor."""
    combinations = list(combinations_with_replacement(range(features + 1), degree))
    return list(np.array(combinations, dtype=np.intp).T)


def fit_polynomial(
    features: FloatArray, targets: FloatArray, degree: int, penalty: float = PENALTY
) -> Polynomial:
    """Fit by penalised least squares; the constant is not penalised."""
    basis = monomials(features, degree)
    damping = np.full(basis.shape[1], penalty * max(1.0, len(basis) / 100))
    damping[0] = 1e-12
    solved = np.linalg.solve(basis.T @ basis + np.diag(damping), basis.T @ targets)
    return Polynomial(np.asarray(solved, dtype=np.float64), degree)


def _read(files: Files) -> Polynomial:
    weights, degree = unpack(files, "weights", "degree")
    return Polynomial(weights, int(degree[0]))


RIDGE = Family(
    "ridge",
    f"polynomial of degree {DEGREE}, ridge penalty",
    fit=lambda x, y, _: fit_polynomial(x, y, DEGREE),
    read=_read,
    module="numpy",
)
