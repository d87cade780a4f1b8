"""CQR: conformalised quantile regression with Thompson sampling. Our own code, LightGBM's trees.

Salinas, Golebiowski, Klein, Seeger and Archambeau, "Optimizing hyperparameters with conformal
quantile regression", ICML 2023; Romano, Patterson and Candès, "Conformalized quantile regression",
NeurIPS 2019.
"""

import math
from dataclasses import dataclass

import numpy as np

from hpobench_llm.optimizers.encoding import Points, columns
from hpobench_llm.optimizers.model_based import boosting
from hpobench_llm.optimizers.model_based.base import ModelBased
from hpobench_llm.optimizers.model_based.boosting import Settings
from hpobench_llm.optimizers.model_based.candidates import best_unseen, uniform
from hpobench_llm.optimizers.model_based.history import History, Losses
from hpobench_llm.space import Configuration, Space

LEVELS = (1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6)
CONFORMALISED_FROM = 33  # trials
HELD_OUT = 0.1
DRAWS = 2000
ROUNDS = 100
# The defaults of scikit-learn's gradient boosting, as LightGBM calls them.
BOOSTED: Settings = {
    "objective": "quantile",
    "learning_rate": 0.1,
    "max_depth": 3,
    "num_leaves": 8,
    "min_data_in_leaf": 1,
    "min_sum_hessian_in_leaf": 0.0,
}


class Cqr(ModelBased):
    """Draws an outcome for each candidate from conformalised quantiles, and asks for the lowest.

    Defaults of the paper's code: 5 uniform draws first; gradient-boosted trees for the quantiles
    at 1/6, 2/6, ..., 5/6, fitted anew after each result; from 33 trials on, a tenth is held out
    and each band is widened until it covers its share of it. Each of 2000 uniform draws, or of a
    smaller space, gets the value of a random one of its five quantiles.

    Deviations: that code takes the quantile of the held-out errors at `p / (1 + 1 / n)`, which
    covers less than the share p for small n; this takes the `ceil((n + 1) p)`-th smallest, which
    covers at least p. The trees are LightGBM's, for speed. No configuration comes again while
    there are others. Running trials are not looked at: the draws keep workers apart. A failed
    trial has the worst loss of those that did not fail.

    Raises:
        MissingDependencyError: LightGBM is not installed.
        OptimizerError: more than one objective.
    """

    startup_trials = 5

    def propose(self) -> Configuration:
        """Return the candidate of the lowest draw."""
        return by_thompson_sampling(self.space, self.history, self.rng)


def by_thompson_sampling(
    space: Space, history: History, rng: np.random.Generator
) -> Configuration:
    """Return the candidate whose drawn outcome is the lowest."""
    model = Quantiles.fit(columns(space, history.points), history.losses, rng)
    candidates = uniform(space, DRAWS, rng)
    drawn = model.draw(columns(space, candidates), rng)
    return best_unseen(space, candidates, -drawn, history.seen, rng)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Models of the quantiles at `LEVELS`, and the shift of each."""

    models: list[boosting.Predict]
    shifts: np.ndarray

    @staticmethod
    def fit(inputs: Points, losses: Losses, rng: np.random.Generator) -> "Quantiles":
        """Fit to losses `(n,)` at `inputs (n, d)`; conformalised if there are enough."""
        held_out_count = (
            math.ceil(HELD_OUT * len(losses)) if len(losses) >= CONFORMALISED_FROM else 0
        )
        order = rng.permutation(len(losses)) if held_out_count else np.arange(len(losses))
        train, held_out = order[held_out_count:], order[:held_out_count]
        settings = [{**BOOSTED, "alpha": level} for level in LEVELS]
        # Standardised, since LightGBM's targets are in single precision.
        centre, scale = losses.mean(), losses.std() or 1.0
        fits = boosting.fit(inputs[train], (losses[train] - centre) / scale, settings, ROUNDS)
        models = [_scaled(fit, centre, scale) for fit in fits]
        shifts = np.zeros(len(LEVELS))
        if held_out_count:
            raw = np.column_stack([model(inputs[held_out]) for model in models])
            shifts = conformal_shifts(raw, losses[held_out])
        return Quantiles(models, shifts)

    def predict(self, inputs: Points) -> np.ndarray:
        """Return the quantiles `(m, levels)` at `inputs (m, d)`; those that cross are sorted."""
        values = np.column_stack([model(inputs) for model in self.models])
        return np.sort(values + self.shifts, axis=1)

    def draw(self, inputs: Points, rng: np.random.Generator) -> np.ndarray:
        """Return one of the quantiles `(m,)` at each of `inputs (m, d)`, every level as likely.

        Only that one is computed. Whether quantiles cross makes no difference to the draw.
        """
        drawn = np.empty(len(inputs))
        levels = rng.integers(len(LEVELS), size=len(inputs))
        for level, (model, shift) in enumerate(zip(self.models, self.shifts, strict=True)):
            rows = levels == level
            drawn[rows] = model(inputs[rows]) + shift if rows.any() else 0.0
        return drawn


def conformal_shifts(predicted: np.ndarray, losses: Losses) -> np.ndarray:
    """Return the shift of each quantile with which each band covers its share of new outcomes.

    Args:
        predicted: quantiles at `LEVELS` of held-out trials, `(n, levels)`.
        losses: what they were, `(n,)`.
    """
    shifts = np.zeros(len(LEVELS))
    for low in range(len(LEVELS) // 2):
        high = len(LEVELS) - 1 - low
        errors = np.maximum(predicted[:, low] - losses, losses - predicted[:, high])
        shifts[high] = conformal_quantile(errors, LEVELS[high] - LEVELS[low])
        shifts[low] = -shifts[high]
    return shifts


def conformal_quantile(errors: np.ndarray, share: float) -> float:
    """Return the `ceil((n + 1) * share)`-th smallest of `errors (n,)`, infinite if n is too small.

    The next error is at most this with a probability of at least `share`.
    """
    # Less a little, since 3 * (5/6 - 1/6) is above 2 in floating point.
    rank = math.ceil((len(errors) + 1) * share - 1e-9)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else math.inf


def _scaled(model: boosting.Predict, centre: float, scale: float) -> boosting.Predict:
    return lambda inputs: centre + scale * model(inputs)
