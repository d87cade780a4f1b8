"""A study: optimizers times benchmarks times seeds, resumable, parallel over processes."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import pandas as pd

from hpobench_llm.artefacts import read_json, write_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import KINDS, Kind, load
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import HpobenchError, IntegrityError, SpecError, nearest
from hpobench_llm.metrics import select
from hpobench_llm.optimizers.registry import build, check_name, entry
from hpobench_llm.provenance import git_revision, versions
from hpobench_llm.spec import read_spec
from hpobench_llm.studies.replay import replay
from hpobench_llm.studies.trajectory import KEYS, MEASURED, save_trials

FORMAT = 1
TRAJECTORIES, STUDY = "trajectories.parquet", "study.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """Who competes on what (`studies/<name>.toml`). The seeds 0, 1, ... are shared by all.

    `kind` is that of all benchmarks (`table`, `surrogate` or `live`), or by name of some, where
    the others are tables. A live benchmark is loaded, and so trained, anew for every replay. With
    `allow_poor` a surrogate is taken too that did not pass its ranking check.
    """

    name: str
    title: str
    benchmarks: tuple[str, ...]
    optimizers: tuple[str, ...]
    seeds: int
    budget: int
    objective: str = "val_loss"
    workers: int = 1
    kind: str | dict[str, str] = "table"
    allow_poor: bool = False

    def __post_init__(self) -> None:
        for key in ("seeds", "budget", "workers"):
            if getattr(self, key) < 1:
                raise ValueError(f"`{key}` must be at least 1, got {getattr(self, key)}")
        for key in ("benchmarks", "optimizers"):
            names = getattr(self, key)
            if not names or len(set(names)) < len(names):
                raise ValueError(f"`{key}` must be distinct and not empty: {list(names)}")
        given = self.kind if isinstance(self.kind, dict) else {"": self.kind}
        for name, kind in given.items():
            key = f"kind.{name}" if name else "kind"
            if name and name not in self.benchmarks:
                raise ValueError(f"`{key}`: no such benchmark{nearest(name, self.benchmarks)}")
            if kind not in KINDS:
                raise ValueError(f"`{key}`: unknown kind {kind!r}{nearest(kind, KINDS)}")

    def load(self, name: str, where: str = "") -> Benchmark:
        """Return one of the benchmarks, of its kind. See `catalogue.load`."""
        return load_as(name, self.kind, where, allow_poor=self.allow_poor)


def load_as(
    name: str, kind: str | dict[str, str], where: str = "", *, allow_poor: bool = False
) -> Benchmark:
    """Return a benchmark of the kind that a study's `kind` gives it."""
    found = kind.get(name, "table") if isinstance(kind, dict) else kind
    return load(name, kind=cast("Kind", found), where=where, allow_poor=allow_poor)


