"""The incumbent of an optimizer after as much work as a number of runs in full."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.regret import TOLERANCE, incumbents
from hpobench_llm.comparison.spending import IN_FULL, Spending
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.registry import list_optimizers
from hpobench_llm.replaying.replay import replay

FloatArray = NDArray[np.float64]


def incumbent_losses(
    benchmark: Benchmark,
    optimizer: str,
    *,
    seed: int,
    metric: Metric,
    budgets: Sequence[int],
    in_full: Mapping[str, float],
) -> FloatArray:
    """Return `(budgets,)` losses in full of the incumbent; the worst if there is none.

    Args:
        benchmark: with one fidelity axis if the optimizer trains in part: its trials then count
            by their share of a whole run.
        optimizer: a name in the registry.
        seed: of the optimizer.
        metric: what is optimized.
        budgets: in runs in full, increasing; each is the beginning of one and the same replay.
        in_full: the loss in full of each configuration that ends ok, by `config_id`.
    """
    budget: int | dict[str, float] = budgets[-1]
    if list_optimizers()[optimizer].fidelity:
        (axis,) = benchmark.fidelities
        budget = {axis.name: float(budgets[-1] * axis.full)}
    frame = replay(benchmark, optimizer, budget=budget, seed=seed, objectives=(metric.name,)).frame
    compared = ComparedBenchmark(
        objectives=(metric,), optimum=float("nan"), fidelities=benchmark.fidelities
    )
    answers = incumbents(compared.losses(frame), compared.shares(frame), compared.usable(frame))
    spent = Spending(IN_FULL).after(frame, compared)
    ids = frame["config_id"].to_numpy()
    worst = metric.to_loss(metric.worst)
    losses = np.full(len(budgets), worst)
    for number, amount in enumerate(budgets):
        done = int(np.searchsorted(spent, amount * (1 + TOLERANCE), side="right"))
        if done and answers[done - 1]:
            losses[number] = in_full.get(ids[answers[done - 1][0]], worst)
    return losses
