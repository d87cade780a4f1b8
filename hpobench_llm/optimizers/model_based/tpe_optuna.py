"""The tree-structured Parzen estimator of Optuna 5, for one objective and for several.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011,
in the multivariate form of Falkner, Klein and Hutter, "BOHB", ICML 2018, as Optuna has it: Akiba,
Sano, Yanase, Ohta and Koyama, "Optuna: a next-generation hyperparameter optimization framework",
KDD 2019. Several objectives: Ozaki, Tanigaki, Watanabe, Nomura and Onishi, "Multiobjective
tree-structured Parzen estimator", Journal of Artificial Intelligence Research 73, 2022.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import (
    Optimizer,
    SingleObjectiveOptimizer,
    Suggestion,
    Trial,
)
from hpobench_llm.space import Categorical, Configuration, Dimension, Integer, Ordinal, Space

try:
    import optuna
except ModuleNotFoundError as error:
    if error.name != "optuna":  # optuna is there, but not all that it needs
        raise
    names = "each of the optimizers 'tpe-optuna', 'motpe' and 'random-scalarisation'"
    raise MissingDependencyError("optuna", "optuna", names) from None
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Finished = optuna.trial.FrozenTrial


class OptunaSpace:
    """A space as Optuna sees it.

    An ordinal axis is its index, an integer range from 0; integer and real ranges keep their log
    scale; a categorical axis is categorical.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.distributions = distributions(space)

    def from_params(self, params: Mapping[str, Any]) -> Configuration:
        """Return the configuration of Optuna's parameters."""
        pairs = ((d, params[d.name]) for d in self._space)
        return self._space.canonical(
            {d.name: d.values[value] if isinstance(d, Ordinal) else value for d, value in pairs}
        )

    def finished(self, config: Configuration, losses: Sequence[float]) -> Finished:
        """Return a finished trial of a configuration that Optuna may not have asked for."""
        pairs = ((d, config[d.name]) for d in self._space)
        return optuna.create_trial(
            params={d.name: d.level(v) if isinstance(d, Ordinal) else v for d, v in pairs},
            distributions=self.distributions,
            values=list(losses),
        )


def quiet_study(seed: int, objectives: int = 1) -> optuna.Study:
    """Return a study in memory that minimises every objective by TPE."""
    # Optuna announces every study at INFO; its verbosity is global, so it is put back.
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        return optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed),
            directions=["minimize"] * objectives,
            study_name="replay",
        )
    finally:
        optuna.logging.set_verbosity(verbosity)


class _Tpe(Optimizer):
    """One study of Optuna and its `TPESampler`, whatever the number of objectives."""

    startup_trials = 10
    liar = "a bad trial"
    seeding = "seed of TPESampler"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        if not 0 <= self.seed <= 2**32 - 1:
            raise OptimizerError(
                f"{type(self).__name__}: the seed must lie in [0, 2**32 - 1], got {self.seed}"
            )
        self._optuna = OptunaSpace(self.space)
        self._study = quiet_study(self.seed, len(self.objectives))
        self._suggested: dict[int, tuple[optuna.Trial, Configuration]] = {}

    def suggest(self, number: int) -> Suggestion:
        """Return the next suggestion."""
        asked = self._study.ask(self._optuna.distributions)
        config = self._optuna.from_params(asked.params)
        self._suggested[number] = asked, config
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give Optuna the losses of a trial and the configuration that was evaluated."""
        asked, config = self._suggested.pop(trial.number, (None, None))
        losses = [evaluation.loss(metric) for metric in self.objectives]
        if asked is not None and trial.config == config:
            self._study.tell(asked, losses)
            return
        if asked is not None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        self._study.add_trial(self._optuna.finished(trial.config, losses))


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
