"""The multi-fidelity knowledge gradient, on BoTorch's multi-fidelity Gaussian process.

Wu, Toscano-Palmerin, Frazier and Wilson, "Practical multi-fidelity Bayesian optimization for
hyperparameter tuning", UAI 2019 (the kernel and the gain for its cost); Frazier, Powell and
Dayanik, "The knowledge-gradient policy for correlated normal beliefs", INFORMS Journal on
Computing 21(4), 2009 (the gain on a finite set).
"""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats.qmc import Sobol

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Suggestion, Trial
from hpobench_llm.optimizers.botorch_models import Regression, alone, noise, posterior
from hpobench_llm.optimizers.encoding import decode, features
from hpobench_llm.optimizers.model_based.expected_improvement import log_unit_improvement
from hpobench_llm.optimizers.multi_fidelity.rungs import MultiFidelityOptimizer, RungMember
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.optimizers.scalarisation import normalised
from hpobench_llm.space import Configuration, config_id

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A configuration to be run to a rung, on from a finished trial if there is one."""

    config: Configuration
    rung: int
    before: RungMember | None = None
    cost: float = 1.0  # in runs in full


class MfKg(MultiFidelityOptimizer):
    """Asks for what raises the best expected full-fidelity outcome most, for what it costs.

    The model is `SingleTaskMultiFidelityGP`: the linear truncated fidelity kernel of Wu et al., in
    the share of the full value of the first fidelity axis. A trial is a configuration and one of
    the rungs of `asha` (eta 3). It costs the share that it adds, plus `fixed_cost`, 0.01 as in
    BoTorch's cost model; a configuration that was run to a lower rung is resumed. First come
    `2 * (d + 1)` points of a scrambled Sobol sequence, each on a rung drawn uniformly, as in
    BoTorch's tutorial; trials of an initial design are taken off.

    Deviation: BoTorch's `qMultiFidelityKnowledgeGradient` fantasizes outcomes and climbs to the
    best point of each by gradient: 3.5 s a suggestion at 50 trials with 16 fantasies. Here the
    best is looked for on a finite set, 60 uniform draws, 20 neighbours of the incumbent and up to
    100 configurations that were tried, where the gain needs no fantasies: an outcome moves all
    expectations along lines, whose highest has an exact expectation. What is tried is taken from
    the same set. Every fifth trial is the configuration with the best expected outcome
    that was not yet run in full, in full: the paper recommends one at the end, but a trajectory
    has only what was evaluated. The hyperparameters are fitted anew when the trials have grown by
    a quarter. Beyond 200 trials the model sees the last 200.

    A running trial is taken to come out as expected (`liar` posterior). A failed trial has the
    worst loss that was measured, and is not resumed.

    Raises:
        MissingDependencyError: BoTorch is not installed.
        OptimizerError: more than one objective, or no fidelity below the full one.
    """

    liar = "posterior"
    seeding = "torch seeds from a NumPy generator"
    draws: ClassVar[int] = 60
    near: ClassVar[int] = 20
    old: ClassVar[int] = 100
    modelled: ClassVar[int] = 200
    fixed_cost: ClassVar[float] = 0.01
    recommend_every: ClassVar[int] = 5
    fit_steps: ClassVar[int] = 50

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self.startup_trials = 2 * (len(self.space) + 1)
        sequence = Sobol(len(self.space), rng=self.rng)
        points = sequence.random_base2((self.startup_trials - 1).bit_length())
        self._first = deque(decode(self.space, p) for p in points[: self.startup_trials])
        self._shares = np.array(self.rungs, dtype=np.float64) / self.rungs[-1]
        self._model = Regression(self.fit_steps, fidelity=True)
        self._pending: dict[int, _Candidate] = {}
        self._done: list[tuple[RungMember, int]] = []  # with its rung
        self._highest: dict[str, tuple[RungMember, int]] = {}  # of each configuration

    def suggest(self, number: int) -> Suggestion:
        """Return a point of the sequence, then what gains most for its cost."""
        if self._first:
            rung = int(self.rng.integers(len(self.rungs)))
            return self._new(number, _Candidate(self._first.popleft(), rung))
        candidates = self._candidates() if len(self._done) >= 2 else []
        if not candidates:
            return self._new(number, _Candidate(self.sample(), 0))
        with alone(int(self.rng.integers(2**31))):
            return self._new(number, candidates[self._best(number, candidates)])

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Remember the outcome of the configuration that was evaluated."""
        candidate = self._pending.pop(trial.number, None)
        # A trial of an initial design takes the place of one of the sequence.
        if candidate is None and self._first:
            self._first.pop()
        rung = len(self.rungs) - 1 if candidate is None else candidate.rung
        member = self.member(trial, evaluation)
        self._done.append((member, rung))
        name = config_id(trial.config)
        if not member.ok:  # as if it had been run in full, so that it is not resumed
            self._highest[name] = (member, len(self.rungs) - 1)
        elif name not in self._highest or rung > self._highest[name][1]:
            self._highest[name] = (member, rung)

    def _new(self, number: int, candidate: _Candidate) -> Suggestion:
        self._pending[number] = candidate
        if candidate.before is not None:
            return self.on_rung(candidate.rung, candidate.before)
        return Suggestion(candidate.config, {self._axis: self.rungs[candidate.rung]})

    def _candidates(self) -> list[_Candidate]:
        """Return what may be tried: new configurations on each rung, old ones on higher rungs."""
        incumbent = min((m for m, _ in self._done), key=lambda m: (not m.ok, m.loss)).config
        drawn = [self.sample() for _ in range(self.draws)]
        drawn += [neighbour(self.space, incumbent, self.rng) for _ in range(self.near)]
        running = {config_id(c.config) for c in self._pending.values()}
        new = {config_id(config): config for config in drawn}
        candidates = []
        for name, config in new.items():
            if name not in running and name not in self._highest:
                candidates += [self._priced(config, rung, None) for rung in range(len(self.rungs))]
        unfinished = sorted(
            (
                (member, rung)
                for name, (member, rung) in self._highest.items()
                if name not in running and rung < len(self.rungs) - 1
            ),
            key=lambda pair: pair[0].loss,
        )
        for member, reached in unfinished[: self.old]:
            for rung in range(reached + 1, len(self.rungs)):
                candidates.append(self._priced(member.config, rung, (member, reached)))
        return candidates

    def _priced(
        self, config: Configuration, rung: int, before: tuple[RungMember, int] | None
    ) -> _Candidate:
        share = self._shares[rung] - (0.0 if before is None else self._shares[before[1]])
        member = None if before is None else before[0]
        return _Candidate(config, rung, member, float(share) + self.fixed_cost)

    def _best(self, number: int, candidates: list[_Candidate]) -> int:
        """Return the index of the candidate to try."""
        full = len(self.rungs) - 1
        recent = [member.config for member, _ in self._done[-self.old :]]
        tried = list({config_id(config): config for config in recent}.values())
        in_full = [i for i, candidate in enumerate(candidates) if candidate.rung == full]
        running = [(c.config, c.rung) for c in self._pending.values()]
        pairs = [(c.config, c.rung) for c in candidates] + [(config, full) for config in tried]
        model = self._fitted()
        mean, covariance = posterior(model, self._inputs(pairs + running))
        spread = noise(model)
        if running:  # as if each had come out as expected
            covariance = _conditioned(covariance, len(running), spread)
        count = len(candidates)
        ends = np.array([*in_full, *range(count, len(pairs))])
        if number % self.recommend_every == 0 and in_full:
            return in_full[int(np.argmax(mean[in_full]))]
        variance = np.maximum(np.diag(covariance)[:count], 0.0) + spread
        slopes = covariance[:count][:, ends] / np.sqrt(variance + 1e-12)[:, None]
        gains = knowledge_gradient(mean[ends], slopes)
        return int(np.argmax(gains / np.array([candidate.cost for candidate in candidates])))

    def _fitted(self) -> object:
        members = self._done[-self.modelled :]
        losses = np.array([[member.loss] for member, _ in members])
        gains = -normalised(losses, np.array([member.ok for member, _ in members]))
        return self._model.fitted_to(self._inputs([(m.config, r) for m, r in members]), gains)

    def _inputs(self, pairs: list[tuple[Configuration, int]]) -> Array:
        columns = features(self.space, [config for config, _ in pairs])
        return np.column_stack([columns, self._shares[[rung for _, rung in pairs]]])


