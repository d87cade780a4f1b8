"""The tree-structured Parzen estimator of Optuna 5, for one objective and for several.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011,
in the multivariate form of Falkner, Klein and Hutter, "BOHB", ICML 2018, as Optuna has it. Several
objectives: Ozaki, Tanigaki, Watanabe, Nomura and Onishi, "Multiobjective tree-structured Parzen
estimator", Journal of Artificial Intelligence Research 73, 2022.
"""

from hpobench_llm.optimizers.base import SingleObjectiveOptimizer
from hpobench_llm.optimizers.model_based.optuna_studies import StudyOptimizer, TPESampler


class _Tpe(StudyOptimizer):
    """A study whose sampler is `TPESampler`."""

    startup_trials = 10
    liar = "a bad trial"
    seeding = "seed of TPESampler"

    def sampler(self) -> TPESampler:
        """Return Optuna's TPE with its defaults."""
        return TPESampler(seed=self.seed)


class TpeOptuna(_Tpe, SingleObjectiveOptimizer):
    """Optuna's `TPESampler` with the defaults of Optuna 5 on a study in memory.

    These are 10 random trials first (`n_startup_trials`), 24 candidates, all dimensions in one
    kernel density (`multivariate=None`, which is true with one objective), running trials among
    the bad ones (`constant_liar=True`), `min(ceil(0.1 * n), 25)` good trials of n, prior weight
    1, full weight for the last 25 trials and a ramp before. The encoding is that of `OptunaSpace`.
    Optuna may repeat a configuration.

    A configuration that was moved before it was evaluated is learned as it was evaluated: the
    asked trial fails, which TPE overlooks, and a finished one is added, as for a trial of an
    initial design. A trial that failed has the metric's worst value.

    Raises:
        MissingDependencyError: optuna is not installed.
        OptimizerError: more than one objective, or a seed outside [0, 2**32 - 1].
    """


class Motpe(_Tpe):
    """Optuna's `TPESampler` told several losses: the good trials are the first fronts.

    Defaults of Optuna 5, as for `TpeOptuna`, but with one kernel density a dimension
    (`multivariate=None` is false with several objectives) and good trials weighted by what they
    add to the hypervolume. With one objective it is `tpe-optuna`. Deviation of Optuna's from the
    paper: 10 random trials first, not `11 * d - 1`.

    Raises:
        MissingDependencyError: optuna is not installed.
        OptimizerError: a seed outside [0, 2**32 - 1].
    """
