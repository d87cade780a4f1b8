"""How much seeds do in which region: a standard deviation for each prediction and fidelity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from hpobench_llm.errors import IntegrityError
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models.base import check_shapes, size_of

MOST_KNOTS, MOST_LEVELS, ROWS_A_WEIGHT = 12, 6, 20

_SHRINKAGE, _ROUGHNESS = 0.1, 3.0  # penalties: of the weights, of their differences between knots
_BLOCK = 256  # rows whose shares in all cells stay in a processor's cache
_SMALLEST = 1e-3  # of the root mean square over all regions


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Standard deviations of several targets, on the fitted scale.

    Shapes: `knots (targets, knots)` are predictions, `levels` an array of features for each
    fidelity axis, `logs (targets, knots, levels x levels x ...)` the logarithms there: linear
    between, constant beyond.
    """

    knots: FloatArray
    levels: tuple[FloatArray, ...]
    logs: FloatArray

    def deviations(self, predicted: FloatArray, fidelity: FloatArray) -> FloatArray:
        """Return `(n, targets)` at predictions `(n, targets)` and fidelities `(n or 1, axes)`."""
        cell_shares = _grid(self.levels, fidelity)
        logs = np.empty_like(predicted)
        for start in range(0, len(predicted), _BLOCK):
            rows = slice(start, start + _BLOCK)
            knot_shares = hats(self.knots, predicted[rows])[..., None]
            # At one fidelity for all rows, the shares are broadcast.
            here = cell_shares if len(cell_shares) == 1 else cell_shares[rows]
            terms = knot_shares * here[:, None, None, :] * self.logs
            logs[rows] = terms.reshape(*knot_shares.shape[:2], -1).sum(axis=-1)
        deviations: FloatArray = np.exp(logs)
        return deviations

    def files(self) -> dict[str, FloatArray]:
        """Return the arrays by name."""
        axes = {f"levels_{number}": axis for number, axis in enumerate(self.levels)}
        return {"knots": self.knots, "logs": self.logs, **axes}

    def check(self, targets: int, axes: int) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            IntegrityError: naming the array.
        """
        knots = size_of(self.knots, 1)
        cells = int(np.prod([axis.size for axis in self.levels], dtype=np.int64))
        arrays = {"knots": self.knots, "logs": self.logs}
        check_shapes(arrays, {"knots": (targets, knots), "logs": (targets, knots, cells)})
        if (
            not knots
            or len(self.levels) != axes
            or any(a.ndim != 1 or not a.size for a in self.levels)
        ):
            raise IntegrityError(f"`knots` and `levels` of {axes} fidelity axes are expected")


def fit_regions(predicted: FloatArray, fidelity: FloatArray, drawn: FloatArray) -> Regions:
    """Fit to the seeds' differences `drawn (n, targets)`, NaN where there is none.

    Few rows give few knots, and deviations that do not differ between fidelities.
    """
    measured = np.isfinite(drawn)
    rows = int(measured.sum(axis=0).max(initial=0))
    levels = tuple(_levels(column[measured.any(axis=1)]) for column in fidelity.T)
    while (cells := int(np.prod([len(axis) for axis in levels]))) * ROWS_A_WEIGHT > rows:
        if cells == 1:
            break
        # The axis with most levels gives up every second one, until rows do for each cell.
        longest = max(range(len(levels)), key=lambda axis: len(levels[axis]))
        levels = tuple(_thinned(a) if i == longest else a for i, a in enumerate(levels))
    count = int(np.clip(rows // (ROWS_A_WEIGHT * cells), 1, MOST_KNOTS))
    cell_shares = _grid(levels, fidelity)
    targets = drawn.shape[1]
    knots, logs = np.zeros((targets, count)), np.full((targets, count, cells), -np.inf)
    for column in range(targets):
        use = measured[:, column]
        if use.any():
            predictions = predicted[use, column]
            knots[column] = np.quantile(predictions, (np.arange(count) + 0.5) / count)
            knot_shares = hats(knots[[column]], predictions[:, None])[:, 0]
            logs[column] = _fit(knot_shares, cell_shares[use], drawn[use, column])
    return Regions(knots, levels, np.maximum(logs, _LEAST_LOG))


_LEAST_LOG = -60.0  # nothing ever differed


def _levels(features: FloatArray) -> FloatArray:
    levels = np.unique(features)
    if len(levels) > MOST_LEVELS:
        levels = np.quantile(levels, np.linspace(0.0, 1.0, MOST_LEVELS))
    return levels if len(levels) else np.zeros(1)


def _thinned(levels: FloatArray) -> FloatArray:
    """Return fewer levels; the highest stays."""
    return levels[::-1][::2][::-1]


def _grid(levels: Sequence[FloatArray], fidelity: FloatArray) -> FloatArray:
    """Return `(n, levels x levels x ...)` the shares of the cells at each fidelity `(n, axes)`."""
    product = np.ones((len(fidelity), 1))
    for axis, column in zip(levels, fidelity.T, strict=True):
        level_shares = hats(axis[None], column[:, None])[:, 0]
        size = product.shape[1] * len(axis)
        product = (product[:, :, None] * level_shares[:, None, :]).reshape(len(fidelity), size)
    return product


def hats(knots: FloatArray, values: FloatArray) -> FloatArray:
    """Return shares `(n, targets, knots)` that add up to 1: linear between knots, constant beyond.

    Args:
        knots: `(targets, knots)`, rising along each row.
        values: `(n, targets)`.
    """
    shares = np.zeros((*values.shape, knots.shape[1]))
    if knots.shape[1] == 1:  # nothing to interpolate between
        return shares + 1.0
    above = (knots < values[..., None]).sum(axis=-1)
    above = np.minimum(np.maximum(above, 1), knots.shape[1] - 1)
    row, target = np.arange(len(values))[:, None], np.arange(len(knots))
    low, high = knots[target, above - 1], knots[target, above]
    share = (values - low) / np.where(high > low, high - low, 1.0)  # knots may coincide
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    shares[row, target, above - 1] = 1.0 - share
    shares[row, target, above] = share
    return shares


def _fit(knot_shares: FloatArray, cell_shares: FloatArray, drawn: FloatArray) -> FloatArray:
    """Return `(knots, cells)` logarithms of standard deviations.

    The squares are fitted by the mean of a gamma distribution, in logarithms: its likelihood is
    convex. A fit to the logarithms of the sizes would say little of the large ones, which make up
    the variance.
    """
    squares = drawn**2
    middle = float(squares.mean())
    if middle <= 0.0:
        return np.full((knot_shares.shape[1], cell_shares.shape[1]), _LEAST_LOG)
    squares = np.maximum(squares / middle, _SMALLEST**2)
    knots, cells = knot_shares.shape[1], cell_shares.shape[1]
    design = (knot_shares[:, :, None] * cell_shares[:, None, :]).reshape(
        len(knot_shares), knots * cells
    )
    rough = np.kron(np.diff(np.eye(knots), axis=0), np.eye(cells))
    penalty = _SHRINKAGE * np.eye(knots * cells) + _ROUGHNESS * rough.T @ rough

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        logs = design @ weights
        ratio = squares * np.exp(-np.maximum(logs, -50.0))  # a step of the search may go far
        pull = penalty @ weights
        value = (logs + ratio).sum() + 0.5 * weights @ pull
        return float(value), design.T @ (1.0 - ratio) + pull

    start = np.zeros(design.shape[1])
    solution = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    fitted: FloatArray = solution.x.reshape(knots, cells)
    # Half the logarithm of a variance is the logarithm of the deviation.
    deviations: FloatArray = (fitted + np.log(middle)) / 2.0
    return deviations
