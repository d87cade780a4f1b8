"""A benchmark as HPOBench has it (Eggensperger et al., NeurIPS data sets and benchmarks, 2021).

bench = HPOBenchDictionary(load("lora-nano"))
bench.objective_function(config, fidelity={"step": 64}, rng=0)["function_value"]
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.metrics import objective_of, select
from hpobench_llm.space import Ordinal

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from hpobench_llm.dimensions import Dimension

_SEEDS = 2**31  # a benchmark without a list of seeds takes any below

Randomness = int | np.random.RandomState | np.random.Generator | None


class HPOBenchDictionary:
    """Answers HPOBench's calls from a benchmark.

    `function_value` is a metric with lower as better, in which a run that failed counts as the
    worst; `cost` is in seconds, and `info` holds all else. Where HPOBench draws a seed when none
    is given, `rng=None` here is the mean over the benchmark's seeds, and an integer is that seed;
    a generator draws one of them, which `info["seed"]` names.

    Example:
        >>> from hpobench_llm import load
        >>> old = HPOBenchDictionary(load("lora-nano"))
        >>> config, loss = load("lora-nano").optimum("val_loss")
        >>> old.objective_function(config)["function_value"] == loss
        True
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark

    def objective_function(
        self,
        configuration: Mapping[str, object],
        fidelity: FidelityValues | None = None,
        rng: Randomness = None,
        *,
        metric: str = "",
    ) -> dict[str, Any]:
        """Evaluate one configuration by the benchmark's objective, or by another `metric`.

        Raises:
            UnknownNameError: there is no such metric.
        """
        bench = self.benchmark
        (selected,) = select(bench.metrics, metric or objective_of(bench.metrics).name, bench.name)
        seed = self._seed(rng)
        answer = bench.query(configuration, fidelity=fidelity, seed=seed)
        axes = [axis.name for axis in bench.fidelities]
        return {
            "function_value": answer.loss(selected),
            "cost": answer.cost_seconds,
            "info": {
                "metric": selected.name,
                "metrics": dict(answer.metrics),
                "status": answer.status,
                "tokens": answer.tokens,
                "constraints": dict(answer.constraints),
                "fidelity": dict(zip(axes, bench.fidelity_levels(fidelity), strict=True)),
                "seed": seed,
            },
        }

    def objective_function_test(
        self,
        configuration: Mapping[str, object],
        fidelity: FidelityValues | None = None,
        rng: Randomness = None,
    ) -> dict[str, Any]:
        """Evaluate one configuration by its `test_loss`. See `objective_function`."""
        return self.objective_function(configuration, fidelity, rng, metric="test_loss")

    def get_configuration_space(self, seed: int | None = None) -> "ConfigurationSpace":
        """Return the space as ConfigSpace has it. See `to_configspace`."""
        return _configspace(self.benchmark.space, seed)

    def get_fidelity_space(self, seed: int | None = None) -> "ConfigurationSpace":
        """Return the fidelity axes as ConfigSpace has them: ordinal, of the measured values."""
        axes = self.benchmark.fidelities
        return _configspace(
            [Ordinal(axis.name, axis.values, unit=axis.unit) for axis in axes], seed
        )

    def _seed(self, rng: Randomness) -> int | None:
        if not isinstance(rng, np.random.RandomState | np.random.Generator):
            return rng
        return int(rng.choice(getattr(self.benchmark, "seeds", _SEEDS)))


def _configspace(dimensions: "Iterable[Dimension]", seed: int | None) -> "ConfigurationSpace":
    from hpobench_llm.adapters.configspace import to_configspace

    return to_configspace(dimensions, seed=seed)