@dataclass(frozen=True, slots=True)
class Replay:
    """One cell of a study."""

    benchmark: str
    optimizer: str
    seed: int

    @property
    def file_name(self) -> str:
        """The name of the file that holds this replay until the study is complete."""
        return f"{self.benchmark.replace('/', '_')}--{self.optimizer}--{self.seed}.parquet"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a study did: how many replays ran now, and which failed and why."""

    ran: int
    failed: dict[Replay, str]


def read_study(path: Path) -> StudySpec:
    """Read a study and check every name in it.

    Raises:
        SpecError: naming file, key and value.
        UnknownNameError: a benchmark, an optimizer or the objective does not exist.
        MissingDependencyError: an optimizer's library is not installed.
    """
    spec = read_spec(path, StudySpec)
    for name in spec.optimizers:
        check_name(name, f"{path}: `optimizers`")
        if entry(name).fidelity:
            raise SpecError(
                path,
                "optimizers",
                f"{name} trains in part, and a study's statistics are of trials in full: they "
                f"cannot judge it yet; hpobench_llm.replay(...) runs it",
            )
    names = set()
    for name in spec.benchmarks:
        benchmark = spec.load(name, f"{path}: `benchmarks`")
        if benchmark.name in names:
            raise SpecError(path, "benchmarks", f"two benchmarks are called {benchmark.name!r}")
        names.add(benchmark.name)
        metric = select(benchmark.metrics, (spec.objective,), f"{path}: `objective`")
        for optimizer in spec.optimizers:  # found out now, not after an hour of the others
            build(
                optimizer, space=benchmark.space, objectives=metric, budget=spec.budget, seed=0
            ).close()
    return spec


def run_study(
    spec: StudySpec,
    out: Path,
    *,
    processes: int | None = None,
    on_done: Callable[[int, int, str], None] = lambda *_: None,
) -> Outcome:
    """Run every replay that `out` does not hold yet, and merge them when all are there.

    Writes `study.json`, `trajectories.parquet`, and the optimizers' measured seconds beside it.
    A replay that fails does not stop the others. `on_done(done, total, text)` reports progress.

    Raises:
        SpecError: `out` holds another study, or this one against another table.
    """
    header = _header(spec)
    _claim(out, header)
    cells = [Replay(*c) for c in product(spec.benchmarks, spec.optimizers, range(spec.seeds))]
    if (out / TRAJECTORIES).exists():
        on_done(len(cells), len(cells), "complete before")
        return Outcome(0, {})
    parts = out / "parts"
    parts.mkdir(exist_ok=True)
    wanted = [cell for cell in cells if not (parts / cell.file_name).exists()]
    done, failed = len(cells) - len(wanted), {}
    count = max(1, min(processes or os.cpu_count() or 1, len(wanted)))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[None], Replay] = {
            pool.submit(_run, cell, spec, parts): cell for cell in wanted
        }
        try:
            for future in as_completed(futures):
                cell, error = futures[future], future.exception()
                if isinstance(error, HpobenchError):
                    failed[cell] = str(error)
                elif error is not None:
                    raise error
                done += 1
                on_done(done, len(cells), f"{cell.optimizer} seed {cell.seed}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not failed:
        _merge(cells, parts, out)
    return Outcome(len(wanted) - len(failed), failed)


def read_trajectories(out: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return a complete study's header and its trials.

    Raises:
        IntegrityError: the folder holds no complete study, or a file cannot be read.
    """
    header = read_json(out / STUDY)
    needed = {"format", "study", "tables", "versions", "code"}
    if not isinstance(header, dict) or header.get("format") != FORMAT or needed - header.keys():
        raise IntegrityError(f"{out / STUDY}: not the header of a study of format {FORMAT}")
    path = out / TRAJECTORIES
    if not path.exists():
        raise IntegrityError(f"{path}: no such file; the study is not complete, replay it again")
    try:
        return header, pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from None


def _header(spec: StudySpec) -> dict[str, Any]:
    libraries = [entry(name).distribution for name in spec.optimizers]
    used = [library for library in libraries if library]
    tables = {}
    for name in spec.benchmarks:
        benchmark = spec.load(name)
        if isinstance(benchmark, TabularBenchmark):
            tables[benchmark.name] = benchmark.table.metadata.table_sha256
        elif isinstance(benchmark, SurrogateBenchmark):
            tables[benchmark.name] = benchmark.surrogate.table_sha256
    plain = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(spec).items()
    }
    return {
        "format": FORMAT,
        "study": plain,
        "tables": tables,
        "versions": versions("hpobench-llm", "numpy", *sorted(set(used))),
        "code": git_revision(),
    }


def _claim(out: Path, header: dict[str, Any]) -> None:
    path = out / STUDY
    if not path.exists():
        write_json(path, header)
        return
    known = read_json(path)
    for key in ("format", "study", "tables", "versions"):
        if known.get(key) != header[key]:
            raise SpecError(
                path,
                key,
                "the folder holds another study (or one of other versions); give another --out",
            )


def _run(cell: Replay, spec: StudySpec, parts: Path) -> None:
    trajectory = replay(
        spec.load(cell.benchmark),
        cell.optimizer,
        budget=spec.budget,
        seed=cell.seed,
        workers=spec.workers,
        objectives=(spec.objective,),
    )
    trajectory.save(parts / cell.file_name)


def _merge(cells: list[Replay], parts: Path, out: Path) -> None:
    frames = []
    for cell in cells:
        path = parts / cell.file_name
        seconds = pd.read_parquet(path.with_name(f"{path.stem}.{MEASURED}.parquet"))
        trials = pd.read_parquet(path)
        frames.append(trials.merge(seconds, on=[*KEYS, "trial"], validate="one_to_one"))
    save_trials(pd.concat(frames, ignore_index=True), out / TRAJECTORIES)
    shutil.rmtree(parts)
