"""How long a fitted surrogate takes to answer, checks on, in CPU time of one thread.

`OMP_NUM_THREADS=1 python benchmarks/surrogates.py out/lora-nano`. Every query asks for another
configuration; the best of several rounds is told, since other jobs only ever add to it.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from hpobench_llm.benchmarks.catalogue import load

ROUNDS, ROWS = 9, 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a fitted surrogate")
    bench = load(str(parser.parse_args().folder), kind="surrogate", allow_poor=True)
    rng = np.random.default_rng(0)
    configs = bench.space.from_unit(rng.random((ROWS, len(bench.space))))
    frame = pd.DataFrame(configs)
    turn = itertools.cycle(configs)
    first = next(iter(bench.metrics))
    single: dict[str, Callable[[], object]] = {
        "all metrics": lambda: bench.query(next(turn)),
        "one metric": lambda: bench.query(next(turn), metrics=[first]),
        "all metrics, a draw": lambda: bench.query(next(turn), seed=1),
    }
    batch: dict[str, Callable[[], object]] = {
        "mappings": lambda: bench.query_many(configs),
        "frame": lambda: bench.query_many(frame),
        "frame, draws": lambda: bench.query_many(frame, seed=1),
    }
    for name, ask in single.items():
        print(f"single query, {name}: {best(ask, ROWS) * 1e6:.1f} us")
    for name, ask in batch.items():
        print(f"batch of {ROWS}, {name}: {best(ask, 5) / ROWS * 1e6:.2f} us a row")


def best(ask: Callable[[], object], times: int) -> float:
    """Return the CPU seconds of one call in the best of the rounds."""
    ask()
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(times):
            ask()
        found.append((time.process_time() - started) / times)
    return min(found)


if __name__ == "__main__":
    main()
