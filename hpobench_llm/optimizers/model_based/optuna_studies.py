"""Studies of Optuna by ask and tell, whichever sampler suggests.

The one module of the optimizers that imports optuna. Akiba, Sano, Yanase, Ohta and Koyama,
"Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
"""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.barrier import relative_excesses
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Integer,
    Ordinal,
    Space,
)

try:
    import optuna
except ModuleNotFoundError as error:
    if error.name != "optuna":  # optuna is there, but not all that it needs
        raise
    names = "each of the optimizers 'tpe-optuna', 'motpe', 'gps' and 'random-scalarisation'"
    raise MissingDependencyError("optuna", "optuna", names) from None
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, TPESampler

__all__ = ["GPSampler", "TPESampler"]

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

    def finished(
        self,
        config: Configuration,
        losses: Sequence[float],
        constraints: Mapping[str, float] | None = None,
    ) -> Finished:
        """Return a finished trial of a configuration that Optuna may not have asked for."""
        pairs = ((d, config[d.name]) for d in self._space)
        return optuna.create_trial(
            params={d.name: d.level(v) if isinstance(d, Ordinal) else v for d, v in pairs},
            distributions=self.distributions,
            values=list(losses),
            constraints=dict(constraints or {}),
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna say nothing but errors; its verbosity is global, so it is put back."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.ERROR))
    try:
        # Warnings too: of arithmetic, and of what Optuna calls experimental.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def quiet_study(sampler: BaseSampler, objectives: int = 1) -> optuna.Study:
    """Return a study in memory that minimises every objective."""
    with quiet():
        return optuna.create_study(
            sampler=sampler, directions=["minimize"] * objectives, study_name="replay"
        )


class StudyOptimizer(Optimizer):
    """One study of Optuna, whatever the number of objectives; a subclass says the sampler."""

    def check(self) -> None:
        """Refuse a seed that Optuna's samplers cannot take."""
        super().check()
        if not 0 <= self.seed <= 2**32 - 1:
            raise OptimizerError(
                f"{type(self).__name__}: the seed must lie in [0, 2**32 - 1], got {self.seed}"
            )

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._optuna = OptunaSpace(self.space)
        self._study = quiet_study(self.sampler(), len(self.objectives))
        self._suggested: dict[int, tuple[optuna.Trial, Configuration]] = {}

    @abstractmethod
    def sampler(self) -> BaseSampler:
        """Return Optuna's sampler with the seed."""

    def suggest(self, number: int) -> Suggestion:
        """Return the next suggestion."""
        optuna_trial = self._study.ask(self._optuna.distributions)
        config = self._optuna.from_params(optuna_trial.params)
        self._suggested[number] = optuna_trial, config
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give Optuna the losses of a trial and the configuration that was evaluated."""
        optuna_trial, config = self._suggested.pop(trial.number, (None, None))
        losses = [evaluation.loss(metric) for metric in self.objectives]
        excesses = self.excesses(evaluation)
        if optuna_trial is not None and trial.config == config:
            for name, excess in excesses.items():
                optuna_trial.set_constraint(name, excess)
            self._study.tell(optuna_trial, losses)
            return
        # Optuna cannot change what it asked for: that trial fails, and a finished one is added.
        if optuna_trial is not None:
            self._study.tell(optuna_trial, state=optuna.trial.TrialState.FAIL)
        self._study.add_trial(self._optuna.finished(trial.config, losses, excesses))

    def excesses(self, evaluation: Evaluation) -> dict[str, float]:
        """Return what Optuna is told of constraints: nothing, where the method takes none."""
        if not self.takes_constraints:
            return {}
        names = (constraint.name for constraint in self.constraints)
        return dict(zip(names, relative_excesses(self.constraints, evaluation), strict=True))


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
