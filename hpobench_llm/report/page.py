"""One self-contained HTML page for a study: no scripts, no network, equal inputs equal bytes."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.comparison.result import BenchmarkComparison, Comparison
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.report import comparison_figures, summary, table_figures, tasks, words
from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.limits import limits
from hpobench_llm.report.looks import looks

__all__ = ["BenchmarkFacts", "render", "write_report"]

SHARES = (0.1, 0.25, 0.5, 1.0)  # of the budget, at which ranks are given in figures


def write_report(
    path: Path,
    *,
    title: str,
    comparison: Comparison,
    benchmarks: Sequence[BenchmarkFacts] = (),
    provenance: Mapping[str, object] | None = None,
    libraries: Mapping[str, str] | None = None,
) -> Path:
    """Write the page of a study, whole or not at all, and return its path.

    Args:
        path: the file to write; its folder is made.
        title: the page's heading.
        comparison: what `compare_trajectories` returned.
        benchmarks: facts to picture each benchmark with; one that is left out has no pictures of
            its table and no provenance.
        provenance: what to print about the study itself (spec, git commit, library versions), as
            `BenchmarkFacts.provenance`; nothing is looked up here, so the page depends on its
            arguments alone.
        libraries: for each optimizer, the library and version that ran it, such as "optuna 4.5.0".

    Raises:
        UnknownNameError: the facts are of a benchmark that the comparison lacks.
    """
    page = render(
        title=title,
        comparison=comparison,
        benchmarks=benchmarks,
        provenance=provenance,
        libraries=libraries,
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
) -> str:
    """Return the page that `write_report` writes."""
    facts = {fact.name: fact for fact in benchmarks}
    known = [result.benchmark for result in comparison.benchmarks]
    for name in facts:
        if name not in known:
            raise UnknownNameError("benchmark", name, known, "report")
    optimizers = sorted({s.optimizer for r in comparison.benchmarks for s in r.standings})
    return _template().render(
        title=title,
        comparison=comparison,
        summary=summary.summarise(comparison),
        verdict=tasks.verdict(comparison),
        single=tasks.by_single_runs(comparison),
        single_runs=tasks.rows_of_single_runs(comparison),
        over_tasks=tasks.rank_intervals(comparison.tasks, comparison.alpha)
        if comparison.tasks
        else None,
        colours={name: colour for name, (colour, _) in looks(optimizers).items()},
        ranks=comparison_figures.rank_curves(comparison) if len(comparison.ranking) > 1 else None,
        shares=SHARES,
        spent=words.counted(comparison.spending),
        sections=[
            _section(result, facts.get(result.benchmark), comparison)
            for result in comparison.benchmarks
        ],
        limits=limits(comparison),
        provenance=_printable(provenance or {}),
        libraries=libraries or {},
    )


def _section(
    result: BenchmarkComparison, facts: BenchmarkFacts | None, comparison: Comparison
) -> dict[str, object]:
    """Gather what the template shows of one benchmark."""
    table = (
        [table_figures.score_against_objective(facts), table_figures.objective_by_axis(facts)]
        if facts is not None
        else []
    )
    return {
        "result": result,
        "setting": summary.setting(result, comparison),
        "regret": comparison_figures.regret_curves(result, comparison),
        "fronts": comparison_figures.attained_fronts(result),
        "remarks": [*summary.remarks(result, comparison), *(facts.notes if facts else ())],
        "table": [picture for picture in table if picture is not None],
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


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": words.number,
        "interval": words.interval,
        "rank_interval": words.rank_interval,
        "percent": words.percent,
        "p_value": words.p_value,
        "overall": words.overall,
    }
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
