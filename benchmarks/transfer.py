"""Transfer methods on related tables: each task in turn is searched, all others are its sources.

    hpobench-llm import tinker-sft
    python benchmarks/transfer.py --family tinker-sft

The sources come in the order of the tables' names. The regret after a number of trials is that of
the best so far, in the objective's own unit; as long as all have failed, that of the worst value.
"""

import argparse
from collections.abc import Sequence

import numpy as np

import hpobench_llm
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.optimizers.registry import entry

METHODS = (
    "random",
    "gp",
    "gp+warm-start",
    "simple-ordered",
    "simple-ordered-shuffled",
    "simple-previous",
    "zero-shot",
    "zero-shot-scaled",
    "quantile-transfer",
    "bounding-box",
    "abrac",
)


def regrets(
    target: Benchmark,
    sources: Sequence[Benchmark],
    method: str,
    *,
    objective: str,
    trials: int,
    seed: int,
) -> np.ndarray:
    """Return the regret `(trials,)` of the best configuration after each trial."""
    metric = target.metrics[objective]
    trajectory = hpobench_llm.replay(
        target,
        method,
        budget=trials,
        seed=seed,
        objectives=(objective,),
        sources=sources if entry(method).transfer else (),
    )
    frame = trajectory.to_frame()
    ok = frame["status"] == "ok"
    losses = [metric.to_loss(v) for v in frame[objective].where(ok)]
    best = np.minimum.accumulate(losses)
    best = np.append(best, [best[-1]] * (trials - len(best)))
    return best - metric.to_loss(target.optimum(objective)[1])


def main() -> None:
    """Print a line for each method as soon as it has run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--family", default="tinker-sft", help="what the tables' names begin with")
    parser.add_argument("--every", type=int, default=7, help="search every n-th task")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--objective", default="test_loss")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    options = parser.parse_args()

    names = [n for n in hpobench_llm.list_benchmarks() if n.startswith(options.family)]
    tables = [hpobench_llm.load(name) for name in names]
    tables = [table for table in tables if isinstance(table, TabularBenchmark)]
    targets = tables[:: options.every]
    print(f"{len(targets)} of {len(tables)} tasks, {options.seeds} seeds, {options.objective}:")
    for target in targets:
        print(f"  {target.name}, {len(target.configurations())} configurations")
    shown = [n for n in (1, 2, 3, 5, 10, 20, 50) if n <= options.trials]
    print("mean regret (standard error over the tasks' means) after a number of trials")
    print("".join([f"{'':<26}", *(f"{n:>18}" for n in shown)]))
    for method in options.methods:
        found = np.array(
            [
                [
                    regrets(
                        target,
                        [table for table in tables if table is not target],
                        method,
                        objective=options.objective,
                        trials=options.trials,
                        seed=seed,
                    )
                    for seed in range(options.seeds)
                ]
                for target in targets
            ]
        )
        means = found.mean(axis=1)  # (tasks, trials)
        errors = means.std(axis=0, ddof=1) / np.sqrt(len(targets))
        cells = [f"{means[:, n - 1].mean():>10.4f} ±{errors[n - 1]:.4f}" for n in shown]
        print("".join([f"{method:<26}", *(f"{cell:>18}" for cell in cells)]), flush=True)


if __name__ == "__main__":
    main()
