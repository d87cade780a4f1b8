"""ASHA whose new configurations come from a model of the last value of each. Our own code.

Salinas, Golebiowski, Klein, Seeger and Archambeau, "Optimizing hyperparameters with conformal
quantile regression", ICML 2023, section 5.
"""

from abc import abstractmethod

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.model_based.bore import by_density_ratio
from hpobench_llm.optimizers.model_based.cqr import by_thompson_sampling
from hpobench_llm.optimizers.model_based.history import History
from hpobench_llm.optimizers.multi_fidelity.asha import Asha
from hpobench_llm.space import Configuration


class AshaByModel(Asha):
    """`Asha` that asks a model for new configurations, once enough of them have a value.

    The model sees one loss for each configuration: the last, on whatever rung that was.
    """

    startup_trials = 5

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self.history = History(self.space)
        self._first: dict[int, int] = {}  # by trial: the one that began its configuration

    def suggest(self, number: int) -> Suggestion:
        """Return a promotion if there is one, else a new configuration at the lowest rung."""
        suggestion = super().suggest(number)
        before = suggestion.resumes
        self._first[number] = number if before is None else self._first.get(before, before)
        self.history.begin(self._first[number], suggestion.config)
        return suggestion

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the trial into its rung, and its loss as the last of its configuration."""
        super().learn(trial, evaluation)
        loss, ok = evaluation.loss(self.objective), evaluation.status == "ok"
        self.history.end(self._first.get(trial.number, trial.number), trial.config, loss, ok=ok)

    def sample(self) -> Configuration:
        """Return a uniform draw, then what the model proposes."""
        if len(self.history) < self.startup_trials:
            return super().sample()
        return self.propose()

    @abstractmethod
    def propose(self) -> Configuration:
        """Return a new configuration by the model."""


class AshaBore(AshaByModel):
    """`Asha` with new configurations by density ratios, see `Bore`, after 5 uniform draws.

    Deviation: Syne Tune's stops runs at the rungs, see `AshaStopping`; this promotes them.

    Raises:
        MissingDependencyError: LightGBM is not installed.
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    def propose(self) -> Configuration:
        """Return the candidate that is most probably good."""
        return by_density_ratio(self.space, self.history, self.rng)


class AshaCqr(AshaByModel):
    """`Asha` with new configurations by Thompson sampling, see `Cqr`, after 5 uniform draws.

    Deviation: the paper's stops runs at the rungs, see `AshaStopping`; this promotes them.

    Raises:
        MissingDependencyError: LightGBM is not installed.
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    def propose(self) -> Configuration:
        """Return the candidate of the lowest draw."""
        return by_thompson_sampling(self.space, self.history, self.rng)
