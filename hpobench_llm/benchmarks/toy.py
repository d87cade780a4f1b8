"""Closed-form benchmarks with a known optimum, to test optimizers, clock and statistics.

`toy-bowl` looks like a small LoRA table (rank, learning rate, dropout as ordinal axes) and
`toy-sphere` is continuous. Neither says anything about language models.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric, select
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Configuration, Float, Ordinal, Space

_CENTRE = 0.3  # not the middle, where some optimizers start


class ToyBenchmark(Benchmark):
    """`loss = sum((u - 0.3)^2) + 1 / step`, `u` the unit encoding; `score_toy = -loss`."""

    kind = "toy"
    fidelities = (Fidelity(name="step", unit="steps", values=(1, 2, 4, 8)),)

    def __init__(self, name: str, space: Space) -> None:
        self.name = name
        self.space = space
        worst = 1.0 + (1.0 - _CENTRE) ** 2 * len(space)
        self.metrics = {
            "val_loss": Metric(
                name="val_loss", unit="1", direction="minimize", worst=worst, low=0.0
            ),
            "score_toy": Metric(
                name="score_toy",
                unit="1",
                direction="maximize",
                worst=-worst,
                high=0.0,
                role="score",
            ),
        }

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate the closed form; the seed changes nothing, one step costs one second."""
        canonical = self.space.canonical(config)
        (step,) = self.fidelity_levels(fidelity)
        lowest, full = self.fidelities[0].values[0], self.fidelities[0].full
        if not lowest <= step <= full:
            raise ConfigurationError(
                f"{self.name}: fidelity `step` = {step!r} is outside its range [{lowest}, {full}]"
            )
        loss = float(((self.space.to_unit([canonical]) - _CENTRE) ** 2).sum()) + 1.0 / step
        values = {"val_loss": loss, "score_toy": -loss}
        wanted = select(self.metrics, metrics or self.metrics, self.name)
        return Evaluation(
            metrics={metric.name: values[metric.name] for metric in wanted},
            cost_seconds=float(step),
            tokens=float(step),
            constraints=self._excesses(values | {"cost_seconds": float(step)}),
        )

    def measures(self) -> dict[str, str]:
        """Return the metrics and the cost, with units."""
        return {m.name: m.unit for m in self.metrics.values()} | {"cost_seconds": "s"}

    def noise(self, metric: str) -> Noise:
        """Return 0: a seed changes nothing."""
        select(self.metrics, (metric,), self.name)
        return Noise(0.0, 0.0)

    @property
    def optimum_known(self) -> bool:
        """Whether the optimum is that of the closed form or of a space that can be listed."""
        return not self.constraints or super().optimum_known

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Return the configuration nearest the optimum of every axis; see `Benchmark.optimum`."""
        if self.constraints:
            return super().optimum(metric)
        select(self.metrics, (metric,), self.name)
        best = self.space.from_unit(np.full((1, len(self.space)), _CENTRE))[0]
        return best, self.query(best).metrics[metric]


def toy_bowl() -> ToyBenchmark:
    """Return the ordinal toy: 5 x 7 x 3 configurations."""
    return ToyBenchmark(
        "toy-bowl",
        Space(
            (
                Ordinal("rank", (1, 2, 4, 8, 16), log=True),
                Ordinal("lr", (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), log=True),
                Ordinal("dropout", (0.0, 0.1, 0.2)),
            )
        ),
    )


def toy_sphere() -> ToyBenchmark:
    """Return the continuous toy: three real axes."""
    axes = tuple(Float(name, -1.0, 1.0) for name in ("x", "y", "z"))
    return ToyBenchmark("toy-sphere", Space(axes))
