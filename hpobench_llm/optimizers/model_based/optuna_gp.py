"""The Gaussian process of Optuna 5, for one objective and for several, with constraints.

Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected improvements to expected improvement
for Bayesian optimization", NeurIPS 2023; Daulton, Balandat and Bakshy, "Differentiable expected
hypervolume improvement for parallel multi-objective Bayesian optimization", NeurIPS 2020; Gardner,
Kusner, Xu, Weinberger and Cunningham, "Bayesian optimization with inequality constraints", ICML
2014; all as Optuna's `GPSampler` has them.
"""

from importlib.util import find_spec

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.optimizers.base import Suggestion
from hpobench_llm.optimizers.model_based.optuna_studies import GPSampler, StudyOptimizer, quiet


class Gps(StudyOptimizer):
    """Optuna's `GPSampler` with the defaults of Optuna 5 on a study in memory.

    These are 10 random trials first; a Matérn kernel (5/2) with a length for each axis, under
    priors, and fitted noise (`deterministic_objective=False`); the log of the expected improvement
    or, with several objectives, of the hypervolume, over 128 samples where trials run. Its maximum
    is climbed to from 10 of 2,048 points. Constraints have processes of their own, and the
    improvement counts as far as they are likely to be kept.

    The encoding is that of `OptunaSpace`. Constraints are multiples of their bounds, see
    `relative_excesses`. As for `TpeOptuna`, a configuration that was moved is learned as it was
    evaluated, and a trial that failed has the metric's worst value, which the processes take for
    a value as any other. A configuration may come again.

    Raises:
        MissingDependencyError: optuna or torch is not installed.
        OptimizerError: a seed outside [0, 2**32 - 1].
    """

    takes_constraints = True
    startup_trials = 10
    liar = "posterior"
    seeding = "seed of GPSampler"

    def check(self) -> None:
        """Refuse to begin where the processes could not be fitted."""
        super().check()
        if find_spec("torch") is None:
            raise MissingDependencyError("torch", "gps", "the optimizer 'gps'")

    def sampler(self) -> GPSampler:
        """Return Optuna's Gaussian process with its defaults."""
        return GPSampler(seed=self.seed)

    def suggest(self, number: int) -> Suggestion:
        """Return the next suggestion."""
        with quiet():
            return super().suggest(number)
