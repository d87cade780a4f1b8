"""Gradient-boosted trees for few rows, through LightGBM.

Ke, Meng, Finley, Wang, Chen, Ma, Ye and Liu, "LightGBM: a highly efficient gradient boosting
decision tree", NeurIPS 2017.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import MissingDependencyError

try:
    import lightgbm
except (ImportError, OSError) as error:  # OSError: its OpenMP runtime is not there
    if isinstance(error, ImportError) and error.name != "lightgbm":
        raise
    names = "each of the optimizers 'bore', 'cqr', 'asha-bore' and 'asha-cqr'"
    raise MissingDependencyError("lightgbm", "surrogate", names) from None

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]

Settings = Mapping[str, str | int | float | bool]
"""Parameters of LightGBM."""
# No bagging and one thread: equal rows give equal trees, so that no seed is needed. Rows are so
# few that every value is a bin of its own.
_ALWAYS: Settings = {
    "min_data_in_bin": 1,
    "feature_pre_filter": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def fit(inputs: Array, targets: Array, settings: Sequence[Settings], rounds: int) -> list[Predict]:
    """Return a predictor `(m, d) -> (m,)` for each of the `settings`.

    Args:
        inputs: `(n, d)`.
        targets: `(n,)`.
        settings: of LightGBM, beside those that always hold.
        rounds: how many trees each has.
    """
    # The raw data stay, since one data set serves several boosters.
    rows = lightgbm.Dataset(inputs, targets, params=_ALWAYS, free_raw_data=False)
    boosters = [
        lightgbm.train({**_ALWAYS, **setting}, rows, num_boost_round=rounds)
        for setting in settings
    ]
    return [_predictor(booster) for booster in boosters]


def _predictor(booster: Any) -> Predict:
    return lambda inputs: booster.predict(inputs, num_threads=1)
