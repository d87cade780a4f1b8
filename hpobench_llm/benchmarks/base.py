"""The contract of every benchmark: pure queries, known metrics, fidelities and optimum."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pandas as pd

from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Configuration, Space

FidelityValues = Mapping[str, int | float]


def as_rows(
    configs: Sequence[Mapping[str, object]] | pd.DataFrame,
) -> Sequence[Mapping[str, object]]:
    """Return configurations as mappings, whether they come as a frame or as a sequence."""
    if not isinstance(configs, pd.DataFrame):
        return configs
    names = [str(name) for name in configs.columns]
    return [
        dict(zip(names, row, strict=True)) for row in configs.itertuples(index=False, name=None)
    ]


class Benchmark(ABC):
    """A named function from configurations to evaluations.

    Equal arguments give equal answers in any process: no hidden randomness, no sleeping.
    """

    name: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]

    @abstractmethod
    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate one configuration.

        Args:
            config: one value for each dimension of `space`.
            fidelity: a value for each fidelity axis; None means the run in full.
            seed: None for the mean over the benchmark's seeds, an integer for one of them.
            metrics: which metrics to answer; None for all that were measured there.

        Raises:
            ConfigurationError: the configuration does not lie in the space.
            NotInTableError: a table does not hold this configuration, fidelity or seed.
            UnknownNameError: there is no such metric or fidelity.
        """

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Evaluate many configurations at one fidelity.

        Returns a frame with one row per configuration, in order: the metrics, `status`,
        `cost_seconds` and `tokens`; a metric that was not measured is NaN.
        """
        answers = [self.query(row, fidelity=fidelity, seed=seed) for row in as_rows(configs)]
        columns: dict[str, list[object]] = {
            name: [answer.metrics.get(name, float("nan")) for answer in answers]
            for name in self.metrics
        }
        columns["status"] = [answer.status for answer in answers]
        columns["cost_seconds"] = [answer.cost_seconds for answer in answers]
        columns["tokens"] = [answer.tokens for answer in answers]
        return pd.DataFrame(columns)

    @abstractmethod
    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the best configuration of a metric in full, and its value in its own units."""

    def snap(self, config: Configuration) -> Configuration:
        """Return the nearest configuration that can be evaluated; the same one where all can."""
        return config

    def fidelity_levels(self, fidelity: FidelityValues | None) -> tuple[int | float, ...]:
        """Return one checked value for each fidelity axis, the full one where none is given."""
        given = dict(fidelity or {})
        names = [axis.name for axis in self.fidelities]
        for name, value in given.items():
            if name not in names:
                raise UnknownNameError("fidelity", name, names, self.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigurationError(f"fidelity `{name}`: a number is expected, got {value!r}")
        return tuple(given.get(axis.name, axis.full) for axis in self.fidelities)
