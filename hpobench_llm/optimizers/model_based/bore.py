"""BORE: Bayesian optimization by density-ratio estimation. Our own code, with LightGBM's trees.

Tiao, Klein, Seeger, Bonilla, Archambeau and Ramos, "BORE: Bayesian optimization by density-ratio
estimation", ICML 2021.
"""

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.optimizers.encoding import columns
from hpobench_llm.optimizers.model_based import boosting
from hpobench_llm.optimizers.model_based.base import ModelBased
from hpobench_llm.optimizers.model_based.boosting import Settings
from hpobench_llm.optimizers.model_based.candidates import best_unseen, uniform
from hpobench_llm.optimizers.model_based.history import History, Losses
from hpobench_llm.space import Configuration, Space

GAMMA = 0.25  # the share of the good
DRAWS = 500
ROUNDS = 100
# The defaults of XGBoost's classifier, as LightGBM calls them.
CLASSIFIER: Settings = {
    "objective": "binary",
    "learning_rate": 0.3,
    "max_depth": 6,
    "num_leaves": 64,
    "min_data_in_leaf": 1,
    "min_sum_hessian_in_leaf": 1.0,
    "lambda_l2": 1.0,
}


class Bore(ModelBased):
    """Asks for the candidate that a classifier takes most surely for one of the best quarter.

    Defaults of Syne Tune: 6 uniform draws first; then the trials whose loss is at most the 0.25
    quantile are the good ones, boosted trees with XGBoost's defaults learn to tell them from the
    rest, and the most probable of 500 uniform draws, or of a smaller space, is next. The
    probability over gamma is the relative density ratio of good and bad, to which the expected
    improvement is proportional. If all losses are equal, the next trial is a uniform draw.

    Deviations: the paper has gamma 1/3, 10 random trials, one random trial in ten, and a network
    whose output is climbed by L-BFGS; Syne Tune's library is XGBoost. Ours never asks for a
    configuration again while there are others; its trees see a categorical axis as one column a
    name. Running trials are not looked at. Losses count by their order alone, and failed trials
    are the last.

    Raises:
        MissingDependencyError: LightGBM is not installed.
        OptimizerError: more than one objective.
    """

    startup_trials = 6

    def propose(self) -> Configuration:
        """Return the candidate that is most probably good."""
        return by_density_ratio(self.space, self.history, self.rng)


def by_density_ratio(space: Space, history: History, rng: np.random.Generator) -> Configuration:
    """Return the candidate of the highest density ratio of good and bad."""
    good = labels(history.losses)
    if good.all():
        return space.sample(rng)
    candidates = uniform(space, DRAWS, rng)
    inputs = columns(space, history.points)
    (probability,) = boosting.fit(inputs, good.astype(np.float64), [CLASSIFIER], ROUNDS)
    scores = probability(columns(space, candidates))
    return best_unseen(space, candidates, scores, history.seen, rng)


def labels(losses: Losses) -> NDArray[np.bool_]:
    """Return which losses `(n,)` are at most their quantile at `GAMMA`."""
    good: NDArray[np.bool_] = losses <= np.quantile(losses, GAMMA)
    return good
