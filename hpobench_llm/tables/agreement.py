"""Whether a better objective goes with better scores: Kendall's tau over configurations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from hpobench_llm.metrics import Metric


def agreement(
    means: pd.DataFrame, main: Metric, others: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return Kendall's tau of each metric with the main one, in own units, and its p.

    A metric whose tau is not defined is left out.
    """
    taus = {}
    for name in others:
        both = means[[main.name, name]].dropna()
        tau, p = kendalltau(both[main.name], both[name])
        if np.isfinite(tau):
            taus[name] = (float(tau), float(p))
    return taus


def best_quarter(means: pd.DataFrame, main: Metric) -> pd.DataFrame:
    """Return the quarter of configurations, three or more, that is best by the main metric."""
    count = max(3, len(means) // 4)
    return means.iloc[np.argsort(means[main.name] * main.to_loss(1.0))[:count]]
