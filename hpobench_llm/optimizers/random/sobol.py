"""Sobol's sequence, scrambled: points that fill the space more evenly than independent draws.

Sobol, "On the distribution of points in a cube and the approximate evaluation of integrals", USSR
Computational Mathematics and Mathematical Physics 7(4), 1967; the linear matrix scramble with a
digital shift of Matoušek, "On the L2-discrepancy for anchored boxes", Journal of Complexity 14(4),
1998, as `scipy.stats.qmc.Sobol` has it. For hyperparameters: Bergstra and Bengio, "Random search
for hyper-parameter optimization", JMLR 13, 2012.
"""

import numpy as np
from scipy.stats.qmc import Sobol as Sequence

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import decode


class Sobol(Optimizer):
    """Follows SciPy's scrambled sequence, its default; learns nothing.

    The seed is that of the scramble. The values of a finite axis share the unit interval equally,
    so that the first `2**m` points try each of `2**k` values equally often. A configuration of a
    small space comes again, as in random search.
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        # One point a time never asks SciPy for a number that is not a power of two: no warning.
        self._sequence = Sequence(len(self.space), rng=np.random.default_rng(self.seed))

    def suggest(self, number: int) -> Suggestion:
        """Return the next point of the sequence."""
        return Suggestion(decode(self.space, self._sequence.random(1)[0]))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Ignore the outcome."""
