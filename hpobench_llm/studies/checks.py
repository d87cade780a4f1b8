"""Read a study and find out now, not after an hour, whether something in it cannot work."""

import math
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import ConfigurationError, HpobenchError, SpecError
from hpobench_llm.metrics import select
from hpobench_llm.optimizers.registry import check_name, entry
from hpobench_llm.replaying.budget import TOKENS, Budget
from hpobench_llm.replaying.design import initial_design
from hpobench_llm.running.here import here
from hpobench_llm.running.processes import in_processes
from hpobench_llm.space import Categorical, Configuration
from hpobench_llm.spec import parse_spec, read_toml
from hpobench_llm.studies.runner import Runner, reach
from hpobench_llm.studies.study import OpenStudy, StudySpec, kind_of, load_as
from hpobench_llm.studies.suites import expanded

SECONDS_TO_BUILD = 120.0


def read_study(path: Path) -> OpenStudy:
    """Read a study's file and check it: see `checked`.

    A module of an optimizer, `module:Class`, is looked for beside the file too.

    Raises:
        SpecError: naming file, key, value and what to do.
        UnknownNameError: a benchmark, an optimizer or an objective does not exist.
    """
    spec = parse_spec(expanded(read_toml(path), path), StudySpec, file=path)
    return checked(spec, path, str(path.resolve().parent))


def checked(spec: StudySpec, path: object, modules: str = "") -> OpenStudy:
    """Open a study's benchmarks, and check all that can be checked without a replay.

    Each optimizer is built once for each benchmark, in another process. One that raises an
    unforeseen error there, or hangs, is left to its replays, which will name it.

    Args:
        spec: the study.
        path: its file, or another name for it in errors.
        modules: the last folder in which modules of optimizers are looked for; empty: none.

    Raises:
        SpecError: naming the study, key, value and what to do.
        UnknownNameError: a benchmark, an optimizer or an objective does not exist.
    """
    reach(modules)
    for name in spec.optimizers:
        try:
            check_name(name, f"{path}: `optimizers`")
        except ConfigurationError as error:
            raise SpecError(path, "optimizers", str(error)) from None
    loaded: dict[str, Benchmark] = {}
    for name in spec.benchmarks:
        benchmark = _load(spec, name, path, "benchmarks")
        if benchmark.name in (other.name for other in loaded.values()):
            raise SpecError(
                path,
                "benchmarks",
                f"two benchmarks are called {benchmark.name!r}; a surrogate beside its table is "
                f'"surrogate:{benchmark.name}"',
            )
        loaded[name] = benchmark
        select(
            benchmark.metrics,
            spec.objectives_of(name),
            f"{path}: {_key_of_objectives(spec, name)}: {benchmark.name}",
        )
        try:
            budget = Budget.of(spec.budget, benchmark.fidelities)
            design = initial_design(benchmark, max(1, spec.initial), 0, spec.table_seed)
            if kind_of(name, spec.kind) != "live":
                _check_answers(spec, benchmark, budget, design[0])
        except HpobenchError as error:
            raise SpecError(path, "", f"{error} ({benchmark.name})") from None
        for optimizer in spec.optimizers if name in spec.optimized else ():
            _fits(spec, optimizer, name, benchmark, path)
    _check_columns(loaded.values(), path)
    related = {name: _load(spec, name, path, "sources") for name in spec.related()}
    _build(spec, path, modules)
    return OpenStudy(spec, loaded | related, modules)


def _load(spec: StudySpec, name: str, path: object, key: str) -> Benchmark:
    benchmark = load_as(name, spec.kind, f"{path}: `{key}`", allow_poor=spec.allow_poor)
    try:
        return benchmark.constrained(spec.constraints)
    except HpobenchError as error:
        raise SpecError(path, "constraints", str(error)) from None


def _key_of_objectives(spec: StudySpec, name: str) -> str:
    """Return the key that gives a benchmark's objectives; one alone has two spellings."""
    if name in spec.objective:
        return "`objective`"
    return "`objectives`" if len(spec.objectives) > 1 else "`objective` or `objectives`"


def _check_answers(
    spec: StudySpec, benchmark: Benchmark, budget: Budget, config: Configuration
) -> None:
    """Refuse a seed that the benchmark lacks, and a budget in tokens that it does not know."""
    answer = benchmark.query(config, seed=spec.table_seed)
    if budget.unit == TOKENS and math.isnan(answer.tokens):
        raise ConfigurationError(
            f"`budget`: {benchmark.name} does not know the tokens of {config}; count evaluations, "
            "or steps of a fidelity axis"
        )


def _check_columns(benchmarks: Iterable[Benchmark], path: object) -> None:
    """Refuse axes of one name that could not be one column of the trajectories."""
    kinds: dict[str, tuple[str, str]] = {}
    for benchmark in benchmarks:
        for dimension in benchmark.space:
            kind = "text" if isinstance(dimension, Categorical) else "numbers"
            first, its_kind = kinds.setdefault(dimension.name, (benchmark.name, kind))
            if kind != its_kind:
                raise SpecError(
                    path,
                    "benchmarks",
                    f"`{dimension.name}` is {its_kind} in {first} and {kind} in {benchmark.name}; "
                    "make two studies",
                )


def _fits(spec: StudySpec, optimizer: str, name: str, benchmark: Benchmark, path: object) -> None:
    """Refuse an optimizer for a benchmark that it cannot take, as its entry says."""
    listed = entry(optimizer)
    if listed.fidelity and not benchmark.fidelities:
        raise SpecError(
            path,
            "optimizers",
            f"{optimizer} trains in part, and {benchmark.name} has no fidelity axis; leave one of "
            "the two out",
        )
    if listed.objectives == "one" and len(spec.objectives) > 1:
        raise SpecError(
            path,
            "optimizers",
            f"{optimizer} takes one objective, and `objectives` has {len(spec.objectives)}: "
            f"{', '.join(spec.objectives)}; leave it out, or all objectives but one",
        )
    if listed.transfer and not spec.sources_of(name):
        raise SpecError(
            path,
            "sources",
            f"{optimizer} learns from related tasks, and there is none for {benchmark.name}; list "
            'benchmarks, or say "others" or "earlier" in a study of several',
        )


def _build(spec: StudySpec, path: object, modules: str) -> None:
    cells = [cell for cell in spec.cells() if cell.seed == 0]
    own, other = Runner(spec, modules=modules), Runner(spec, modules=modules)
    # In another process, since a library may hang or end the process that builds with it. A class
    # that was typed in exists in this one alone.
    typed = here((cell for cell in cells if cell.optimizer in spec.typed), own.build)
    rest = (cell for cell in cells if cell.optimizer not in spec.typed)
    built = in_processes(rest, other.build, count=1, timeout=lambda _: SECONDS_TO_BUILD)
    with closing(built):
        for answer in chain(typed, built):
            if answer.refused:
                optimizer, benchmark = answer.task.optimizer, answer.task.benchmark
                raise SpecError(
                    path, "optimizers", f"{optimizer} on {benchmark}: {answer.failure}"
                )
