"""A fitted surrogate as a benchmark: any configuration and fidelity between the measured ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues, as_rows
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import select
from hpobench_llm.space import Configuration
from hpobench_llm.surrogates.artefact import COST, Surrogate
from hpobench_llm.surrogates.encoding import encode_fidelities

_SEARCH_POINTS = 20_000


class SurrogateBenchmark(Benchmark):
    """Answers with the mean prediction. It has no seeds: `seed` must be None."""

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = surrogate
        self.name = surrogate.name
        self.space = surrogate.space
        self.fidelities = surrogate.fidelities
        self.metrics = surrogate.metrics

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Predict one configuration. See `Benchmark.query`."""
        wanted = select(self.metrics, tuple(metrics or self.metrics), self.name)
        features = self._features([self.space.canonical(config)], fidelity, seed)
        return Evaluation(
            metrics={m.name: float(self._predict(m.name, features)[0]) for m in wanted},
            cost_seconds=float(self._predict(COST, features)[0]),
        )

    def query_many(
        self,
        configs: Sequence[Mapping[str, object]] | pd.DataFrame,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Predict many configurations at once. See `Benchmark.query_many`."""
        canonical = [self.space.canonical(row) for row in as_rows(configs)]
        features = self._features(canonical, fidelity, seed)
        columns: dict[str, object] = {name: self._predict(name, features) for name in self.metrics}
        columns["status"] = np.full(len(features), "ok", dtype=object)
        columns["cost_seconds"] = self._predict(COST, features)
        columns["tokens"] = np.zeros(len(features))
        return pd.DataFrame(columns)

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the best of 20,000 uniform draws: an upper bound on the true optimum."""
        (chosen,) = select(self.metrics, (metric,), self.name)
        rng = np.random.default_rng(0)
        configs = self.space.from_unit(rng.random((_SEARCH_POINTS, len(self.space))))
        losses = self._predict(metric, self._features(configs, None, None)) * chosen.to_loss(1.0)
        best = int(np.argmin(losses))
        return configs[best], chosen.from_loss(float(losses[best]))

    def _features(
        self, configs: list[Configuration], fidelity: FidelityValues | None, seed: int | None
    ) -> NDArray[np.float64]:
        if seed is not None:
            raise ConfigurationError(
                f"{self.name}: this surrogate predicts means over seeds; seed must be None, "
                f"got {seed!r}"
            )
        levels = self.fidelity_levels(fidelity)
        for axis, value in zip(self.fidelities, levels, strict=True):
            if not axis.values[0] <= value <= axis.full:
                raise ConfigurationError(
                    f"{self.name}: fidelity `{axis.name}` = {value!r} is outside the measured "
                    f"range [{axis.values[0]}, {axis.full}]"
                )
        encoded = encode_fidelities(self.fidelities, np.array([levels], dtype=np.float64))
        units = self.space.to_unit(configs)
        return np.hstack([units, np.broadcast_to(encoded, (len(units), encoded.shape[1]))])

    def _predict(self, target: str, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.surrogate.regressors[target].predict(features)
