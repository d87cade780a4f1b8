"""The published part of a study: its files as they are, and standings from its comparison."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import read_json
from hpobench_llm.comparison.result import FORMAT_VERSION, Interval
from hpobench_llm.errors import IntegrityError
from hpobench_llm.report.compare import COMPARISON_FILE, REPORT_FILE
from hpobench_llm.report.words import reached
from hpobench_llm.studies.header import STUDY
from hpobench_llm.studies.results import TRAJECTORIES, read_trajectories
from hpobench_llm.tables.schema import check_name
from hpobench_llm.tables.table import Table

FILES = (REPORT_FILE, COMPARISON_FILE, STUDY, TRAJECTORIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One optimizer on one benchmark of a study.

    `rank` is its mean final rank in that study, `regret` its median final regret. `budget` is that
    of the study, `seeds` the number of its seeds, `at_optimum` the share of them that ended at the
    optimum. Rows of several studies with the same `sums` of the benchmark can be compared.
    """

    study: str
    benchmark: str
    metric: str
    unit: str
    optimizer: str
    budget: str
    seeds: int
    sums: str
    rank: Interval
    regret: Interval
    at_optimum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStudy:
    """A study that was run and compared: its folder, and a row for each standing."""

    name: str
    title: str
    folder: Path
    rows: tuple[Row, ...]

    def beside(self, tables: Iterable[Table]) -> list[str]:
        """Return the benchmarks that are none of these tables."""
        names = {table.metadata.name for table in tables}
        return sorted({row.benchmark for row in self.rows} - names)


def read_study_folder(folder: Path) -> PublishedStudy:
    """Read the standings of a study.

    Raises:
        IntegrityError: the study is not complete, was not compared, or a file is damaged.
    """
    # It verifies the sums; the trials themselves are not needed.
    header, _ = read_trajectories(folder)
    for name in (COMPARISON_FILE, REPORT_FILE):
        if not (folder / name).is_file():
            raise IntegrityError(
                f"{folder / name}: no such file; run hpobench-llm compare {folder} first"
            )
    compared = read_json(folder / COMPARISON_FILE)
    if not isinstance(compared, dict) or compared.get("format_version") != FORMAT_VERSION:
        raise IntegrityError(
            f"{folder / COMPARISON_FILE}: not a comparison of format {FORMAT_VERSION}; run "
            f"hpobench-llm compare {folder} again"
        )
    try:
        name = check_name(header.study.name)
        rows = tuple(
            _row(name, benchmark, standing, str(compared["spending"]))
            for benchmark in compared["benchmarks"]
            for standing in benchmark["standings"]
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise IntegrityError(
            f"{folder / COMPARISON_FILE}: cannot be published: {error!r}"
        ) from None
    return PublishedStudy(name=name, title=header.study.title, folder=folder, rows=rows)


def _row(study: str, benchmark: dict[str, Any], standing: dict[str, Any], spending: str) -> Row:
    return Row(
        study=study,
        benchmark=str(benchmark["benchmark"]),
        metric=str(benchmark["metric"]),
        unit=str(benchmark["unit"]),
        optimizer=str(standing["optimizer"]),
        budget=reached(float(benchmark["grid"][-1]), spending),
        seeds=len(benchmark["seeds"]),
        sums=str(benchmark["identity"].get("sha256", "")),
        rank=_last(standing["rank"]),
        regret=_last(standing["regret"]),
        at_optimum=float(standing["optimum_share"]),
    )


def _last(band: dict[str, Any]) -> Interval:
    """Return the end of a curve with its interval."""
    return Interval(*(float(band[key][-1]) for key in ("value", "low", "high")))
