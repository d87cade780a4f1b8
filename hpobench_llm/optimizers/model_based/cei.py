"""Constrained expected improvement. Our own code.

Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian optimization with inequality
constraints", ICML 2014.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.optimizers.encoding import Points, columns
from hpobench_llm.optimizers.model_based.gp import Gp
from hpobench_llm.optimizers.model_based.improvement_search import fitted, thinned

MOST = 3.0  # times the median excess


class Cei(Gp):
    """Asks for the largest product of expected improvement and probability of being feasible.

    The improvement is that of `Gp` over the best feasible trial; the loss of an infeasible trial
    is learned as it is. By how much a constraint is exceeded has a process of its own, whose mean
    is the bound. Until something feasible is known, the probability alone is maximised. Without
    constraints it is `gp`.

    Deviations: the paper has no rule for the time before anything is feasible. An excess counts
    in units of the median of its absolute values, and as at most 3 of them on either side, so
    that a few wild ones do not flatten the process at the bound; what was not measured counts as
    3. A trial that failed is feasible only if its constraints were measured and are kept, and is
    never the best.

    Raises:
        OptimizerError: more than one objective.
    """

    takes_constraints = True

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._excesses: dict[int, list[float]] = {}  # in the order of the history
        self._ok: dict[int, bool] = {}

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the loss and the excess over each constraint."""
        super().learn(trial, evaluation)
        measured = evaluation.constraints
        self._excesses[trial.number] = [measured.get(c.name, np.inf) for c in self.constraints]
        self._ok[trial.number] = evaluation.status == "ok"

    def incumbent(self) -> int:
        """Return the best feasible trial, or the one nearest to being feasible."""
        eligible = self._eligible()
        if eligible.any():
            return int(np.where(eligible, self.history.losses, np.inf).argmin())
        scaled = np.array([scaled_excess(column) for column in self._columns()])
        return int(np.maximum(scaled, 0.0).sum(axis=0).argmin()) if len(scaled) else 0

    def scores(self, candidates: Points) -> NDArray[np.float64]:
        """Return the logarithm of each candidate's product, `(m,)`."""
        history, eligible = self.history, self._eligible()
        feasible = np.zeros(len(candidates))
        for column in self._columns():
            rows = thinned(np.abs(column).argsort(kind="stable"), self.rng)  # near the bound
            process = fitted(self.space, history.points[rows], scaled_excess(column)[rows])
            if len(history.running):
                process = process.believing(columns(self.space, history.running))
            mean, deviation = process.predict(columns(self.space, candidates))
            feasible += log_ndtr(-mean / deviation)
        if self.constraints and not eligible.any():  # no best to improve on yet
            return feasible
        improvement = self.search.scores(
            history.points,
            history.losses,
            history.running,
            candidates,
            eligible if eligible.any() else None,
        )
        total: NDArray[np.float64] = improvement + feasible
        return total

    def _columns(self) -> NDArray[np.float64]:
        """Return the excesses `(constraints, n)`."""
        shape = len(self._excesses), len(self.constraints)
        return np.array([*self._excesses.values()], dtype=np.float64).reshape(shape).T

    def _eligible(self) -> NDArray[np.bool_]:
        """Return which trials may be the best, `(n,)`."""
        eligible = np.array([*self._ok.values()], dtype=np.bool_)
        for column in self._columns():
            eligible &= column <= 0.0
        return eligible


def scaled_excess(excesses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return excesses `(n,)` in units of their median size, at most `MOST` on either side."""
    finite = np.abs(excesses[np.isfinite(excesses)])
    unit = float(np.median(finite)) if len(finite) else 0.0
    return np.clip(excesses / (unit or 1.0), -MOST, MOST)
