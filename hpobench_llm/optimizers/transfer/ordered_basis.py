"""Basis functions in the order of their use, learned on several tasks by nested dropout.

Rippel, Gelbart and Adams, "Learning ordered representations with nested dropout", ICML 2014, on
the network of Perrone, Jenatton, Seeger and Archambeau, "Scalable hyperparameter transfer
learning", NeurIPS 2018 (ABLR): one basis for all tasks, and for each a Bayesian linear regression
on it. Numpy with gradients of our own: at this size no library of networks is worth its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Task = tuple[Array, Array]  # inputs (n, d) and targets (n,)

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8  # Adam's


@dataclass(frozen=True, slots=True)
class OrderedBasis:
    """A network of tanh layers: weights `(fan_in, fan_out)` and biases `(fan_out,)` of each."""

    layers: tuple[tuple[Array, Array], ...]

    @staticmethod
    def random(widths: Sequence[int], rng: np.random.Generator) -> "OrderedBasis":
        """Return an untrained network of `widths`: inputs, hidden units, basis functions."""
        layers = []
        for fan_in, fan_out in pairwise(widths):
            weights = rng.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
            layers.append((weights, rng.standard_normal(fan_out)))
        return OrderedBasis(tuple(layers))

    def __call__(self, inputs: Array) -> Array:
        """Return the basis functions `(n, functions)` at `inputs (n, d)`."""
        return self.activations(inputs)[-1]

    def activations(self, inputs: Array) -> list[Array]:
        """Return the inputs and every layer's output."""
        outputs = [inputs]
        for weights, bias in self.layers:
            outputs.append(np.tanh(outputs[-1] @ weights + bias))
        return outputs

    def gradients(self, activations: list[Array], slopes: Array) -> list[Array]:
        """Return the gradients of weights and biases, layer by layer, from those of the output."""
        gradients: list[Array] = []
        for depth in range(len(self.layers) - 1, -1, -1):
            # The derivative of tanh is 1 - tanh^2.
            slopes = slopes * (1.0 - activations[depth + 1] ** 2)
            gradients = [activations[depth].T @ slopes, slopes.sum(axis=0), *gradients]
            slopes = slopes @ self.layers[depth][0].T
        return gradients


def truncation(functions: int, dropout: float, rng: np.random.Generator) -> int:
    """Return k, how many of the first functions stay: `P(k >= j) = (1 - dropout)**(j - 1)`."""
    return min(int(rng.geometric(dropout)), functions)


def negative_evidence(
    basis: Array, targets: Array, log_prior: float, log_noise: float
) -> tuple[float, Array, float, float]:
    """Return `-log N(y; 0, Phi Phi' / a + I / b)` and its gradients by Phi, log a and log b.

    Args:
        basis: Phi `(n, k)`.
        targets: y `(n,)`.
        log_prior: of a, the precision of the weights.
        log_noise: of b, the precision of the noise.
    """
    count, functions = basis.shape
    a, b = np.exp(log_prior), np.exp(log_noise)
    gram = basis.T @ basis
    precision = a * np.eye(functions) + b * gram
    factor = np.linalg.cholesky(precision)
    covariance = np.linalg.inv(precision)
    weights = b * covariance @ (basis.T @ targets)
    residual = targets - basis @ weights
    square, norm = float(residual @ residual), float(weights @ weights)
    value = 0.5 * (
        b * square
        + a * norm
        + 2.0 * float(np.log(np.diag(factor)).sum())
        - functions * log_prior
        + count * (np.log(2.0 * np.pi) - log_noise)
    )
    # The weights are where the quadratic form is smallest, so they count as constants here.
    by_basis: Array = b * (basis @ covariance - np.outer(residual, weights))
    by_prior = 0.5 * (a * norm + a * float(np.trace(covariance)) - functions)
    by_noise = 0.5 * (b * square + b * float((covariance * gram).sum()) - count)
    return float(value), by_basis, by_prior, by_noise


def learned(
    tasks: Sequence[Task],
    widths: Sequence[int],
    *,
    dropout: float,
    steps: int,
    rate: float,
    rng: np.random.Generator,
) -> OrderedBasis:
    """Return the basis that makes the tasks' targets likely, with nested dropout.

    Every step keeps for each task the first k functions, k drawn by `truncation`, and follows the
    gradient of the sum of `negative_evidence`, a target's share, by Adam. Each task has
    precisions of its own, learned along.
    """
    basis = OrderedBasis.random(widths, rng)
    inputs = np.vstack([task[0] for task in tasks])
    ends = np.cumsum([len(task[1]) for task in tasks])
    precisions = np.tile([0.0, np.log(10.0)], (len(tasks), 1))  # log a and log b of each task
    parameters = [array for layer in basis.layers for array in layer] + [precisions]
    first = [np.zeros_like(array) for array in parameters]
    second = [np.zeros_like(array) for array in parameters]
    for step in range(1, steps + 1):
        activations = basis.activations(inputs)
        slopes = np.zeros_like(activations[-1])
        by_precision = np.zeros_like(precisions)
        for number, ((_, targets), end) in enumerate(zip(tasks, ends, strict=True)):
            functions = truncation(slopes.shape[1], dropout, rng)
            rows = slice(end - len(targets), end)
            _, slopes[rows, :functions], *by_precision[number] = negative_evidence(
                activations[-1][rows, :functions], targets, *precisions[number]
            )
        gradients = [*basis.gradients(activations, slopes), by_precision]
        for array, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
            gradient = gradient / len(inputs)
            m += (1.0 - _FIRST) * (gradient - m)
            v += (1.0 - _SECOND) * (gradient**2 - v)
            # Adam's averages start at 0: both are corrected for that.
            scaled = m / (1.0 - _FIRST**step)
            array -= rate * scaled / (np.sqrt(v / (1.0 - _SECOND**step)) + _EPSILON)
        np.clip(precisions, -5.0, 10.0, out=precisions)
    return basis
