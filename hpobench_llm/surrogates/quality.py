"""How good a surrogate is on configurations that it has not seen."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.metrics import mean_absolute_error, r2_score


@dataclass(frozen=True, slots=True)
class Quality:
    """Held-out quality of one target.

    `r2` and `mean_absolute_error` (own units) are over all rows. The `full` ones compare, for each
    configuration in full, the prediction with the mean over seeds: R2, Kendall's tau, and the
    spread of a single seed around that mean, which no model of the configuration alone can beat.
    """

    rows: int
    configurations: int
    r2: float
    mean_absolute_error: float
    r2_full: float
    kendall_tau_full: float
    mean_absolute_error_full: float
    seed_standard_deviation_full: float

    def to_json(self) -> dict[str, float | int | None]:
        """Return plain JSON values; a figure that does not exist (one seed, say) is None."""
        return {
            key: value if isinstance(value, int) or np.isfinite(value) else None
            for key, value in asdict(self).items()
        }


def quality(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    configuration: NDArray[np.intp],
    full: NDArray[np.bool_],
) -> Quality:
    """Compare held-out predictions with the truth.

    Args:
        truth: `(n,)` measured values.
        predicted: `(n,)` predictions by models that never saw the row's configuration.
        configuration: `(n,)` number of the row's configuration.
        full: `(n,)` whether the row is at full fidelity.
    """
    numbers, place = np.unique(configuration[full], return_inverse=True)
    count = np.bincount(place)
    means = np.bincount(place, truth[full]) / count
    guesses = np.bincount(place, predicted[full]) / count
    squares = np.bincount(place, (truth[full] - means[place]) ** 2)
    freedom = (count - 1).sum()
    seeds = float(np.sqrt(squares.sum() / freedom)) if freedom else float("nan")
    several = len(numbers) > 1
    return Quality(
        rows=len(truth),
        configurations=len(numbers),
        r2=float(r2_score(truth, predicted)) if len(truth) > 1 else float("nan"),
        mean_absolute_error=float(mean_absolute_error(truth, predicted)),
        r2_full=float(r2_score(means, guesses)) if several else float("nan"),
        kendall_tau_full=float(kendalltau(means, guesses).statistic) if several else float("nan"),
        mean_absolute_error_full=float(mean_absolute_error(means, guesses)),
        seed_standard_deviation_full=seeds,
    )
