"""A published emulator as a benchmark: the answers of its authors' network, and their noise."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from hpobench_llm.benchmarks.base import CONSTRAINT, Benchmark, FidelityValues, as_rows
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import select
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Configuration, check_seed, config_id
from hpobench_llm.surrogates.emulators.artefact import Emulator
from hpobench_llm.surrogates.models.base import FloatArray

_UNMEASURED = float("nan")
_DRAWS = 200  # configurations over which noise is averaged


class EmulatorBenchmark(Benchmark):
    """Answers from an imported emulator: all runs end ok, and what they cost is not known.

    `seed=None` is the network's answer; an integer adds a draw of the authors' noise, the same in
    any process and at all fidelities. `noise` is theirs, without the part that seeds share; where
    they give a regression of it, draws follow the regression, and `noise` is its mean. There are
    no measured rows here to check it by.
    """

    kind = "surrogate"

    def __init__(self, emulator: Emulator) -> None:
        published = emulator.problem
        self.emulator = emulator
        self.name, self.space, self.fidelities = (
            published.name,
            published.space,
            published.fidelities,
        )
        self.metrics = {metric.name: metric for metric in published.metrics}
        self.sha256 = emulator.sha256
        self._names = list(self.metrics)

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Answer one configuration. See `Benchmark.query`."""
        wanted = select(self.metrics, metrics or self.metrics, self.name)
        level = self._level(fidelity)
        (row,) = self._values([self.space.canonical(config)], level, seed).tolist()
        values = dict(zip(self._names, row, strict=True))
        return Evaluation(
            metrics=MappingProxyType({m.name: values[m.name] for m in wanted}),
            cost_seconds=_UNMEASURED,
            tokens=self._tokens(level),
            constraints=self._excesses(values),
        )

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Answer many configurations. See `Benchmark.query_many`."""
        level = self._level(fidelity)
        canonical = [self.space.canonical(row) for row in as_rows(configs)]
        values = self._values(canonical, level, seed)
        frame = pd.DataFrame(values, columns=self._names)
        frame["status"] = "ok"
        frame["cost_seconds"] = _UNMEASURED
        frame["tokens"] = self._tokens(level)
        for constraint in self.constraints:
            column = values[:, self._names.index(constraint.name)]
            frame[f"{CONSTRAINT}{constraint.name}"] = constraint.excesses(column)
        return frame

    def measures(self) -> dict[str, str]:
        """Return the metrics, with units."""
        return {metric.name: metric.unit for metric in self.metrics.values()}

    def noise(self, metric: str) -> Noise:
        """Return the authors' noise; the part that seeds share is not known."""
        select(self.metrics, (metric,), self.name)
        rng = np.random.default_rng(0)
        draws = [self.space.sample(rng) for _ in range(_DRAWS)]
        mean = self.emulator.deviations(draws).mean(axis=0)
        return Noise(_UNMEASURED, float(mean[self._names.index(metric)]))

    def identity(self, metrics: Sequence[str] = ()) -> dict[str, str]:
        """Return kind and sums, and that it has passed no check of ours."""
        return {
            "kind": "emulator of BoLT (arXiv 2605.17000)",
            "quality": "as its authors state it; no measured rows to check it by",
            "sha256": self.sha256 or "",
        }

    def _level(self, fidelity: FidelityValues | None) -> tuple[int | float, ...]:
        """Return one value for each axis: any number of tokens in range, else a listed value."""
        level = self.fidelity_levels(fidelity)
        for axis, value in zip(self.fidelities, level, strict=True):
            inside = axis.values[0] <= value <= axis.full
            if not inside or (axis.name != "tokens" and value not in axis.values):
                raise ConfigurationError(
                    f"{self.name}: fidelity `{axis.name}`: {value!r} is not among "
                    f"{list(axis.values)}"
                )
        return level

    def _tokens(self, level: tuple[int | float, ...]) -> float:
        """Return the tokens that a run was trained on; of a mixture both halves are 10 million."""
        names = [axis.name for axis in self.fidelities]
        if "tokens" in names:
            return float(level[names.index("tokens")])
        return 1e7 if self.space.simplexes else 9.1e6

    def _values(
        self,
        canonical: Sequence[Configuration],
        level: tuple[int | float, ...],
        seed: int | None,
    ) -> FloatArray:
        if not canonical:
            return np.empty((0, len(self._names)))
        values = self.emulator.answers(canonical, level)
        if seed is None:
            return values
        # A stream for each configuration, so that a batch changes no answer.
        draws = [
            np.random.default_rng([check_seed(seed), int(config_id(c), 16)]).normal(
                size=len(self._names)
            )
            for c in canonical
        ]
        noisy: FloatArray = values + self.emulator.deviations(canonical) * np.array(draws)
        return self.emulator.problem.consistent(noisy)
