"""Compare optimizers that are our own code with the libraries that have the same method.

    OMP_NUM_THREADS=1 python benchmarks/against_libraries.py smac-rf bore --seeds 10 --trials 50

Each method runs with the same seeds and budget on the same benchmarks: final regrets, whether they
differ, and seconds a suggestion. A library that is not installed is said to be missing. What is
compared, and how to read it: benchmarks/README.md.
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np
from functions import FUNCTIONS, FunctionBenchmark
from runs import (
    REFERENCE,
    Library,
    botorch_gp,
    objectives_of,
    optuna_gp,
    ours,
    smac,
    syne_tune,
    syne_tune_in_part,
)
from scipy.stats import mannwhitneyu

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.provenance import git_revision, processor, versions

# Ours, whether it is multi-fidelity, the distribution, its method, and how it runs.
METHODS: dict[str, tuple[bool, str, str, Library]] = {
    "gp": (False, "botorch", "SingleTaskGP", botorch_gp),
    "ehvi": (False, "optuna", "GPSampler", optuna_gp),
    "smac-rf": (False, "smac", "HyperparameterOptimizationFacade", smac),
    "bore": (False, "syne_tune", "BORE", syne_tune("BORE")),
    "cqr": (False, "syne_tune", "CQR", syne_tune("CQR")),
    "asha-bore": (True, "syne_tune", "ASHABORE", syne_tune_in_part("ASHABORE")),
    "asha-cqr": (True, "syne_tune", "ASHACQR", syne_tune_in_part("ASHACQR")),
    "bohb": (True, "syne_tune", "BOHB", syne_tune_in_part("BOHB")),
}


def best_possible(problem: Benchmark) -> float:
    """Return the lowest that `reached` can be."""
    names = objectives_of(problem)
    if len(names) > 1:  # of ZDT2's front, f2 = 1 - f1^2
        return -(REFERENCE**2 - 2.0 / 3.0)
    return float(problem.metrics[names[0]].to_loss(problem.optimum(names[0])[1]))


def compare(name: str, problem: Benchmark, trials: int, seeds: int) -> dict[str, Any]:
    """Return the medians of both and how likely such a difference is between equals."""
    partial, _, method, library = METHODS[name]
    optimum = best_possible(problem)
    sides = {
        name: [ours(name, problem, trials, seed, partial=partial) for seed in range(seeds)],
        method: [library(problem, trials, seed) for seed in range(seeds)],
    }
    regrets = {side: [best - optimum for best, _, _ in runs] for side, runs in sides.items()}
    row: dict[str, Any] = {"benchmark": problem.name, "trials": trials, "seeds": seeds}
    for label, side in (("ours", name), ("theirs", method)):
        quartiles = np.percentile(regrets[side], [25, 50, 75])
        suggested = sum(count for _, count, _ in sides[side])
        seconds = sum(spent for _, _, spent in sides[side])
        row[label] = {
            "name": side,
            "median": float(quartiles[1]),
            "quartiles": [float(quartiles[0]), float(quartiles[2])],
            "seconds_a_suggestion": seconds / suggested,
        }
    row["at optimum"] = {side: sum(r < 1e-9 for r in those) for side, those in regrets.items()}
    row["p"] = float(mannwhitneyu(regrets[name], regrets[method]).pvalue)
    return row


def main() -> None:
    """Print a line for each method and benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("methods", nargs="*", default=[*METHODS], metavar="METHOD")
    parser.add_argument(
        "--benchmarks",
        nargs="+",
        default=["lora-nano", "toy-sphere"],
        help=f"tables, toys, or {', '.join(FUNCTIONS)}",
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=50, help="or as many runs' steps")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    unknown = set(chosen.methods) - set(METHODS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(METHODS)}")
    rows = []
    for name in chosen.methods:
        if importlib.util.find_spec(METHODS[name][1]) is None:
            print(f"{name}: {METHODS[name][1]} is not installed", file=sys.stderr)
            continue
        for benchmark in chosen.benchmarks:
            own = benchmark in FUNCTIONS
            problem = FunctionBenchmark(benchmark) if own else load(benchmark)
            row = compare(name, problem, chosen.trials, chosen.seeds)
            rows.append(row)
            print(line(row), flush=True)
    if chosen.json:
        facts = {"processor": processor(), "versions": versions(), "commit": git_revision()}
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")


def line(row: dict[str, Any]) -> str:
    """Return one comparison as a line of text."""
    parts = [f"{row['benchmark']}, {row['seeds']} seeds x {row['trials']}:"]
    for label in ("ours", "theirs"):
        side = row[label]
        low, high = side["quartiles"]
        parts.append(
            f"{side['name']} {side['median']:.3g} [{low:.3g}, {high:.3g}], "
            f"{1e3 * side['seconds_a_suggestion']:.2g} ms;"
        )
    hits = ", ".join(f"{count} by {side}" for side, count in row["at optimum"].items())
    return " ".join([*parts, f"at the optimum {hits}; p = {row['p']:.2g}"])


if __name__ == "__main__":
    main()
