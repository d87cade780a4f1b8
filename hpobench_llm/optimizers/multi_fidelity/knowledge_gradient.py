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
from hpobench_llm.optimizers.multi_fidelity.rungs import Member, MultiFidelityOptimizer
from hpobench_llm.optimizers.neighbours import neighbour
from hpobench_llm.optimizers.scalarisation import normalised
from hpobench_llm.space import Configuration, config_id

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A configuration to be run to a rung, on from a finished trial if there is one."""

    config: Configuration
    rung: int
    before: Member | None = None
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

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self.startup_trials = 2 * (len(self.space) + 1)
        sequence = Sobol(len(self.space), rng=self.rng)
        points = sequence.random_base2((self.startup_trials - 1).bit_length())
        self._first = deque(decode(self.space, p) for p in points[: self.startup_trials])
        self._shares = np.array(self.rungs, dtype=np.float64) / self.rungs[-1]
        self._model = Regression(fidelity=True)
        self._pending: dict[int, _Candidate] = {}
        self._done: list[tuple[Member, int]] = []  # with its rung
        self._highest: dict[str, tuple[Member, int]] = {}  # of each configuration

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
        known = self._pending.pop(trial.number, None)
        if known is None and self._first:
            self._first.pop()  # of an initial design
        rung = len(self.rungs) - 1 if known is None else known.rung
        member = self.member(trial, evaluation)
        self._done.append((member, rung))
        name = config_id(trial.config)
        if name not in self._highest or rung > self._highest[name][1] or not member.ok:
            self._highest[name] = (member, rung if member.ok else len(self.rungs) - 1)

    def _new(self, number: int, chosen: _Candidate) -> Suggestion:
        self._pending[number] = chosen
        if chosen.before is not None:
            return self.on_rung(chosen.rung, chosen.before)
        return Suggestion(chosen.config, {self._axis: self.rungs[chosen.rung]})

    def _candidates(self) -> list[_Candidate]:
        """Return what may be tried: new configurations on each rung, old ones on higher rungs."""
        incumbent = min((m for m, _ in self._done), key=lambda m: (not m.ok, m.loss)).config
        drawn = [self.sample() for _ in range(self.draws)]
        drawn += [neighbour(self.space, incumbent, self.rng) for _ in range(self.near)]
        running = {config_id(c.config) for c in self._pending.values()}
        new = {config_id(config): config for config in drawn}
        found = []
        for name, config in new.items():
            if name not in running and name not in self._highest:
                found += [self._priced(config, rung, None) for rung in range(len(self.rungs))]
        open_ones = sorted(
            (
                (member, rung)
                for name, (member, rung) in self._highest.items()
                if name not in running and rung < len(self.rungs) - 1
            ),
            key=lambda pair: pair[0].loss,
        )
        for member, reached in open_ones[: self.old]:
            for rung in range(reached + 1, len(self.rungs)):
                found.append(self._priced(member.config, rung, (member, reached)))
        return found

    def _priced(
        self, config: Configuration, rung: int, before: tuple[Member, int] | None
    ) -> _Candidate:
        share = self._shares[rung] - (0.0 if before is None else self._shares[before[1]])
        return _Candidate(config, rung, before and before[0], float(share) + self.fixed_cost)

    def _best(self, number: int, candidates: list[_Candidate]) -> int:
        """Return the index of the candidate to try."""
        full = len(self.rungs) - 1
        tried = list({config_id(m.config): m.config for m, _ in self._done[-self.old :]}.values())
        in_full = [i for i, candidate in enumerate(candidates) if candidate.rung == full]
        running = [(c.config, c.rung) for c in self._pending.values()]
        asked = [(c.config, c.rung) for c in candidates] + [(config, full) for config in tried]
        model = self._fitted()
        mean, covariance = posterior(model, self._inputs(asked + running))
        spread = noise(model)
        if running:  # as if each had come out as expected
            covariance = _conditioned(covariance, len(running), spread)
        count = len(candidates)
        ends = np.array([*in_full, *range(count, len(asked))])
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
        return self._model.given(self._inputs([(m.config, r) for m, r in members]), gains)

    def _inputs(self, asked: list[tuple[Configuration, int]]) -> Array:
        columns = features(self.space, [config for config, _ in asked])
        return np.column_stack([columns, self._shares[[rung for _, rung in asked]]])


def knowledge_gradient(mean: Array, slopes: Array) -> Array:
    """Return `E max(mean + slope * Z) - max(mean)`, Z standard normal, for each row of slopes.

    It is exact (equation 14 of Frazier et al.): along the upper envelope of the lines, from the
    least slope on, a crossing at z where the slope grows by s adds `s * E max(Z - |z|, 0)`. The
    walk takes a step for each line on the envelope, of all candidates at once.

    Args:
        mean: the expectations of what may be chosen in the end, `(m,)`.
        slopes: row i is by how much a standard deviation of candidate i's outcome moves them,
            `(n, m)`.
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
        at, step = (np.take_along_axis(x, after[:, None], 1)[:, 0] for x in (crossings, rise))
        on = np.isfinite(at)
        rows, line = rows[on], after[on]
        gains[rows] += step[on] * np.exp(log_unit_improvement(-np.abs(at[on])))
    return gains


def _conditioned(covariance: Array, last: int, spread: float) -> Array:
    """Return the covariance of all but the `last`, once these were observed."""
    kept, seen = covariance[:-last, :-last], covariance[-last:, -last:]
    across = covariance[:-last, -last:]
    found: Array = kept - across @ np.linalg.solve(seen + (spread + 1e-9) * np.eye(last), across.T)
    return found
