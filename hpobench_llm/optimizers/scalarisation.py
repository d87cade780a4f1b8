"""Several objectives as one: normalised, then weighted, the worst of them counting most."""

import numpy as np

from hpobench_llm.optimizers.pareto import Losses, unit_scaled

RHO = 0.05  # Knowles (2006)


def normalised(losses: Losses, ok: np.ndarray) -> Losses:
    """Scale every column of `losses` (n, k) to [0, 1] over the trials that are `ok` (n,).

    A failed trial is 1 in every column: a metric's worst value may be far above all that was
    measured, and would flatten the differences among the rest.
    """
    scaled = np.ones_like(losses)
    if ok.any():
        scaled[ok] = unit_scaled(losses[ok])
    return scaled


def chebyshev(scaled: Losses, weights: np.ndarray) -> np.ndarray:
    """Return the augmented Chebyshev values (n,) of `scaled` (n, k): lower is better.

    `max_j w_j f_j + rho * sum_j w_j f_j`; whatever the weights (k,) above zero, its minimum is on
    the Pareto front, concave parts included, and for a part of the front it is the only one.
    """
    weighted = scaled * weights
    values: np.ndarray = weighted.max(axis=1) + RHO * weighted.sum(axis=1)
    return values
