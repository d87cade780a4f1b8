"""A fitted surrogate as a benchmark: any configuration and fidelity between the measured ones."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.benchmarks.base import CONSTRAINT, Benchmark, FidelityValues, check_many
from hpobench_llm.benchmarks.cells import COST, STATUS_NAMES, TOKENS
from hpobench_llm.benchmarks.reference import best_known
from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError, IntegrityError, NotMeasuredError
from hpobench_llm.evaluation import STATUSES, Evaluation
from hpobench_llm.metrics import select
from hpobench_llm.space import Configuration
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.surface import SurrogateAnswers, SurrogateSurface
from hpobench_llm.surrogates.words import in_words

_OK = STATUSES.index("ok")


class SurrogateBenchmark(Benchmark):
    """Answers with a surrogate's predictions.

    With `seed=None` it answers the expected run, whose status is not `ok` if that is the likelier
    outcome. An integer draws one run (see `surrogates/noise.py`): the same one in any process, and
    the same run at all fidelities. Costs are the expected ones for every seed.

    A metric is answered only between fidelities at which it was measured, or at one of them.
    """

    kind = "surrogate"
    optimum_known = False  # a search finds it

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = surrogate
        self.name = surrogate.name
        self.sha256 = surrogate.sha256
        self.space = surrogate.space
        self.fidelities = surrogate.fidelities
        self.metrics = surrogate.metrics
        self._surface = SurrogateSurface(surrogate)
        self._columns = {name: column for column, name in enumerate(self._surface.names)}
        self._answers = pd.Index([*self.metrics, COST, TOKENS])
        self._optima: dict[tuple[str, tuple[Constraint, ...]], tuple[Configuration, float]] = {}

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Predict one configuration. See `Benchmark.query`.

        Raises:
            NotMeasuredError: one of `metrics` was not measured around this fidelity.
        """
        level = self.fidelity_levels(fidelity)
        if isinstance(metrics, str):
            metrics = (metrics,)
        numbers = self._surface.encoder.numbers(config)
        wanted = None if metrics is None else self._wanted(metrics, level) + self._bounded
        answers = self._surface.ask(numbers, level, _checked(seed, self.name), wanted)
        values = answers.values[0].tolist()
        names = self._columns if metrics is None else dict.fromkeys(metrics)
        answered = ((name, values[self._columns[name]]) for name in names if name in self._columns)
        return Evaluation(
            # NaN means not answered; it alone differs from itself, the fastest test for it
            metrics=MappingProxyType({name: value for name, value in answered if value == value}),
            cost_seconds=float(answers.seconds[0]),
            status=STATUSES[answers.status[0]],
            tokens=float(answers.tokens[0]),
            constraints=MappingProxyType(
                {
                    c.name: c.excess(float(self._measured(answers, c.name)[0]))
                    for c in self.constraints
                }
            ),
        )

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Predict many configurations at once. See `Benchmark.query_many`."""
        level = self.fidelity_levels(fidelity)
        check_many(configs)
        numbers = self._surface.encoder.numbers_of_many(configs)
        answers = self._surface.ask(numbers, level, _checked(seed, self.name))
        values = answers.values
        if list(self._columns) != list(self.metrics):  # some were never measured
            values = np.full((len(numbers), len(self.metrics)), np.nan)
            names = list(self.metrics)
            values[:, [names.index(name) for name in self._columns]] = answers.values
        block = np.column_stack((values, answers.seconds, answers.tokens))
        frame = pd.DataFrame(block, columns=self._answers, copy=False)
        frame.insert(len(self.metrics), "status", STATUS_NAMES.take(answers.status))
        for constraint in self.constraints:
            measured = self._measured(answers, constraint.name)
            frame[f"{CONSTRAINT}{constraint.name}"] = constraint.excesses(measured)
        return frame

    def measures(self) -> dict[str, str]:
        """Return the metrics and `cost_seconds`, with units."""
        answered = {name: self.metrics[name].unit for name in self._columns}
        return answered | {COST: "s"}

    def interval(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        coverage: float = 0.9,
    ) -> dict[str, tuple[float, float]]:
        """Return for each metric that is answered the ends between which one run lies.

        Args:
            config: one value for each dimension of the space.
            fidelity: a value for each fidelity axis; None means the run in full.
            coverage: the probability that the run lies inside, above 0 and at most 0.99;
                `surrogate.quality` has its share of held-out runs.
        """
        if not 0.0 < coverage <= 0.99:
            raise ConfigurationError(f"`coverage`: above 0 and at most 0.99, got {coverage!r}")
        level = self.fidelity_levels(fidelity)
        numbers = self._surface.encoder.numbers(config)
        low, high = self._surface.interval(numbers, level, coverage)
        return {
            name: (float(low[0, column]), float(high[0, column]))
            for name, column in self._columns.items()
            if np.isfinite(low[0, column])
        }

    def answered(self, fidelity: FidelityValues | None = None) -> list[str]:
        """Return the metrics that are answered at a fidelity."""
        answered = self._surface.answered(self.fidelity_levels(fidelity))
        return [name for name, column in self._columns.items() if answered[column]]

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the best configuration known, and its expected value: see `reference.py`.

        It is searched once. It keeps the benchmark's bounds and, as on a table, is expected to end
        `ok`.

        Raises:
            UnknownNameError: there is no such metric.
            NotMeasuredError: the metric was not measured in full, or no configuration is usable.
        """
        (selected,) = select(self.metrics, (metric,), self.name)
        level = self.fidelity_levels(None)
        (column,) = self._wanted((metric,), level)
        key = (metric, self.constraints)
        if key not in self._optima:

            def losses(configs: Sequence[Configuration]) -> NDArray[np.float64]:
                numbers = self._surface.encoder.numbers_of_many(configs)
                answers = self._surface.ask(numbers, level, None, [column, *self._bounded])
                values = selected.sign * answers.values[:, column]
                usable = (answers.status == _OK) & np.isfinite(values)
                for bound in self.constraints:
                    usable &= bound.excesses(self._measured(answers, bound.name)) <= 0
                return np.where(usable, values, np.inf)

            best = best_known(self.space, losses)
            if best is None:
                raise NotMeasuredError(
                    f"{self.name}: no configuration in full is expected to be ok, to have "
                    f"{metric} and to keep its bounds"
                )
            self._optima[key] = best
        config, loss = self._optima[key]
        return dict(config), selected.from_loss(loss)

    def identity(self, metrics: Sequence[str] = ()) -> dict[str, str]:
        """Return its table, and how well it fits it. See `Benchmark.identity`.

        Raises:
            IntegrityError: the surrogate's quality record is not complete.
        """
        surrogate = self.surrogate
        try:
            quality = in_words(surrogate.quality, surrogate.fidelities)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise IntegrityError(f"surrogate {self.name}: quality record: {error!r}") from None
        return {
            "kind": f"surrogate of {surrogate.table} {surrogate.table_version}",
            **quality,
            "sha256": self.sha256 or "",
            "sha256 of the table": surrogate.table_sha256,
            "sha256 of the quality": sha256_of_text(canonical_json(surrogate.quality)),
        }

    @property
    def _bounded(self) -> list[int]:
        """The columns of the metrics that have a bound."""
        return [self._columns[c.name] for c in self.constraints if c.name in self._columns]

    def _measured(self, answers: SurrogateAnswers, name: str) -> NDArray[np.float64]:
        return answers.seconds if name == COST else answers.values[:, self._columns[name]]

    def _wanted(self, metrics: Sequence[str], level: tuple[int | float, ...]) -> list[int]:
        """Return the columns of metrics that are answered at a fidelity."""
        select(self.metrics, metrics, self.name)
        answered = self._surface.answered(level)
        for name in metrics:
            column = self._columns.get(name)
            if column is None or not answered[column]:
                where = [] if column is None else self.surrogate.targets[column].measured_at
                axes = ", ".join(axis.name for axis in self.fidelities)
                raise NotMeasuredError(
                    f"{self.name}: {name} was not measured around {axes} = "
                    f"{', '.join(map(str, level))}, and a surrogate does not guess between its "
                    f"measurements that far apart; measured at {[list(at) for at in where]}"
                )
        return [self._columns[name] for name in metrics]


def _checked(seed: int | None, where: str) -> int | None:
    if seed is None or (isinstance(seed, int | np.integer) and not isinstance(seed, bool)):
        return None if seed is None else int(seed)
    raise ConfigurationError(f"{where}: `seed`: an integer or None, got {seed!r}")
