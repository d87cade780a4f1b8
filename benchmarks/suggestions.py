"""Time the optimizers' own seconds a suggestion, in runs of 100 trials on lora-nano.

    OMP_NUM_THREADS=1 python benchmarks/suggestions.py --only nomad asha

Without `--only` it measures what the file does not hold yet, or holds for another library version
or number of seeds; each result is written at once, so that a second start continues. How to read
it: benchmarks/README.md.
"""

import argparse
import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

# Before numpy is imported, and for processes of their own.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from hpobench_llm.artefacts import write_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.metrics import select
from hpobench_llm.optimizers.base import Source
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.measured import FILE
from hpobench_llm.optimizers.registry import build
from hpobench_llm.provenance import processor, versions
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.clock import Clock, Rules

TRIALS = 100
TABLE = "lora-nano"
OBJECTIVES = ("val_loss", "leaked_val_loss")  # the first alone where a method takes one
SOURCES = (32, 64)  # related tasks: the same table after so many of its 128 steps
KNOWN = 100  # configurations of each source


def sources(benchmark: Benchmark) -> tuple[Source, ...]:
    """Return related tasks: every n-th configuration of the table, trained for less."""
    every = list(benchmark.space.configurations())
    configs = tuple(every[:: len(every) // KNOWN][:KNOWN])
    return tuple(
        Source(
            f"{benchmark.name}, {steps} steps",
            configs,
            tuple(benchmark.query(config, fidelity={"step": steps}) for config in configs),
        )
        for steps in SOURCES
    )


def seconds(name: str, benchmark: Benchmark, related: tuple[Source, ...], seed: int) -> float:
    """Return the mean seconds that an optimizer takes for a trial, of one run."""
    count = len(OBJECTIVES) if ENTRIES[name].objectives == "several" else 1
    objectives = select(benchmark.metrics, OBJECTIVES[:count], benchmark.name)
    solver = build(
        name,
        space=benchmark.space,
        objectives=objectives,
        fidelities=benchmark.fidelities,
        budget=TRIALS,
        seed=seed,
        sources=related if ENTRIES[name].transfer else (),
    )
    budget = Budget.of(TRIALS, benchmark.fidelities)
    with closing(solver):
        runs = Clock(benchmark, solver, objectives, budget, Rules()).run()
    return sum(run.optimizer_seconds for run in runs) / len(runs)


def measure(name: str, benchmark: Benchmark, seeds: int) -> dict[str, Any]:
    """Return what the file holds of an optimizer: the least of a run a seed, and the most.

    Whatever else the machine does makes a run longer, never shorter. One run more, not counted,
    pays for imports.
    """
    entry = ENTRIES[name]
    related = sources(benchmark)
    seconds(name, benchmark, related, seeds)
    found = [seconds(name, benchmark, related, seed) for seed in range(seeds)]
    return {
        "seconds": float(f"{min(found):.3g}"),
        "most": float(f"{max(found):.3g}"),
        "seeds": seeds,
        "trials": TRIALS,
        "workers": 1,
        "threads": 1,
        "benchmark": benchmark.name,
        "objectives": len(OBJECTIVES) if entry.objectives == "several" else 1,
        "sources": [KNOWN] * len(SOURCES) if entry.transfer else [],
        "library": {entry.distribution: entry.installed},
        "versions": versions("hpobench-llm", "numpy"),
        "processor": processor(),
    }


def main() -> None:
    """Measure what is missing, and write it into the package's file."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    made.add_argument("--only", nargs="+", choices=ENTRIES, metavar="NAME", help="measured again")
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--out", type=Path, default=FILE, metavar="FILE")
    options = made.parse_args()
    if options.seeds < 1:
        made.error(f"--seeds must be at least 1, got {options.seeds}")
    known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    known = {name: known[name] for name in ENTRIES if name in known}  # none that is gone
    benchmark = load(TABLE)
    for name in options.only or ENTRIES:
        library = {ENTRIES[name].distribution: ENTRIES[name].installed}
        held = known.get(name, {})
        same = held.get("library") == library and held.get("seeds") == options.seeds
        if same and not options.only:
            continue
        started = time.perf_counter()
        try:
            known[name] = measure(name, benchmark, options.seeds)
        except MissingDependencyError as error:
            print(f"{name}: not measured: {error}", flush=True)
            continue
        write_json(options.out, {key: known[key] for key in ENTRIES if key in known})
        took = time.perf_counter() - started
        least, most = (known[name][key] * 1e3 for key in ("seconds", "most"))
        print(f"{name}: {least:.3g} to {most:.3g} ms ({took:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
