"""What optimizers that transfer are told of related tasks: other benchmarks' results in full."""

from collections.abc import Iterable, Sequence

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.metrics import Metric, select
from hpobench_llm.optimizers.base import Source
from hpobench_llm.space import Categorical, Configuration, Ordinal

DRAWS = 256  # of a source whose configurations cannot be listed


def sources_of(
    benchmark: Benchmark, related: Sequence[str | Benchmark], objectives: Sequence[Metric]
) -> tuple[Source, ...]:
    """Return the results of `related` benchmarks, in their order, for a benchmark to be optimized.

    A source has every configuration that was measured in full (of a space that cannot be listed,
    256 draws from the seed 0), with its mean over the benchmark's seeds. It has failed runs, but
    none that lacks an objective. Configurations outside the searched space are left out, and not
    moved into it: a loss would then stand where it was never measured.

    Raises:
        UnknownNameError: there is no such benchmark, or it has no such objective.
        ConfigurationError: a source is the benchmark itself or is listed twice, has other axes or
            another direction of an objective, or no configuration of the space.
    """
    if isinstance(related, str) or not isinstance(related, Iterable):
        raise ConfigurationError(f"`sources`: a list of benchmarks is expected, got {related!r}")
    sources: dict[str, Source] = {}
    for entry in related:
        source = load(entry) if isinstance(entry, str) else entry
        if source.name == benchmark.name:
            raise ConfigurationError(
                f"{benchmark.name} cannot be its own source: an optimizer would see what it "
                "searches"
            )
        if source.name in sources:
            raise ConfigurationError(f"{benchmark.name}: the source {source.name} is listed twice")
        sources[source.name] = _source(benchmark, source, objectives)
    return tuple(sources.values())


def _source(benchmark: Benchmark, source: Benchmark, objectives: Sequence[Metric]) -> Source:
    where = f"the source {source.name} of {benchmark.name}"
    for missing, owner in (
        (set(benchmark.space.names) - set(source.space.names), source.name),
        (set(source.space.names) - set(benchmark.space.names), benchmark.name),
    ):
        if missing:
            raise ConfigurationError(f"{where}: {owner} has no axis {', '.join(sorted(missing))}")
    names = tuple(metric.name for metric in objectives)
    for own, other in zip(objectives, select(source.metrics, names, where), strict=True):
        if own.direction != other.direction:
            raise ConfigurationError(
                f"{where}: {own.name} is to {other.direction} there, here to {own.direction}"
            )
    configs, evaluations = [], []
    for config in _measured(source):
        evaluation = source.query(config)
        if evaluation.status == "ok" and not evaluation.metrics.keys() >= set(names):
            continue
        try:
            configs.append(benchmark.space.canonical(config))
        except ConfigurationError:
            continue  # outside the space
        evaluations.append(evaluation)
    if not configs:
        raise ConfigurationError(
            f"{where}: none of its configurations lies in the space and has {', '.join(names)}"
        )
    return Source(source.name, tuple(configs), tuple(evaluations))


def _measured(source: Benchmark) -> list[Configuration]:
    """Return the configurations that can be queried in full."""
    finite = all(isinstance(d, Ordinal | Categorical) for d in source.space)
    if finite or isinstance(source, TabularBenchmark):
        configs = [
            source.space.canonical({str(k): v for k, v in row.items()})
            for row in source.configurations().drop(columns="config_id").to_dict("records")
        ]
        return [config for config in configs if source.snap(config) == config]
    rng = np.random.default_rng(0)
    return [source.snap(source.space.sample(rng)) for _ in range(DRAWS)]
