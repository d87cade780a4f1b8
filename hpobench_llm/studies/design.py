"""The initial design: configurations that every optimizer of a study begins with."""

import zlib

import numpy as np

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.space import Configuration

DRAWS_EACH = 100


def initial_design(problem: Benchmark, count: int, seed: int) -> list[Configuration]:
    """Return `count` distinct configurations, drawn uniformly; name and seed decide which.

    A draw is snapped to what the benchmark can evaluate, and left out if it was drawn before.

    Raises:
        ConfigurationError: the benchmark does not have so many.
    """
    rng = np.random.default_rng((seed, zlib.crc32(problem.name.encode())))
    found: dict[str, Configuration] = {}
    for _ in range(DRAWS_EACH * count):
        if len(found) == count:
            break
        config = problem.snap(problem.space.sample(rng))
        found.setdefault(problem.space.config_id(config), config)
    if len(found) < count:
        raise ConfigurationError(
            f"`initial`: {count} different configurations are wanted, {problem.name} has "
            f"{len(found)} that {DRAWS_EACH * count} draws found"
        )
    return list(found.values())
