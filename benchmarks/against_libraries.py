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
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np
from scipy.stats import mannwhitneyu

from hpobench_llm.adapters import to_configspace
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.studies.replay import replay

METRIC = "val_loss"

# What a run returns: its best loss in full, its suggestions, and the CPU seconds that they took.
Run = tuple[float, int, float]
Library = Callable[[Benchmark, int, int], Run]


def ours(name: str, problem: Benchmark, trials: int, seed: int, *, partial: bool) -> Run:
    """Run our optimizer; a multi-fidelity method has the steps of `trials` runs in full."""
    axis = problem.fidelities[0]
    budget: Any = {axis.name: trials * axis.full} if partial else trials
    started = time.process_time()  # the replay itself is in it
    frame = replay(problem, name, budget=budget, seed=seed).to_frame()
    seconds = time.process_time() - started
    best = frame.loc[frame[axis.name] == axis.full, METRIC].min()
    return float(best), len(frame), seconds


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, from which Syne Tune draws, and put them back."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


def loss_of(problem: Benchmark, config: dict[str, Any], level: float | None = None) -> float:
    """Return the loss of a library's configuration."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in config.items()}
    snapped = problem.snap(problem.space.canonical(plain))
    fidelity = None if level is None else {problem.fidelities[0].name: level}
    evaluation = problem.query(snapped, fidelity=fidelity, metrics=[METRIC])
    return evaluation.loss(problem.metrics[METRIC])


def smac(problem: Benchmark, trials: int, seed: int) -> Run:
    """Run SMAC's `HyperparameterOptimizationFacade`."""
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    losses, seconds = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            to_configspace(problem.space, seed=seed),
            n_trials=trials,
            deterministic=True,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, logging_level=False, overwrite=True
        )
        for _ in range(trials):
            started = time.process_time()
            asked = facade.ask()
            seconds += time.process_time() - started
            losses.append(loss_of(problem, dict(asked.config)))
            started = time.process_time()
            facade.tell(asked, TrialValue(cost=losses[-1]), save=False)
            seconds += time.process_time() - started
    return min(losses), trials, seconds


def syne_tune(method: str) -> Library:
    """Return a run of one of Syne Tune's baselines in full."""

    def run(problem: Benchmark, trials: int, seed: int) -> Run:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

        losses, seconds = [], 0.0
        with seeded(seed):
            domains = SyneTuneBlackbox(problem).configuration_space
            scheduler = getattr(baselines, method)(domains, METRIC, random_seed=seed)
            for number in range(trials):
                started = time.process_time()
                config = scheduler.suggest().config
                seconds += time.process_time() - started
                trial = Trial(number, config, datetime.now())
                losses.append(loss_of(problem, config))
                started = time.process_time()
                scheduler.on_trial_add(trial)
                scheduler.on_trial_complete(trial, {METRIC: losses[-1]})
                seconds += time.process_time() - started
        return min(losses), trials, seconds

    return run


def syne_tune_in_part(method: str) -> Library:
    """Return a run of one of Syne Tune's multi-fidelity baselines, one worker, by stopping."""

    def run(problem: Benchmark, trials: int, seed: int) -> Run:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

        axis = problem.fidelities[0]
        levels = [value for value in axis.values if value > 0]
        best, number, seconds, left = np.inf, 0, 0.0, float(trials * axis.full)
        with seeded(seed):
            domains = SyneTuneBlackbox(problem).configuration_space
            scheduler = getattr(baselines, method)(
                domains,
                METRIC,
                time_attr=axis.name,
                max_t=int(axis.full),
                grace_period=int(levels[0]),
                random_seed=seed,
            )
            while left > 0:
                started = time.process_time()
                config = scheduler.suggest().config
                trial = Trial(number, config, datetime.now())
                scheduler.on_trial_add(trial)
                seconds += time.process_time() - started
                number += 1
                for before, level in zip([0, *levels], levels, strict=False):
                    left -= level - before
                    if left < 0:
                        break
                    loss = loss_of(problem, config, level)
                    best = min(best, loss) if level == axis.full else best
                    result = {METRIC: loss, axis.name: level}
                    started = time.process_time()
                    go_on = scheduler.on_trial_result(trial, result) == "CONTINUE"
                    seconds += time.process_time() - started
                    if not go_on:
                        break
        return float(best), number, seconds

    return run


# Ours, whether it is multi-fidelity, the distribution, its method, and how it runs.
METHODS: dict[str, tuple[bool, str, str, Library]] = {
    "smac-rf": (False, "smac", "HyperparameterOptimizationFacade", smac),
    "bore": (False, "syne_tune", "BORE", syne_tune("BORE")),
    "cqr": (False, "syne_tune", "CQR", syne_tune("CQR")),
    "asha-bore": (True, "syne_tune", "ASHABORE", syne_tune_in_part("ASHABORE")),
    "asha-cqr": (True, "syne_tune", "ASHACQR", syne_tune_in_part("ASHACQR")),
    "bohb": (True, "syne_tune", "BOHB", syne_tune_in_part("BOHB")),
}


def compare(name: str, problem: Benchmark, trials: int, seeds: int) -> dict[str, Any]:
    """Return the medians of both and how likely such a difference is between equals."""
    partial, _, method, library = METHODS[name]
    _, optimum = problem.optimum(METRIC)
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
    row["p"] = float(mannwhitneyu(regrets[name], regrets[method]).pvalue)
    return row


def main() -> None:
    """Print a line for each method and benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("methods", nargs="*", default=[*METHODS], metavar="METHOD")
    parser.add_argument("--benchmarks", nargs="+", default=["lora-nano", "toy-sphere"])
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
            row = compare(name, load(benchmark), chosen.trials, chosen.seeds)
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
    return " ".join([*parts, f"p = {row['p']:.2g}"])


if __name__ == "__main__":
    main()
