"""Ask a fitted surrogate: rows of configurations at one fidelity, all quantities at once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hpobench_llm.evaluation import STATUSES
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.compare import FittedModel
from hpobench_llm.surrogates.encoding import (
    ConfigEncoder,
    FloatArray,
    check_fidelity,
    columns_of,
    encode_fidelities,
)
from hpobench_llm.surrogates.models.network import Network, joined
from hpobench_llm.surrogates.noise import REACH
from hpobench_llm.surrogates.resources import SECONDS, TOKENS
from hpobench_llm.surrogates.rows import PROBABILITY, Level

Columns = slice | NDArray[np.intp]

_LEVELS_KEPT = 1024
_ROWS_AT_ONCE = 256  # the intermediate arrays of a chunk stay in the cache


@dataclass(frozen=True, slots=True)
class SurrogateAnswers:
    """What the surrogate says of `n` configurations at one fidelity, in own units.

    `values` is `(n, metrics)`, NaN where a metric is not answered; `status` `(n,)` indices into
    `STATUSES`; `seconds` and `tokens` `(n,)`, NaN where the table knew none.
    """

    values: FloatArray
    status: NDArray[np.intp]
    seconds: FloatArray
    tokens: FloatArray


@dataclass(frozen=True, slots=True)
class _FidelityTerms:
    """What depends on the fidelity alone."""

    features: FloatArray
    answered: NDArray[np.bool_]
    unanswered: NDArray[np.intp]
    fixed: NDArray[np.intp]
    fixed_values: FloatArray
    growth: FloatArray


@dataclass(frozen=True, slots=True)
class _Plan:
    """Models of some columns: `network` answers `columns` in one product, `others` the rest.

    A model sees as many of the features, from the first on, as it was fitted to: a cost's rate
    sees those of the configuration alone.
    """

    columns: Columns
    network: Network | None
    network_inputs: int
    others: tuple[tuple[Columns, int, FittedModel], ...]
    complete: bool

    def predict(self, features: FloatArray, width: int) -> FloatArray:
        """Return `(n, width)` on the fitted scale, NaN in columns that are not planned for."""
        answer = np.empty((len(features), width))
        if not self.complete:
            answer.fill(np.nan)
        if self.network is not None:
            answer[:, self.columns] = self.network.predict(features[:, : self.network_inputs])
        for columns, inputs, part in self.others:
            answer[:, columns] = part.predict(features[:, :inputs])
        return answer


def _planned(models: Iterable[tuple[FittedModel, int]], width: int) -> _Plan:
    """Join the networks among the models; `width` is how many columns there are in all.

    With each model comes how many features it sees: those of the configuration come first.
    """
    joinable, others = [], []
    columns: list[int] = []
    network_inputs = 0
    for part, inputs in models:
        if isinstance(part.model, Network):
            joinable.append((part.model, part.kept, part.offset, part.scale))
            columns += part.columns
            network_inputs = max(network_inputs, inputs)
        else:
            others.append((columns_of(part.columns), inputs, part))
    network = joined(joinable) if joinable else None
    answered = len(columns) + sum(len(part.columns) for _, _, part in others)
    return _Plan(columns_of(columns), network, network_inputs, tuple(others), answered == width)


class SurrogateSurface:
    """Evaluates one surrogate; equal arguments give equal answers, alone or among others."""

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = surrogate
        self.encoder = ConfigEncoder(surrogate.space)
        self._targets = surrogate.targets
        kinds = [target.kind for target in self._targets]
        self.metrics = kinds.count("metric")
        self.names = tuple(target.name for target in self._targets[: self.metrics])
        log = [column for column, target in enumerate(self._targets) if target.log]
        self._log = columns_of(log) if log else None
        self._low = np.array([target.low for target in self._targets])
        self._high = np.array([target.high for target in self._targets])
        self._only_ok = np.flatnonzero(
            [not target.when_failed for target in self._targets[: self.metrics]]
        )
        statuses = [t.name.removeprefix(PROBABILITY) for t in self._targets[self.metrics :]]
        codes = {str(status): code for code, status in enumerate(STATUSES)}
        self._codes = np.array([codes[status] for status in statuses], dtype=np.intp)
        # The first metric's draw decides on the status too, see `_status`.
        first = surrogate.metrics[self.names[0]]
        self._towards_worse = 1.0 if first.direction == "minimize" else -1.0
        names = [shape.name for shape in surrogate.shapes]
        self._seconds = [c for c, name in enumerate(names) if name in SECONDS]
        self._tokens = [c for c, name in enumerate(names) if name == TOKENS]
        self._levels: dict[Level, _FidelityTerms] = {}
        # Behind the targets come the logarithms of the resources' rates.
        self._width = len(self._targets) + len(surrogate.shapes)
        inputs, axes = self.encoder.width, len(surrogate.fidelities)
        behind = [
            replace(rate, columns=tuple(len(self._targets) + c for c in rate.columns))
            for rate in surrogate.rates
        ]
        models = [(part, inputs + axes) for part in surrogate.models]
        self._everything = _planned([*models, *((rate, inputs) for rate in behind)], self._width)
        self._plans: dict[frozenset[int], _Plan] = {}

    def answered(self, level: Level) -> NDArray[np.bool_]:
        """Return `(metrics,)` which metrics are answered at a fidelity."""
        return self._terms(level).answered[: self.metrics]

    def ask(
        self,
        numbers: FloatArray,
        level: Level,
        seed: int | None,
        wanted: Collection[int] | None = None,
    ) -> SurrogateAnswers:
        """Answer `(n, d)` checked numbers of configurations at one checked fidelity.

        Args:
            numbers: from the encoder.
            level: a value for each fidelity axis.
            seed: None for the expectation, an integer for one draw.
            wanted: columns of the metrics to answer, None for all; the others may be NaN.
        """
        if len(numbers) <= _ROWS_AT_ONCE:
            return self._ask(numbers, level, seed, wanted)
        # Every row is a product of its own, so that chunks do not change an answer.
        starts = range(0, len(numbers), _ROWS_AT_ONCE)
        parts = [self._ask(numbers[s : s + _ROWS_AT_ONCE], level, seed, wanted) for s in starts]
        return SurrogateAnswers(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.status for part in parts]),
            np.concatenate([part.seconds for part in parts]),
            np.concatenate([part.tokens for part in parts]),
        )

    def _ask(
        self,
        numbers: FloatArray,
        level: Level,
        seed: int | None,
        wanted: Collection[int] | None,
    ) -> SurrogateAnswers:
        terms = self._terms(level)
        units = self.encoder.features(numbers)
        predicted = self._predict(units, terms, wanted)
        fitted, rates = predicted[:, : len(self._targets)], predicted[:, len(self._targets) :]
        normals = None
        if seed is not None:
            normals = self.surrogate.noise.normals(numbers, units, seed)
            fitted[:, : self.metrics] += self._drawn(
                fitted[:, : self.metrics], units, terms, normals
            )
        values = self._in_units(fitted, terms)
        status = self._status(values[:, self.metrics :], normals)
        values = values[:, : self.metrics]
        if len(self._only_ok):  # no failed run of the table has a value of these
            values[np.ix_(status != 0, self._only_ok)] = np.nan
        seconds, tokens = self._costs(rates, terms)
        return SurrogateAnswers(values, status, seconds, tokens)

    def _drawn(
        self, expected: FloatArray, units: FloatArray, terms: _FidelityTerms, normals: FloatArray
    ) -> FloatArray:
        """Return how far the runs `(n, metrics)` of a seed lie from the expected ones."""
        regions = self.surrogate.noise.regions
        if regions is None:
            return self.surrogate.spread.residuals(self._features(units, terms), normals)
        drawn = np.minimum(np.maximum(normals, -REACH), REACH)
        return drawn * regions.deviations(expected, terms.features)

    def interval(
        self, numbers: FloatArray, level: Level, coverage: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the ends `(n, metrics)` between which a run lies with that probability."""
        terms = self._terms(level)
        units = self.encoder.features(numbers)
        expected = self._predict(units, terms, None)[:, : len(self._targets)]
        ends = []
        for residuals in self.surrogate.spread.interval(self._features(units, terms), coverage):
            end = expected.copy()
            end[:, : self.metrics] += residuals
            ends.append(self._in_units(end, terms)[:, : self.metrics])
        return ends[0], ends[1]

    def _terms(self, level: Level) -> _FidelityTerms:
        terms = self._levels.get(level)
        if terms is None:
            if len(self._levels) >= _LEVELS_KEPT:  # a cache: dropping it costs time alone
                self._levels.clear()
            terms = self._levels[level] = self._computed_terms(level)
        return terms

    def _computed_terms(self, level: Level) -> _FidelityTerms:
        surrogate = self.surrogate
        check_fidelity(surrogate.fidelities, level, surrogate.name)
        exact = tuple(float(value) for value in level)
        fixed = [c for c, target in enumerate(self._targets) if exact in target.fixed]
        answered = np.array([t.answers(exact, surrogate.fidelities) for t in self._targets])
        return _FidelityTerms(
            features=encode_fidelities(surrogate.fidelities, np.array([exact], dtype=np.float64)),
            answered=answered,
            unanswered=np.flatnonzero(~answered),
            fixed=np.array(fixed, dtype=np.intp),
            fixed_values=np.array([self._targets[c].fixed[exact] for c in fixed]),
            growth=np.array([shape.at(exact) for shape in surrogate.shapes]),
        )

    def _features(self, units: FloatArray, terms: _FidelityTerms) -> FloatArray:
        if not terms.features.shape[1]:
            return units
        rows = np.empty((len(units), units.shape[1] + terms.features.shape[1]))
        rows[:, : units.shape[1]] = units
        rows[:, units.shape[1] :] = terms.features
        return rows

    def _predict(
        self, units: FloatArray, terms: _FidelityTerms, wanted: Collection[int] | None
    ) -> FloatArray:
        return self._plan(wanted).predict(self._features(units, terms), self._width)

    def _plan(self, wanted: Collection[int] | None) -> _Plan:
        """Leave out models that hold no wanted metric; the joined network stays as it is.

        Joined otherwise, it might answer the same metric with another last bit.
        """
        if wanted is None or not self._everything.others:
            return self._everything
        key = frozenset(wanted)
        plan = self._plans.get(key)
        if plan is None:
            needed = key | set(range(self.metrics, self._width))
            others = tuple(o for o in self._everything.others if needed & set(o[2].columns))
            plan = replace(self._everything, others=others, complete=False)
            self._plans[key] = plan
        return plan

    def _in_units(self, fitted: FloatArray, terms: _FidelityTerms) -> FloatArray:
        if self._log is not None:
            fitted[:, self._log] = np.exp(fitted[:, self._log])
        # In place, as every query comes by here.
        np.maximum(fitted, self._low, out=fitted)
        np.minimum(fitted, self._high, out=fitted)
        if len(terms.fixed):
            fitted[:, terms.fixed] = terms.fixed_values
        if len(terms.unanswered):
            fitted[:, terms.unanswered] = np.nan
        return fitted

    def _status(self, probabilities: FloatArray, normals: FloatArray | None) -> NDArray[np.intp]:
        """Return the likeliest status, or the one that a draw ends in.

        The same normal number decides on the status and on the first metric: the runs that
        diverge are those whose loss came out high.
        """
        status = np.zeros(len(probabilities), dtype=np.intp)
        if not len(self._codes):
            return status
        # A status that cannot be told at a fidelity (NaN) was not measured around it.
        if normals is None and len(self._codes) == 1:
            status[probabilities[:, 0] > 0.5] = self._codes[0]
            return status
        chances = np.where(np.isnan(probabilities), 0.0, probabilities)
        if normals is None:
            failed = chances.sum(axis=1) > 0.5
            status[failed] = self._codes[chances.argmax(axis=1)[failed]]
            return status
        quantile = ndtr(-self._towards_worse * normals[:, 0])  # of the first metric, 0 the worst
        upper = np.cumsum(chances, axis=1)
        # Backwards, so that the status of the lowest bound above the quantile stays.
        for column in reversed(range(len(self._codes))):
            status[quantile < upper[:, column]] = self._codes[column]
        return status

    def _costs(self, rates: FloatArray, terms: _FidelityTerms) -> tuple[FloatArray, FloatArray]:
        nothing = np.full(len(rates), np.nan)
        if not self.surrogate.shapes:
            return nothing, nothing
        amounts = np.exp(rates)
        amounts *= terms.growth
        seconds = _sum(amounts, self._seconds) if self._seconds else nothing
        return seconds, amounts[:, self._tokens[0]] if self._tokens else nothing


def _sum(amounts: FloatArray, columns: list[int]) -> FloatArray:
    total = amounts[:, columns[0]]
    for column in columns[1:]:
        total = total + amounts[:, column]
    return total
