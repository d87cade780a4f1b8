"""Bayesian optimization with a Gaussian process and expected improvement. Our own code.

Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions",
Journal of Global Optimization 13, 1998; for hyperparameters Snoek, Larochelle and Adams,
"Practical Bayesian optimization of machine learning algorithms", NeurIPS 2012.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats.qmc import Sobol

from hpobench_llm.optimizers.encoding import Points, decode
from hpobench_llm.optimizers.model_based.base import ModelBased
from hpobench_llm.optimizers.model_based.candidates import best_unseen
from hpobench_llm.optimizers.model_based.improvement_search import ImprovementSearch
from hpobench_llm.space import Configuration


class Gp(ModelBased):
    """Asks for the candidate of the largest expected improvement.

    The first 10 trials are a scrambled Sobol sequence. The process has a length for each axis and
    a noise level, of the highest density after what was seen, under BoTorch's priors; its kernel
    is the Gaussian or the Matérn 5/2, whichever is the more plausible. It sees the unit cube with
    equal cells, a categorical axis as one column a name. The improvement is taken as its
    logarithm, which is accurate where the improvement itself is 0 in floating point (Ament et al.,
    2023), over the lowest mean among the trials, since outcomes are noisy. The candidates are 2000
    uniform draws, or the whole space if it is smaller, and 500 points around the best trial; what
    was asked for before is not asked for again.

    A trial that failed counts as the worst that did not; losses above the median are replaced by
    normal scores, see `warped`. A running trial counts as if its outcome were the mean of the
    process (kriging believer). Beyond 200 trials the process sees the 100 best and 100 random
    others.

    Raises:
        OptimizerError: more than one objective.
    """

    startup_trials = 10
    liar = "kriging believer"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._sequence = Sobol(len(self.space), rng=self.rng)
        self.search = ImprovementSearch(self.space, self.rng)

    def first(self) -> Configuration:
        """Return the next point of the sequence."""
        return decode(self.space, self._sequence.random(1)[0])

    def propose(self) -> Configuration:
        """Return the candidate of the highest score, a random one if none is left."""
        candidates = self.search.candidates(self.history.points[self.incumbent()])
        scores = self.scores(candidates)
        return best_unseen(self.space, candidates, scores, self.history.seen, self.rng)

    def incumbent(self) -> int:
        """Return which of the trials is the best."""
        return int(self.history.losses.argmin())

    def scores(self, candidates: Points) -> NDArray[np.float64]:
        """Return the logarithm of each candidate's expected improvement, `(m,)`."""
        history = self.history
        return self.search.scores(history.points, history.losses, history.running, candidates)
