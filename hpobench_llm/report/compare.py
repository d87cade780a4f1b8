"""Compare the optimizers of a study folder: `comparison.json`, `report.html`, and words."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import pandas as pd

from hpobench_llm.artefacts import sha256_of_file, write_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.comparison.benchmark import ComparedBenchmark, Reference
from hpobench_llm.comparison.courses import courses
from hpobench_llm.comparison.result import Failure
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.errors import ConfigurationError, IntegrityError, UnknownNameError, shown
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.columns import with_kinds
from hpobench_llm.report.facts import BenchmarkFacts, facts_of
from hpobench_llm.report.page import write_report
from hpobench_llm.report.study_result import Result
from hpobench_llm.studies.header import OLD_FORMAT, StudyHeader
from hpobench_llm.studies.results import TRAJECTORIES, read_failures, read_trajectories
from hpobench_llm.studies.study import NONE, kind_of
from hpobench_llm.tables.provenance import TableProvenance
from hpobench_llm.tables.schema import IMPORTED

__all__ = ["Result", "compare"]

COMPARISON_FILE, REPORT_FILE = "comparison.json", "report.html"


def compare(
    folder: str | Path, *, reference: Reference = "front", mine: Sequence[str] | None = None
) -> Result:
    """Compare the optimizers of a study and write its report.

    The trajectories are judged by all seeds of the tables that they were replayed on. Replays that
    failed are named; the others are compared. `reference` is the hypervolume's point: see
    `ComparedBenchmark.of`. The optimizers that are `mine` are marked in the report; None: those
    that this package does not bring.

    Example:
        >>> from hpobench_llm import Study
        >>> study = Study(["toy-bowl"], ["random", "sobol"], seeds=3, budget=10)
        >>> study.run("study", processes=1, progress=False).report.name
        'report.html'
        >>> sorted(compare("study").ranking.index)
        ['random', 'sobol']

    Raises:
        ConfigurationError: `folder` is no path.
        IntegrityError: the study is not complete, or a table has changed since.
        UnknownNameError: a benchmark of the study cannot be found, or it has no optimizer that is
            called as one of `mine`.
        NotMeasuredError: a benchmark on which no run is ok and keeps the constraints.
    """
    if not isinstance(folder, str | PathLike):
        raise ConfigurationError(f"the folder of a study is expected, got {shown(folder)}")
    folder = Path(folder)
    if not folder.is_dir():
        fault = "no folder" if folder.exists() else "no such folder"
        raise IntegrityError(
            f"{folder}: {fault}; expected is that of a study, which "
            "`hpobench-llm replay STUDY --out DIR` writes"
        )
    header, frame = read_trajectories(folder)
    study = header.study
    for name in mine or ():
        if name not in study.optimizers:
            raise UnknownNameError("optimizer", name, study.optimizers, "`mine`")
    opened = {name: _open(header, name, folder) for name in study.benchmarks}
    # Its header recorded no benchmarks, so the names need the opened ones.
    if header.format == OLD_FORMAT:
        frame = with_kinds(frame, opened.values(), study.objectives, folder / TRAJECTORIES)
    compared = {}
    for name, benchmark in opened.items():
        if (frame["benchmark"] == benchmark.name).any():  # else every replay failed
            trains = kind_of(name, study.kind) == "live"
            compared[benchmark.name] = ComparedBenchmark.of(
                benchmark, study.objectives_of(name), frame, trains=trains, reference=reference
            )
    benchmarks = [benchmark for benchmark in opened.values() if benchmark.name in compared]
    axes = [axis for benchmark in benchmarks for axis in benchmark.fidelities]
    checkpoints = study.checkpoint_seconds != NONE
    comparison = compare_trajectories(
        frame,
        compared,
        budget=Budget.of(study.budget, axes),
        checkpoints=checkpoints,
        paired=study.initial > 0,
        workers=study.workers,
        optimizer_seconds_count=study.count_optimizer_seconds,
        failures=[Failure(**failure) for failure in read_failures(folder, header)],
    )
    write_json(folder / COMPARISON_FILE, comparison.to_json())
    write_report(
        folder / REPORT_FILE,
        title=study.title,
        comparison=comparison,
        benchmarks=[
            _facts(benchmark, *compared[benchmark.name].objectives[:2])
            for benchmark in benchmarks
            if isinstance(benchmark, TabularBenchmark)
        ],
        provenance={
            "study": study.plain(),
            "trajectories": f"sha256 {sha256_of_file(folder / TRAJECTORIES)}",
            "code": header.code,
            "versions": header.versions,
        },
        libraries=dict(zip(frame["optimizer"], frame["optimizer_version"], strict=True)),
        courses=courses(frame, compared, comparison, checkpoints=checkpoints),
        mine=brought(frame) if mine is None else mine,
    )
    return Result(comparison, folder / REPORT_FILE, frame, study.table_seed)


def brought(frame: pd.DataFrame) -> list[str]:
    """Return the optimizers of other packages; a wrapper of ours around one does not count."""
    return [o for o in frame["optimizer"].unique() if o.partition("+")[0] not in ENTRIES]


def _open(header: StudyHeader, name: str, folder: Path) -> Benchmark:
    """Return a benchmark of a study, to judge by; for a live one the study's record of it."""
    study = header.study
    if kind_of(name, study.kind) == "live":
        if name not in header.benchmarks:
            raise IntegrityError(
                f"{folder}: was written by a version that recorded nothing of the live benchmark "
                f"{name}; replay the study again"
            )
        return header.benchmarks[name].constrained(study.constraints)
    benchmark = study.load(name, where=str(folder))
    now, then = benchmark.sha256, header.tables.get(benchmark.name)
    if now != then:
        raise IntegrityError(
            f"{folder}: was replayed on {benchmark.name} with sha256 {then}, the "
            f"{benchmark.kind} here has {now}; replay the study again"
        )
    return benchmark


def _facts(
    benchmark: TabularBenchmark, metric: Metric, other: Metric | None = None
) -> BenchmarkFacts:
    """Gather the facts of a table for a report: for its pictures, and its origin."""
    metadata = benchmark.table.metadata
    facts = facts_of(benchmark, metric, other)
    levels = [f"{len(axis.values)} values of {axis.name}" for axis in metadata.fidelities]
    count = len(facts.configurations)
    return replace(
        facts,
        provenance={
            "table": f"{metadata.name} {metadata.version}, sha256 {metadata.table_sha256}",
            "size": ", ".join(
                [f"{count} configurations", f"{len(metadata.seeds)} seeds", *levels]
            ),
            **_origin(metadata.provenance),
        },
        notes=(metadata.description, metadata.context),
    )


def _origin(provenance: TableProvenance) -> dict[str, object]:
    if IMPORTED in provenance:
        imported = provenance[IMPORTED]
        files = {file["path"]: f"sha256 {file['sha256']}" for file in imported["files"]}
        return {"imported by": imported["importer"], "on": imported["date"], "files": files}
    return {
        **provenance["sources"],
        "recipe": f"sha256 {provenance['recipe_sha256']}",
        "trained by": provenance["commits"],
        "device": provenance["devices"],
        "versions": provenance["versions"],
    }
