"""The initial design: configurations that every optimizer of a study begins with."""

import zlib

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.space import Configuration

DRAWS_IN_VAIN = 1000


def initial_design(
    benchmark: Benchmark, count: int, seed: int, table_seed: int | None = None
) -> list[Configuration]:
    """Return `count` distinct configurations, drawn uniformly; benchmark and seed decide which.

    A draw is snapped to what the benchmark can evaluate for `table_seed`, and left out if it came
    before.

    Raises:
        ConfigurationError: the benchmark does not seem to have so many.
    """
    # A checksum of the name, since Python's own hash differs from process to process.
    rng = np.random.default_rng((seed, zlib.crc32(benchmark.name.encode())))
    design: dict[str, Configuration] = {}
    in_vain = 0
    while len(design) < count:
        config = benchmark.snap(benchmark.space.sample(rng), seed=table_seed)
        config_id = benchmark.space.config_id(config)
        in_vain = in_vain + 1 if config_id in design else 0
        design[config_id] = config
        if in_vain == DRAWS_IN_VAIN:
            raise ConfigurationError(
                f"`initial`: {count} different configurations are wanted, and {DRAWS_IN_VAIN} "
                f"draws in a row found none of {benchmark.name} beside the first {len(design)}"
            )
    return list(design.values())
