"""Compare the optimizers of a study folder: `comparison.json`, `report.html`, and words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hpobench_llm.artefacts import sha256_of_file, write_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import IntegrityError, NotMeasuredError
from hpobench_llm.metrics import Metric, select
from hpobench_llm.optimizers.registry import entry
from hpobench_llm.report.page import BenchmarkFacts, write_report
from hpobench_llm.report.summary import summarise
from hpobench_llm.report.words import interval
from hpobench_llm.studies.comparison import Comparison
from hpobench_llm.studies.folder import TRAJECTORIES, read_trajectories
from hpobench_llm.studies.statistics import compare_trajectories
from hpobench_llm.studies.study import load_as
from hpobench_llm.tables.schema import IMPORTED

COMPARISON_FILE, REPORT_FILE = "comparison.json", "report.html"


@dataclass(frozen=True, slots=True)
class Result:
    """A study's comparison and where its report lies."""

    comparison: Comparison
    report: Path

    def summary(self) -> str:
        """Return the ranking as a table, what it means in words, and the report's path."""
        lines = []
        for result in self.comparison.benchmarks:
            lines += [
                f"{result.benchmark}: {result.metric}, {len(result.seeds)} seeds, "
                f"{result.trials} trials",
                f"  {'optimizer':<12} {'mean rank':<20} {'median final regret':<32} at optimum",
            ]
            for standing in result.standings:
                rank, regret = standing.rank.last, standing.regret.last
                ranks = f"{rank.value:.2f} [{rank.low:.2f}, {rank.high:.2f}]"
                lines.append(
                    f"  {standing.optimizer:<12} {ranks:<20} {interval(regret):<32} "
                    f"{standing.optimum_share:.0%}"
                )
        return "\n".join([*lines, "", summarise(self.comparison), f"report: {self.report}"])


def compare(folder: str | Path) -> Result:
    """Compare the optimizers of a complete study and write its report.

    The trajectories are judged by the mean over the table's seeds, on the same tables that they
    were replayed on.

    Raises:
        IntegrityError: the study is not complete, or a table has changed since.
        UnknownNameError: a benchmark of the study cannot be found.
    """
    folder = Path(folder)
    header, frame = read_trajectories(folder)
    objective = header["study"]["objectives"][0]
    kind = header["study"].get("kind", "table")
    poor = header["study"].get("allow_poor", False)
    benchmarks = [
        load_as(name, kind, where=str(folder), allow_poor=poor)
        for name in header["study"]["benchmarks"]
    ]
    problems = {}
    for benchmark in benchmarks:
        _check_table(benchmark, header, folder)
        (metric,) = select(benchmark.metrics, (objective,), benchmark.name)
        noise = benchmark.noise(objective) if isinstance(benchmark, TabularBenchmark) else None
        problems[benchmark.name] = (metric, _optimum(benchmark, metric, frame), noise)
    comparison = compare_trajectories(frame, problems)
    write_json(folder / COMPARISON_FILE, comparison.to_json())
    write_report(
        folder / REPORT_FILE,
        title=header["study"]["title"],
        comparison=comparison,
        benchmarks=[
            _facts(benchmark, problems[benchmark.name][0])
            for benchmark in benchmarks
            if isinstance(benchmark, TabularBenchmark)
        ],
        provenance={
            "study": header["study"],
            "trajectories": f"sha256 {sha256_of_file(folder / TRAJECTORIES)}",
            "code": header["code"],
            "versions": header["versions"],
        },
        libraries=_libraries(header),
    )
    return Result(comparison, folder / REPORT_FILE)


def _optimum(benchmark: Benchmark, metric: Metric, frame: pd.DataFrame) -> float:
    """Return the benchmark's optimum; where it is not known, the best that any trial found."""
    try:
        return benchmark.optimum(metric.name)[1]
    except NotMeasuredError:
        rows = frame[(frame["benchmark"] == benchmark.name) & (frame["status"] == "ok")]
        if not rows[metric.name].notna().any():
            raise
        return metric.from_loss(float((rows[metric.name] * metric.to_loss(1.0)).min()))


def _check_table(benchmark: Benchmark, header: dict[str, Any], folder: Path) -> None:
    if isinstance(benchmark, TabularBenchmark):
        now = benchmark.table.metadata.table_sha256
        then = header["tables"].get(benchmark.name)
        if now != then:
            raise IntegrityError(
                f"{folder}: was replayed on {benchmark.name} with sha256 {then}, the table here "
                f"has {now}; replay the study again"
            )


def _facts(benchmark: TabularBenchmark, metric: Metric) -> BenchmarkFacts:
    metadata = benchmark.table.metadata
    configurations = benchmark.configurations()[list(benchmark.space.names)]
    scores = [m for name, m in benchmark.metrics.items() if name.startswith("score_")]
    finer = [m for m in scores if m.name.endswith("_margin")]
    levels = [f"{len(axis.values)} values of {axis.name}" for axis in metadata.fidelities]
    return BenchmarkFacts(
        name=benchmark.name,
        space=benchmark.space,
        metric=metric,
        score=next(iter([*finer, *scores]), None),
        configurations=configurations.join(benchmark.query_many(configurations)),
        base_values=metadata.untrained,
        provenance={
            "table": f"{metadata.name} {metadata.version}, sha256 {metadata.table_sha256}",
            "size": ", ".join(
                [f"{len(configurations)} configurations", f"{len(metadata.seeds)} seeds", *levels]
            ),
            **_origin(metadata.provenance),
        },
        notes=(metadata.description, metadata.context),
    )


def _origin(provenance: dict[str, Any]) -> dict[str, object]:
    if IMPORTED in provenance:
        imported = provenance[IMPORTED]
        files = {file["path"]: f"sha256 {file['sha256']}" for file in imported["files"]}
        return {"imported by": imported["importer"], "on": imported["date"], "files": files}
    sources = provenance["sources"]
    return {
        "base": sources["base"],
        "data": sources["data"]["sources"],
        "rows": sources["data"]["rows"],
        "scores": sources["scores"],
        "recipe": f"sha256 {provenance['recipe_sha256']}",
        "trained by": provenance["commits"],
        "device": provenance["devices"],
        "versions": provenance["versions"],
    }


def _libraries(header: dict[str, Any]) -> dict[str, str]:
    """Return each optimizer's library and version; our own code has the package's version."""
    found = {}
    for name in header["study"]["optimizers"]:
        library = entry(name).distribution or "hpobench-llm"
        version = header["versions"].get(library)
        if version is None:
            raise IntegrityError(f"the study's header has no version of {library}")
        found[name] = f"{library} {version}"
    return found
