"""The tree-structured Parzen estimator of Optuna 5.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011,
in the multivariate form of Falkner, Klein and Hutter, "BOHB", ICML 2018, as Optuna has it: Akiba,
Sano, Yanase, Ohta and Koyama, "Optuna: a next-generation hyperparameter optimization framework",
KDD 2019.
"""

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Space

try:
    import optuna
except ModuleNotFoundError as error:
    if error.name != "optuna":  # optuna is there, but not all that it needs
        raise
    raise MissingDependencyError("optuna", "optuna", "the optimizer 'tpe-optuna'") from None
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


class TpeOptuna(SingleObjectiveOptimizer):
    """Optuna's `TPESampler` with the defaults of Optuna 5 on a study in memory.

    These are 10 random trials first (`n_startup_trials`), 24 candidates, all dimensions in one
    kernel density (`multivariate=None`, which is true with one objective), running trials among
    the bad ones (`constant_liar=True`), `min(ceil(0.1 * n), 25)` good trials of n, prior weight
    1, full weight for the last 25 trials and a ramp before.

    An ordinal axis is its index, an integer range from 0; integer and real ranges keep their log
    scale; a categorical axis is categorical. Optuna may repeat a configuration.

    A configuration that was moved before it was evaluated is learned as it was evaluated: the
    asked trial fails, which TPE overlooks, and a finished one is added, as for a trial of an
    initial design. A trial that failed has the metric's worst value.

    Raises:
        MissingDependencyError: optuna is not installed.
        OptimizerError: more than one objective, or a seed outside [0, 2**32 - 1].
    """

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        if not 0 <= self.seed <= 2**32 - 1:
            raise OptimizerError(
                f"tpe-optuna: the seed must lie in [0, 2**32 - 1], got {self.seed}"
            )
        self._distributions = distributions(self.space)
        self._study = _quiet_study(optuna.samplers.TPESampler(seed=self.seed))
        self._suggested: dict[int, tuple[optuna.Trial, Configuration]] = {}

    def suggest(self, number: int) -> Suggestion:
        """Return the next suggestion."""
        asked = self._study.ask(self._distributions)
        config = {
            d.name: d.values[value] if isinstance(d, Ordinal) else value
            for d, value in ((d, asked.params[d.name]) for d in self.space)
        }
        config = self.space.canonical(config)
        self._suggested[number] = asked, config
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give Optuna the loss of a trial and the configuration that was evaluated."""
        asked, config = self._suggested.pop(trial.number, (None, None))
        loss = evaluation.loss(self.objective)
        if asked is not None and trial.config == config:
            self._study.tell(asked, loss)
            return
        if asked is not None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        params = {
            d.name: d.level(value) if isinstance(d, Ordinal) else value
            for d, value in ((d, trial.config[d.name]) for d in self.space)
        }
        self._study.add_trial(
            optuna.create_trial(params=params, distributions=self._distributions, value=loss)
        )


def _quiet_study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    # Optuna announces every study at INFO; its verbosity is global, so it is put back.
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        return optuna.create_study(sampler=sampler, study_name="replay")
    finally:
        optuna.logging.set_verbosity(verbosity)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return a space as Optuna has it: an ordinal axis is its index."""
    return {dimension.name: _distribution(dimension) for dimension in space}


def _distribution(dimension: Dimension) -> BaseDistribution:
    match dimension:
        case Ordinal():
            return IntDistribution(0, len(dimension.values) - 1)
        case Categorical():
            return CategoricalDistribution(dimension.values)
        case Integer():
            return IntDistribution(dimension.low, dimension.high, log=dimension.log)
        case _:
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
