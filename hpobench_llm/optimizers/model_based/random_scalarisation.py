"""Random scalarisation: for every trial other weights, then a method for one objective.

Paria, Kandasamy and Póczos, "A flexible framework for multi-objective Bayesian optimization using
random scalarizations", UAI 2019. The method for one objective is Optuna's TPE.
"""

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.model_based.optuna_studies import (
    Finished,
    OptunaSpace,
    TPESampler,
    quiet_study,
)
from hpobench_llm.optimizers.scalarisation import chebyshev, normalised


class RandomScalarisation(Optimizer):
    """Weights all trials so far anew for each suggestion, and asks TPE as if they had one loss.

    The weights are uniform on the simplex, the loss is their augmented Chebyshev value, see
    `scalarisation`; TPE has the defaults of `TpeOptuna`, 10 random trials first among them. A
    configuration may come again.

    Deviations: the paper models each objective by a Gaussian process and weights the models'
    predictions; here the observations are weighted, which any method for one objective can
    follow. Running trials are not known to TPE: the weights, not a liar, keep workers apart. A
    failed trial is the worst in every objective.

    Raises:
        MissingDependencyError: optuna is not installed.
    """

    startup_trials = 10
    seeding = "seeds of TPESampler from a NumPy generator"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._optuna = OptunaSpace(self.space)
        self._trials: list[Finished] = []
        self._losses: list[list[float]] = []
        self._ok: list[bool] = []

    def suggest(self, number: int) -> Suggestion:
        """Return what TPE suggests for new weights."""
        weights = self._rng.dirichlet(np.ones(len(self.objectives)))
        # A study of its own for each suggestion: the past losses change with the weights.
        study = quiet_study(TPESampler(seed=int(self._rng.integers(2**31))))
        if self._trials:
            scaled = normalised(np.array(self._losses), np.array(self._ok))
            for trial, value in zip(self._trials, chebyshev(scaled, weights), strict=True):
                trial.value = float(value)
            study.add_trials(self._trials)
        optuna_trial = study.ask(self._optuna.distributions)
        return Suggestion(self._optuna.from_params(optuna_trial.params))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the losses of the configuration that was evaluated."""
        self._trials.append(self._optuna.finished(trial.config, [0.0]))
        self._losses.append([evaluation.loss(metric) for metric in self.objectives])
        self._ok.append(evaluation.status == "ok")
