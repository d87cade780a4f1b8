"""The page of a study: the ranking, every benchmark, and the provenance."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.comparison.courses import Course
from hpobench_llm.comparison.result import BenchmarkComparison, Comparison
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.report import comparison_figures, summary, table_figures, tasks, words
from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.limits import limits
from hpobench_llm.report.web import charts
from hpobench_llm.report.web.document import Figure, Figures, document

__all__ = ["BenchmarkFacts", "render", "write_report"]

SHARES = (0.1, 0.25, 0.5, 1.0)  # of the budget, for which ranks are printed
MANY_PAIRS = 15  # beyond this a table of pairs is folded


def write_report(
    path: Path,
    *,
    title: str,
    comparison: Comparison,
    benchmarks: Sequence[BenchmarkFacts] = (),
    provenance: Mapping[str, object] | None = None,
    libraries: Mapping[str, str] | None = None,
    courses: Mapping[str, Sequence[Course]] | None = None,
    mine: Collection[str] = (),
) -> Path:
    """Write the page of a study, whole or not at all, and return its path.

    Args:
        path: the file to write; its folder is made.
        title: the page's heading.
        comparison: the result of `compare_trajectories`.
        benchmarks: facts of each benchmark, for pictures of its table and its provenance; a
            benchmark without them has neither.
        provenance: facts of the study itself (spec, git commit, library versions), as
            `BenchmarkFacts.provenance`; nothing is looked up here, so the page depends on its
            arguments alone.
        libraries: for each optimizer, the library and version that ran it, such as "optuna 4.5.0".
        courses: for each benchmark, regret over other units than the budget's.
        mine: optimizers to mark as the reader's own.

    Raises:
        UnknownNameError: the comparison lacks a benchmark of the facts, or one of `mine`.
    """
    page = render(
        title=title,
        comparison=comparison,
        benchmarks=benchmarks,
        provenance=provenance,
        libraries=libraries,
        courses=courses,
        mine=mine,
    )
    write_atomically(path, page)
    return path


def render(
    *,
    title: str,
    comparison: Comparison,
    benchmarks: Sequence[BenchmarkFacts] = (),
    provenance: Mapping[str, object] | None = None,
    libraries: Mapping[str, str] | None = None,
    courses: Mapping[str, Sequence[Course]] | None = None,
    mine: Collection[str] = (),
) -> str:
    """Return the page that `write_report` writes."""
    facts = {fact.name: fact for fact in benchmarks}
    names = [result.benchmark for result in comparison.benchmarks]
    for name in facts:
        if name not in names:
            raise UnknownNameError("benchmark", name, names, "report")
    optimizers = sorted({s.optimizer for r in comparison.benchmarks for s in r.standings})
    for name in mine:
        if name not in optimizers:
            raise UnknownNameError("optimizer", name, optimizers, "report")
    figures = Figures()
    first = tasks.first_picture(comparison)
    sections = [
        _section(
            f"benchmark-{number}",
            result,
            facts.get(result.benchmark),
            comparison,
            figures,
            (courses or {}).get(result.benchmark, ()),
        )
        for number, result in enumerate(comparison.benchmarks)
    ]
    ranked = len(comparison.ranking) > 1
    single_runs = tasks.rows_of_single_runs(comparison)
    headings = [
        *([("over-tasks", "Over tasks")] if comparison.tasks else []),
        *([("single-runs", "Single runs")] if single_runs[1] else []),
        *([("given", "With these benchmarks given")] if comparison.tasks else []),
        *((str(section["id"]), name) for section, name in zip(sections, names, strict=True)),
        ("limits", "How to read this, and its limits"),
        *(
            [("provenance", "Provenance")]
            if provenance or any(s["provenance"] for s in sections)
            else []
        ),
    ]
    return document(
        "study.html",
        title=title,
        contents=headings,
        optimizers=optimizers,
        mine=mine,
        comparison=comparison,
        summary=summary.summarise(comparison),
        verdict=tasks.verdict(comparison),
        single=tasks.by_single_runs(comparison),
        single_runs=single_runs,
        over_tasks=comparison.tasks is not None,
        first=figures.of(*first) if first else None,
        ranks=figures.of(comparison_figures.rank_curves(comparison), charts.mean_ranks(comparison))
        if ranked
        else None,
        shares=SHARES,
        many=MANY_PAIRS,
        spent=words.counted(comparison.spending),
        sections=sections,
        limits=limits(comparison),
        provenance=_printable(provenance or {}),
        libraries=libraries or {},
    )


def _section(
    name: str,
    result: BenchmarkComparison,
    facts: BenchmarkFacts | None,
    comparison: Comparison,
    figures: Figures,
    courses: Sequence[Course],
) -> dict[str, object]:
    """Gather the template's values for one benchmark."""
    table: list[Figure | None] = []
    if facts is not None:
        table = [
            figures.of(table_figures.score_against_objective(facts), charts.scatter(facts)),
            figures.of(table_figures.objective_by_axis(facts), charts.landscape(facts)),
        ]
    return {
        "id": name,
        "result": result,
        "setting": summary.setting(result, comparison),
        "regret": figures.of(
            comparison_figures.regret_curves(result, comparison),
            charts.regret(result, comparison, courses),
        ),
        "fronts": figures.of(comparison_figures.attained_fronts(result), charts.fronts(result)),
        "remarks": [*summary.remarks(result, comparison), *(facts.notes if facts else ())],
        "table": [figure for figure in table if figure is not None],
        "provenance": _printable(facts.provenance if facts else {}),
    }


def _printable(values: Mapping[str, object]) -> dict[str, str]:
    """Flatten one level of nesting into text."""
    return {key: _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(inner) for inner in value)
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
