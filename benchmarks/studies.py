"""Time a whole study, and the simulated clock beside an optimizer's own time.

    OMP_NUM_THREADS=1 python benchmarks/studies.py --json out/studies.json

What is measured, and how to read it: benchmarks/README.md.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.replaying.replay import replay
from hpobench_llm.replaying.trajectory import MEASURED
from hpobench_llm.running.processes import in_processes
from hpobench_llm.studies.folder import StudyFolder
from hpobench_llm.studies.results import read_trajectories
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import OpenStudy, StudySpec

OPTIMIZERS = (
    *("random", "sobol", "grid", "nomad", "tpe-optuna", "tpe-nni", "cmaes", "de"),
    *("regularized-evolution", "asha", "hyperband", "gp"),
)
CLOCKED = ("asha", "asha-stopping", "hyperband")
WORKERS = 4


@dataclass(slots=True)
class Part:
    """Where the wall seconds of one optimizer's replays went."""

    replays: int = 0
    optimizer: float = 0.0
    beside: float = 0.0


@contextmanager
def timed(spent: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall seconds of a block to `spent`."""
    started = time.perf_counter()
    yield
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - started


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it has waited for."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def time_study(spec: StudySpec, processes: int) -> dict[str, Any]:
    """Run a study as `run_study` does, with a clock at every stage."""
    spent: dict[str, float] = {}
    parts = {name: Part() for name in spec.optimizers}
    cpu = cpu_seconds()
    with tempfile.TemporaryDirectory() as scratch, timed(spent, "wall"):
        with timed(spent, "opening"):
            folder = StudyFolder(Path(scratch), OpenStudy(spec))
        handle = Runner(spec, folder.identity).replay
        with (
            timed(spent, "pool"),
            closing(in_processes(spec.cells(), handle, count=processes)) as answers,
        ):
            for answer in answers:
                if answer.value is None:
                    raise SystemExit(f"{answer.task}: {answer.failure}")
                with timed(spent, "saving"):
                    folder.keep(answer.task, answer.value)
                part = parts[answer.task.optimizer]
                part.replays += 1
                part.beside += answer.seconds
        with timed(spent, "merging"):
            folder.merge({})
        trials = read_trajectories(Path(scratch))[1]
        seconds = trials[["optimizer"]].assign(seconds=_measured(Path(scratch)).to_numpy())
    for name, own in seconds.groupby("optimizer")["seconds"].sum().items():
        parts[str(name)].optimizer = float(own)
        parts[str(name)].beside -= float(own)
    busy = sum(part.optimizer + part.beside for part in parts.values())
    spent["starting and idle, all processes"] = processes * spent.pop("pool") - busy
    spent["cpu"] = cpu_seconds() - cpu
    return {"spent": spent, "optimizers": {name: asdict(part) for name, part in parts.items()}}


def _measured(folder: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(folder / f"trajectories.{MEASURED}.parquet")[MEASURED]


def time_clock(repeats: int, trials: int) -> list[dict[str, Any]]:
    """Return milliseconds of replays with `WORKERS` workers on a table of ten fidelities.

    `configurations` is how many were begun: one that is promoted is a trial on every rung.
    """
    import numpy as np
    from queries import scattered

    bench = scattered(np.random.default_rng(0))
    found = []
    for name in CLOCKED:
        walls, cpus, beside = [], [], []
        for seed in range(repeats):
            started, cpu = time.perf_counter(), time.process_time()
            frame = replay(bench, name, budget=trials, seed=seed, workers=WORKERS).frame
            walls.append(time.perf_counter() - started)
            cpus.append(time.process_time() - cpu)
            beside.append(walls[-1] - frame[MEASURED].sum())
        found.append(
            {
                "optimizer": name,
                "trials": len(frame),
                "configurations": int(frame["config_id"].nunique()),
                "replay": float(np.median(walls) * 1e3),
                "cpu": float(np.median(cpus) * 1e3),
                "beside": float(np.median(beside) * 1e3),
                "least": float(min(beside) * 1e3),
            }
        )
    return found


def main() -> None:
    """Measure, and print two tables."""
    options = _parser().parse_args()
    spec = StudySpec(
        name="speed",
        title="",
        benchmarks=(options.table,),
        optimizers=tuple(options.optimizers),
        seeds=options.seeds,
        budget=options.trials,
    )
    load(options.table)  # a name that does not exist is told at once
    print(f"{processor()}; {versions('hpobench-llm', 'numpy', 'pandas', 'pyarrow')}\n")
    print("| method | trials | configurations | ms | CPU, ms | ms beside the optimizer | least |")
    print("|---|---|---|---|---|---|---|")
    clock = [row for n in options.clock for row in time_clock(options.repeats, n)]
    for row in clock:
        print("| {} | {} | {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} |".format(*row.values()))
    study = time_study(spec, options.processes)
    print("\n| optimizer | replays | optimizer, s | clock and table, s | ms a suggestion |")
    print("|---|---|---|---|---|")
    for name, part in study["optimizers"].items():
        each = part["optimizer"] / (part["replays"] * options.trials) * 1e3
        print(
            f"| {name} | {part['replays']} | {part['optimizer']:.2f} | {part['beside']:.2f} | "
            f"{each:.2f} |"
        )
    print(f"\n{options.processes} processes; seconds: ", end="")
    print(", ".join(f"{name} {seconds:.1f}" for name, seconds in study["spent"].items()))
    if options.json:
        content = git_revision() | {"processor": processor(), "clock": clock, "study": study}
        options.json.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    made.add_argument("--table", default="lora-nano", help="name or folder")
    made.add_argument("--optimizers", nargs="+", default=OPTIMIZERS, metavar="NAME")
    made.add_argument("--seeds", type=int, default=30)
    made.add_argument("--trials", type=int, default=100)
    made.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    made.add_argument(
        "--clock", type=int, nargs="*", default=[100, 160], help="trials of a replay"
    )
    made.add_argument("--repeats", type=int, default=30, help="of a replay on the clock")
    made.add_argument("--json", type=Path, metavar="FILE")
    return made


if __name__ == "__main__":
    main()
