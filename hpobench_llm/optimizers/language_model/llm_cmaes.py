"""CMA-ES with a language model that sees its state: Centaur. Our own code.

Ferreira et al., "Can LLMs beat classical hyperparameter optimization algorithms?", arXiv
2603.24647 (read in their code, `centaur_backend.py`, not in the paper).
"""

import json
from typing import ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.evolutionary.cma_es import CmaEs
from hpobench_llm.optimizers.evolutionary.cmaes_library import CMAwM
from hpobench_llm.optimizers.language_model.llm import Adviser
from hpobench_llm.space import Configuration

ADVICE = """\
CMA-ES searches beside you, on [0, 1] of each axis, and learns of your trials too. Its state:
mean: {mean}
step size: {sigma:.4g} (small: it has nearly converged; large: it still explores)
covariance of {axes}: {covariance}
its own next configuration: {config}
Take that, or another where you see what it may miss."""


class LlmCmaes(CmaEs):
    """`cmaes`, but every third trial from the tenth on is the model's answer to CMA-ES's draw.

    The model sees the prompt of `llm` and with it mean, step size and covariance of CMA-ES and the
    configuration that it would try, and CMA-ES is told the trial as one of its own that was moved.
    Warm-up of 10 trials and share of 0.3 as published; CMA-ES is that of `cmaes` here, with margin
    and restarts, where the published code has Optuna's without. Endpoint, answers and errors as
    for `llm`.

    Raises:
        MissingDependencyError: cmaes is not installed.
        OptimizerError: as for `llm`, or more than one objective.
    """

    seeding = "seeds of CMAwM from a NumPy generator, seed of the requests; answers as recorded"
    warm_up: ClassVar[int] = 10
    share: ClassVar[float] = 0.3

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._adviser = Adviser(self)
        self.seeding = f"{type(self).seeding} of {self._adviser.model}"

    def suggest(self, number: int) -> Suggestion | None:
        """Return CMA-ES's draw, or the model's answer to it."""
        own = super().suggest(number)
        if own is None:
            return None
        config, turn = own.config, number % round(1 / self.share) == 0
        if number >= self.warm_up and turn and self._cma is not None:
            advice = self._state(self._cma, config)
            config = self._adviser.configuration(number, advice)
        # CMA-ES learns of the answer as of a draw that was moved.
        self._adviser.begins(number, config)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Tell both of the outcome."""
        super().learn(trial, evaluation)
        self._adviser.ended(trial, evaluation)

    def _state(self, cma: CMAwM, config: Configuration) -> str:
        """Return the state in words; axes are those that CMA-ES sees, sticks for proportions."""
        inner, count = cma._cma, len(self._axes)  # without the dummy axis
        centre = np.clip(inner.mean[:count], 0.0, 1.0)
        values = {
            axis.dimension.name: axis.decode(float(coordinate))
            for axis, coordinate in zip(self._axes, centre, strict=True)
        }
        return ADVICE.format(
            mean=json.dumps(self._adviser.decoded(config | values)),
            sigma=inner._sigma,
            axes=", ".join(values),
            covariance=json.dumps(np.round(inner._C[:count, :count], 3).tolist()),
            config=json.dumps(self._adviser.decoded(config)),
        )
