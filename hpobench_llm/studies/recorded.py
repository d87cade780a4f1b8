"""A study's record of its benchmarks: enough to read its results without opening them again."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.errors import NotMeasuredError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, FidelityRecord, Metric, MetricRecord
from hpobench_llm.space import AxisRecord, Configuration, Space


class RecordedBenchmark(Benchmark):
    """A benchmark as a study recorded it: its space and what it measures, but no answers.

    It stands for a live benchmark when results are read, which then trains nothing and runs no
    code of a campaign.
    """

    kind = "live"

    def __init__(
        self,
        name: str,
        space: Space,
        fidelities: tuple[Fidelity, ...],
        metrics: dict[str, Metric],
        measures: dict[str, str],
    ) -> None:
        self.name, self.space, self.fidelities = name, space, fidelities
        self.metrics, self._measures = metrics, measures

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Refuse: a study keeps only the trials.

        Raises:
            NotMeasuredError: always.
        """
        raise NotMeasuredError(f"{self.name}: a study keeps its trials alone, and no benchmark")

    def measures(self) -> dict[str, str]:
        """Return what could have a bound when the study was run, with units."""
        return dict(self._measures)

    def _candidates(self) -> list[Configuration]:
        raise NotMeasuredError(f"{self.name}: the best of a live benchmark is not known")


class BenchmarkRecord(TypedDict):
    """What a study keeps of a benchmark, as plain JSON."""

    name: str
    space: list[AxisRecord]
    fidelities: list[FidelityRecord]
    metrics: list[MetricRecord]
    measures: dict[str, str]


def record(benchmark: Benchmark) -> BenchmarkRecord:
    """Return a benchmark as plain JSON values, from which `recorded` makes it again."""
    return {
        "name": benchmark.name,
        "space": benchmark.space.to_json(),
        "fidelities": [axis.to_json() for axis in benchmark.fidelities],
        "metrics": [metric.to_json() for metric in benchmark.metrics.values()],
        "measures": benchmark.measures(),
    }


def recorded(raw: BenchmarkRecord) -> RecordedBenchmark:
    """Return the benchmark that `record` described.

    Raises:
        KeyError, TypeError, ValueError: the value is not what `record` writes.
    """
    metrics = [Metric.from_json(metric) for metric in raw["metrics"]]
    return RecordedBenchmark(
        name=str(raw["name"]),
        space=Space.from_json(raw["space"]),
        fidelities=tuple(Fidelity.from_json(axis) for axis in raw["fidelities"]),
        metrics={metric.name: metric for metric in metrics},
        measures={str(name): str(unit) for name, unit in raw["measures"].items()},
    )
