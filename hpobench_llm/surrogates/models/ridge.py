"""Ridge regression on all monomials up to the third degree: the baseline to beat.

The number of monomials is bounded: of many features (an axis of many names has one for each) the
degree is lower.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

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

DEGREE, PENALTY = 3, 1e-2
MOST_MONOMIALS = 500  # beyond degree 1

_ROWS_AT_ONCE = 4096  # whose monomials are in memory at a time


@dataclass(frozen=True, slots=True)
class Polynomial:
    """`weights` is `(monomials, targets)`, in the order of `monomials(features, degree)`."""

    weights: FloatArray
    degree: int

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`."""
        if len(features) <= _ROWS_AT_ONCE:
            return rowwise(monomials(features, self.degree), self.weights)
        parts = [rowwise(basis, self.weights) for basis in _in_parts(features, self.degree)]
        return np.concatenate(parts)

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return pack(weights=self.weights, degree=np.array([self.degree], dtype=np.float64))

    def targets(self, inputs: int) -> int:
        """See `Model.targets`."""
        targets = size_of(self.weights, 1)
        expected = count_of_monomials(inputs, self.degree)
        check_shapes({"weights": self.weights}, {"weights": (expected, targets)})
        return targets


def count_of_monomials(features: int, degree: int) -> int:
    """Return how many monomials there are, the constant among them."""
    return comb(features + degree, degree)


def affordable(features: int, degree: int) -> int:
    """Return the highest degree up to `degree` whose monomials are not too many; at least 1."""
    while degree > 1 and count_of_monomials(features, degree) > MOST_MONOMIALS:
        degree -= 1
    return degree


def monomials(features: FloatArray, degree: int) -> FloatArray:
    """Return `(n, monomials)` of features moved from [0, 1] to [-1, 1], the constant first."""
    factors = np.empty((len(features), 1 + features.shape[1]))
    factors[:, 0] = 1.0
    factors[:, 1:] = features * 2.0 - 1.0
    if degree == 0:
        return factors[:, :1]
    first, *others = _factors(features.shape[1], degree)
    # A monomial of degree k is a product of k factors, some of which may be the constant.
    product: FloatArray = factors.take(first, axis=1)
    for indices in others:
        product = product * factors.take(indices, axis=1)
    return product


def _in_parts(features: FloatArray, degree: int) -> Iterator[FloatArray]:
    for start in range(0, len(features), _ROWS_AT_ONCE):
        yield monomials(features[start : start + _ROWS_AT_ONCE], degree)


@lru_cache(maxsize=64)
def _factors(features: int, degree: int) -> list[NDArray[np.intp]]:
    """Return which factors are multiplied, 0 being the constant: an array for each factor."""
    combinations = list(combinations_with_replacement(range(features + 1), degree))
    return list(np.array(combinations, dtype=np.intp).T)


def fit_polynomial(
    features: FloatArray, targets: FloatArray, degree: int, penalty: float = PENALTY
) -> Polynomial:
    """Fit by penalised least squares; the constant is not penalised."""
    damping = np.full(
        count_of_monomials(features.shape[1], degree), penalty * max(1.0, len(features) / 100)
    )
    damping[0] = 1e-12  # next to nothing for the constant, yet the system stays solvable
    square, right = np.diag(damping), np.zeros((len(damping), targets.shape[1]))
    start = 0
    # Normal equations, summed over parts: the monomials of all rows need not fit into memory.
    for basis in _in_parts(features, degree):
        square += basis.T @ basis
        right += basis.T @ targets[start : start + len(basis)]
        start += len(basis)
    return Polynomial(np.asarray(np.linalg.solve(square, right), dtype=np.float64), degree)


def _simplified(features: int) -> str:
    degree = affordable(features, DEGREE)
    return "" if degree == DEGREE else f"monomials of degree {degree} alone, not {DEGREE}"


def _read(files: Files) -> Polynomial:
    weights, degree = unpack(files, "weights", "degree")
    if degree.shape != (1,) or degree[0] not in range(DEGREE + 1):
        raise IntegrityError(f"`degree`: a whole number from 0 to {DEGREE}, got {degree.tolist()}")
    return Polynomial(weights, int(degree[0]))


RIDGE = ModelFamily(
    "ridge",
    f"polynomial of degree {DEGREE}, ridge penalty",
    fit=lambda x, y, _: fit_polynomial(x, y, affordable(x.shape[1], DEGREE)),
    read=_read,
    module="numpy",
    simplified=_simplified,
)
