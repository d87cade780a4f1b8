"""How often a single run of each method contradicts all runs together.

The comparison that this suite grew out of made one run of each method on one task. Here a task is
drawn, and a seed of each of the two: their final answers are compared by the objective, and by
other metrics of the same configurations, such as the loss on the test rows.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.regret import FloatArray, Regrets
from hpobench_llm.comparison.result import SingleRuns

OBJECTIVE = "objective"


def single_runs(
    measured: Mapping[str, Regrets],
    benchmarks: Mapping[str, ComparedBenchmark],
    order: Sequence[int],
) -> tuple[SingleRuns, ...]:
    """Return the chances of every pair, the better-ranked first, by each metric.

    Args:
        measured: the regrets of the same optimizers on each benchmark.
        benchmarks: the benchmarks, by name.
        order: the optimizers' numbers, best first.
    """
    by_metric: dict[str, list[FloatArray]] = {}  # (n_optimizers, n_seeds) losses
    for name, regrets in measured.items():
        by_metric.setdefault(OBJECTIVE, []).append(regrets.curves[:, :, -1])
        for number, metric in enumerate(benchmarks[name].others):
            kind = "score" if metric.role == "score" else metric.name
            by_metric.setdefault(kind, []).append(regrets.others[:, :, number])
    names = next(iter(measured.values())).optimizers
    return tuple(
        SingleRuns(
            first=names[a],
            second=names[b],
            metric=metric,
            benchmarks=len(tasks),
            **chances([(losses[a], losses[b]) for losses in tasks]),
        )
        for metric, tasks in by_metric.items()
        for a, b in combinations(order, 2)
    )


def chances(samples: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, float]:
    """Return how likely a value of the first is lower, equal or higher than one of the second.

    Args:
        samples: for each benchmark, all of which weigh alike, values `(n,)` of both.
    """
    signs = [np.sign(np.subtract.outer(first, second)) for first, second in samples]
    shares = {"same": -1, "tie": 0, "opposite": 1}
    return {
        name: float(np.mean([np.mean(sign == side) for sign in signs]))
        for name, side in shares.items()
    }