def knowledge_gradient(mean: Array, slopes: Array) -> Array:
    """Return `E max(mean + slope * Z) - max(mean)`, Z standard normal, for each row of slopes.

    It is exact (equation 14 of Frazier et al.): along the upper envelope of the lines, from the
    least slope on, a crossing at z where the slope grows by s adds `s * E max(Z - |z|, 0)`. The
    walk takes a step for each line on the envelope, of all candidates at once.

    Args:
        mean: expectations at the `(m,)` configurations that may be chosen in the end.
        slopes: `(n, m)`; in row i, how far a standard deviation of candidate i's outcome moves
            each of them.
    """
    gains = np.zeros(len(slopes))
    least = slopes == slopes.min(axis=1, keepdims=True)
    line = np.where(least, mean, -np.inf).argmax(axis=1)  # the highest at the far left
    rows = np.arange(len(slopes))
    while len(rows):
        rise = slopes[rows] - slopes[rows, line][:, None]
        crossings = np.full(rise.shape, np.inf)
        np.divide(mean[line][:, None] - mean, rise, out=crossings, where=rise > 0.0)
        after = crossings.argmin(axis=1)
        crossing = np.take_along_axis(crossings, after[:, None], 1)[:, 0]
        step = np.take_along_axis(rise, after[:, None], 1)[:, 0]
        goes_on = np.isfinite(crossing)  # where no line rises above, the envelope has ended
        rows, line = rows[goes_on], after[goes_on]
        gains[rows] += step[goes_on] * np.exp(log_unit_improvement(-np.abs(crossing[goes_on])))
    return gains


def _conditioned(covariance: Array, last: int, spread: float) -> Array:
    """Return the covariance of all but the `last`, once these were observed."""
    rest, observed = covariance[:-last, :-last], covariance[-last:, -last:]
    across = covariance[:-last, -last:]
    conditioned: Array = rest - across @ np.linalg.solve(
        observed + (spread + 1e-9) * np.eye(last), across.T
    )
    return conditioned
