"""DEHB: Hyperband's brackets whose configurations come from differential evolution.

Awad, Mallik and Hutter, "DEHB: evolutionary Hyperband for scalable, robust and efficient
hyperparameter optimization", IJCAI 2021, as the library `dehb` has it.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.encoding import as_evaluated, decode, encode
from hpobench_llm.optimizers.multi_fidelity.rungs import MultiFidelityOptimizer, RungMember

try:
    from dehb import DEHB
    from loguru import logger
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("dehb", "distributed", "dask", "loguru"):
        raise
    raise MissingDependencyError("dehb", "dehb", "the optimizer 'dehb'") from None

# The library sends what everyone logs with loguru to stdout, and has much to say itself.
logger.configure(handlers=[{"sink": sys.stderr}])
logger.disable("dehb")

WORST = sys.float_info.max  # in place of infinity, which the library takes for "not evaluated"


class _QuietDehb(DEHB):  # type: ignore[misc]  # the library has no types
    """The library's optimizer without its log file."""

    def _setup_logger(self, kwargs: object) -> None:
        self.logger, self.output_path = logger, Path()


class Dehb(MultiFidelityOptimizer):
    """`dehb.DEHB` by ask and tell, on the unit cube with equal cells, with the library's defaults.

    These are rand/1/bin with F = CR = 0.5, eta 3, a population for each rung and brackets that
    start while others wait, so that no worker does. In the first round of brackets the best of a
    rung are promoted; afterwards the best of the rung below are the parents of new configurations.

    The rungs are those of `hyperband`: of the library's spacing of the fidelity only the order is
    used. A promoted configuration is trained on from its run on a lower rung. A configuration that
    was moved before it was evaluated takes the place of the one that was asked for. A failed
    trial has the metric's worst value. Trials of an initial design take the worst places of the
    population in full.

    Raises:
        MissingDependencyError: dehb is not installed.
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    seeding = "seed of DEHB"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        top = self.eta ** (len(self.rungs) - 1)
        self._dehb = _QuietDehb(
            dimensions=len(self.space),
            min_fidelity=0.9,  # 1, but the library rounds the logarithm of the ratio down
            max_fidelity=top,
            eta=self.eta,
            seed=self.seed,
            n_workers=1,
            save_freq="end",
        )
        self._rungs = dict(zip(self._dehb.fidelities, self.rungs, strict=True))
        self._jobs: dict[int, Any] = {}
        self._highest: dict[int, RungMember] = {}  # by the library's number of a configuration

    def suggest(self, number: int) -> Suggestion:
        """Return the library's next job."""
        job = self._dehb.ask()
        self._jobs[number] = job
        level = {self._axis: self._rungs[job["fidelity"]]}
        before = self._highest.get(job["config_id"])
        if before is not None:
            return Suggestion(before.config, level, before.number)
        return Suggestion(decode(self.space, job["config"]), level)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Tell the library the loss, and the vector of what was evaluated."""
        member = self.member(trial, evaluation)
        loss = min(member.loss, WORST)
        job = self._jobs.pop(trial.number, None)
        if job is None:
            self._join_population(trial, loss)
            return
        job["config"] = as_evaluated(self.space, job["config"], trial.config)
        self._dehb.tell(job, {"fitness": loss, "cost": 0.0})
        self._dehb.clean_inactive_brackets()  # as its own loop does
        if member.ok:  # what failed cannot be trained on
            self._highest[job["config_id"]] = member

    def _join_population(self, trial: Trial, loss: float) -> None:
        """Put a trial of an initial design into the population in full, if it is good enough."""
        population = self._dehb.de[self._dehb.fidelities[-1]]
        worst = int(np.argmax(population.fitness))
        if loss < population.fitness[worst]:
            population.population[worst] = encode(self.space, trial.config)
            population.fitness[worst] = loss
