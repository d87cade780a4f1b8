"""Gradient-boosted regression trees, kept as LightGBM's own text (Ke et al., 2017)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpobench_llm.errors import IntegrityError, MissingDependencyError
from hpobench_llm.surrogates.models.base import Family, Files, FloatArray

SETTINGS: dict[str, Any] = {
    "objective": "regression",
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "learning_rate": 0.05,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}
ROUNDS = 400


@dataclass(frozen=True, slots=True)
class Trees:
    """One booster a target."""

    boosters: tuple[Any, ...]

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`."""
        return np.column_stack([b.predict(features, num_threads=1) for b in self.boosters])

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return {f"{i}.txt": b.model_to_string().encode() for i, b in enumerate(self.boosters)}


def fit_trees(features: FloatArray, targets: FloatArray, seed: int) -> Trees:
    """Fit one booster a target.

    Raises:
        MissingDependencyError: LightGBM cannot be used here.
    """
    lightgbm = _library()
    settings = SETTINGS | {"seed": seed}
    return Trees(
        tuple(
            lightgbm.train(settings, lightgbm.Dataset(features, column), num_boost_round=ROUNDS)
            for column in targets.T
        )
    )


def _read(files: Files) -> Trees:
    lightgbm = _library()
    try:
        texts = [files[f"{i}.txt"].decode() for i in range(len(files))]
        return Trees(tuple(lightgbm.Booster(model_str=text) for text in texts))
    except (KeyError, UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise IntegrityError(f"not a LightGBM model: {error}") from None


def _library() -> Any:
    """Import LightGBM when it is first needed: a surrogate without trees is read without it."""
    try:
        import lightgbm
    except (ImportError, OSError):  # OSError: the OpenMP runtime that it needs is not there
        what = "fitting surrogates, or reading one with trees,"
        raise MissingDependencyError("lightgbm", "surrogate", what) from None
    return lightgbm


TREES = Family(
    "trees",
    f"gradient-boosted trees, {ROUNDS} rounds of {SETTINGS['num_leaves']} leaves",
    fit=fit_trees,
    read=_read,
    module="lightgbm",
)
