"""Whether a study goes on from what its folder holds: more of it, or another study.

More seeds, optimizers and benchmarks, and a larger budget, leave every finished replay as it is.
Any other difference would have changed it, and is named by its key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.optimizers.registry import entry
from hpobench_llm.replaying.budget import EVALUATIONS, SECONDS, TOKENS, Budget
from hpobench_llm.studies.header import StudyHeader
from hpobench_llm.studies.study import OpenStudy, StudyCell, StudySpec, kind_of

# Keys with one value for the whole study, from which every replay follows.
_OF_ALL = (
    "workers",
    "constraints",
    "initial",
    "table_seed",
    "checkpoint_seconds",
    "count_optimizer_seconds",
)


def origin(study: OpenStudy, cell: StudyCell, versions: Mapping[str, str]) -> str:
    """Return the sum of all that a replay follows from, except its budget and optimizer's code."""
    spec, optimizer = study.spec, entry(cell.optimizer)
    sources = spec.sources_of(cell.benchmark) if optimizer.transfer else []
    plain = spec.plain()
    return sha256_of_text(
        canonical_json(
            {
                **{key: plain.get(key) for key in _OF_ALL},
                "name": spec.name,
                "replay": [cell.benchmark, cell.optimizer, cell.seed],
                "objectives": spec.objectives_of(cell.benchmark),
                "benchmarks": {
                    name: [kind_of(name, spec.kind), study.benchmark(name).sha256]
                    for name in (cell.benchmark, *sources)
                },
                "versions": {
                    name: version
                    for name, version in versions.items()
                    if name in ("python", "hpobench-llm", "numpy", optimizer.distribution)
                },
            }
        )
    )


def hindrance(then: StudyHeader, now: StudyHeader) -> tuple[str, str] | None:
    """Return a key that keeps a study from going on, and the reason; None: it goes on.

    Args:
        then: the header in the folder.
        now: the header of the study that is to run.
    """
    return next(_hindrances(then, now), None)


def _hindrances(then: StudyHeader, now: StudyHeader) -> Iterator[tuple[str, str]]:
    old, new = then.study, now.study
    before, after = old.plain(), new.plain()
    for key in ("name", *_OF_ALL):
        if before.get(key) != after.get(key):
            holds, asks = (_shown(plain.get(key)) for plain in (before, after))
            yield key, f"the folder holds replays with {holds}, the study has {asks}"
    for key in ("benchmarks", "optimizers"):
        if lost := [name for name in getattr(old, key) if name not in getattr(new, key)]:
            yield key, f"the folder holds replays of {', '.join(lost)} too, so list them"
    if new.seeds < old.seeds:
        yield "seeds", f"the folder holds {old.seeds}, so give as many or more, not {new.seeds}"
    for name in old.benchmarks:
        if kind_of(name, old.kind) != kind_of(name, new.kind):
            yield "kind", f"the folder holds replays on the {kind_of(name, old.kind)} {name}"
        if old.objectives_of(name) != new.objectives_of(name):
            metrics = ", ".join(old.objectives_of(name))
            yield "objectives", f"the folder holds replays on {name} that were told {metrics}"
    yield from _of_sources(old, new)
    yield from _of_budgets(old, new)
    for key, reason in (
        ("tables", "{} changed since the study began, or was fitted again"),
        ("versions", "the study began with other versions of {}"),
    ):
        mine, others = getattr(then, key), getattr(now, key)
        if differ := [name for name in mine if mine[name] != others.get(name)]:
            yield key, reason.format(", ".join(differ))


def _of_sources(old: StudySpec, new: StudySpec) -> Iterator[tuple[str, str]]:
    optimizers = [name for name in old.optimizers if entry(name).transfer]
    for benchmark in old.optimized if optimizers else ():
        if benchmark not in new.optimized:
            yield "sources", f"the folder holds replays on {benchmark}, now learnt from alone"
        elif old.sources_of(benchmark) != new.sources_of(benchmark):
            learnt = ", ".join(old.sources_of(benchmark))
            yield (
                "sources",
                f"the folder holds replays of {optimizers[0]} on {benchmark} that learnt from "
                f"{learnt} alone",
            )


def _of_budgets(old: StudySpec, new: StudySpec) -> Iterator[tuple[str, str]]:
    if old.budget == new.budget:
        return
    mine, others = amount_of(old), amount_of(new)
    if mine.unit != others.unit or others.amount < mine.amount:
        yield (
            "budget",
            f"the folder holds replays of {mine.amount:g} {mine.unit}, so give as many or more, "
            f"not {others.amount:g} {others.unit}",
        )
    planners = [name for name in old.optimizers if entry(name).plans]
    if planners and mine.unit not in (SECONDS, TOKENS):  # of these nobody knows how many come
        yield (
            "budget",
            f"{', '.join(planners)} plans with its number of trials, so its replays of "
            f"{mine.amount:g} are not how those of {others.amount:g} begin",
        )
    if old.count_optimizer_seconds:
        yield "budget", "with `count_optimizer_seconds` no replay is how a longer one begins"


def amount_of(spec: StudySpec) -> Budget:
    """Return a study's budget, whose unit was checked with its benchmarks."""
    amounts = spec.budget if isinstance(spec.budget, dict) else {EVALUATIONS: spec.budget}
    ((unit, amount),) = amounts.items()
    return Budget(unit, amount)


def _shown(value: Any) -> str:
    return "none" if value in (None, {}, "") else canonical_json(value)
