"""Gradient-boosted regression trees, kept as LightGBM's own text (Ke et al., 2017). No pickle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import IntegrityError, MissingDependencyError

SETTINGS: dict[str, Any] = {
    "objective": "regression",
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "learning_rate": 0.05,
    "feature_fraction": 1.0,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}
ROUNDS = 400


@dataclass(frozen=True, slots=True)
class Regressor:
    """A function from `(n, features)` to `(n,)`; `log` says that the logarithm was fitted."""

    booster: Any
    log: bool

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `(n,)` predictions in the target's own units."""
        raw: NDArray[np.float64] = self.booster.predict(features, num_threads=1)
        return np.exp(raw) if self.log else raw

    def to_text(self) -> str:
        """Return the model as text; `from_text` gives back the same predictions to the bit."""
        text: str = self.booster.model_to_string()
        return text

    @staticmethod
    def from_text(text: str, *, log: bool, where: object) -> "Regressor":
        """Rebuild a model.

        Raises:
            IntegrityError: the text is no LightGBM model.
        """
        lightgbm = _library()
        try:
            return Regressor(lightgbm.Booster(model_str=text), log)
        except lightgbm.basic.LightGBMError as error:
            raise IntegrityError(f"{where}: not a LightGBM model: {error}") from None


def fit_regressor(
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    seed: int,
    log: bool = False,
    rising: tuple[int, ...] = (),
) -> Regressor:
    """Fit one target.

    Args:
        features: `(n, features)`.
        target: `(n,)`, positive if `log`.
        seed: of the bagging.
        log: fit the logarithm, so that predictions are positive.
        rising: features along which the prediction never falls.

    Raises:
        MissingDependencyError: LightGBM cannot be used here.
    """
    lightgbm = _library()
    rules = [1 if index in rising else 0 for index in range(features.shape[1])]
    settings = SETTINGS | {"seed": seed, "monotone_constraints": rules}
    data = lightgbm.Dataset(features, np.log(target) if log else target)
    return Regressor(lightgbm.train(settings, data, num_boost_round=ROUNDS), log)


def _library() -> Any:
    """Import LightGBM when it is first needed: tables and replay do without it."""
    try:
        import lightgbm
    except (ImportError, OSError):  # OSError: the OpenMP runtime that it needs is not there
        what = "fitting or reading a surrogate"
        raise MissingDependencyError("lightgbm", "surrogate", what) from None
    return lightgbm
