"""Benchmarks by name: tables, surrogates, and the closed-form toys."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import toy_bowl, toy_sphere
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.tables.table import Table

TOYS: dict[str, Callable[[], Benchmark]] = {"toy-bowl": toy_bowl, "toy-sphere": toy_sphere}
Kind = Literal["table", "surrogate"]
_OPENERS: dict[str, Callable[[Path], Benchmark]] = {
    "table": lambda folder: TabularBenchmark(Table.load(folder)),
    "surrogate": lambda folder: SurrogateBenchmark(Surrogate.load(folder)),
}


def list_benchmarks() -> list[str]:
    """Return the names that `load` knows: sealed tables, then toys."""
    return [*list_artefacts("tables"), *TOYS]


def load(
    name: str, *, kind: Kind = "table", where: str = "", allow_poor: bool = False
) -> Benchmark:
    """Return a benchmark by name or by folder, its sums verified.

    Args:
        name: of a table or surrogate, a folder that holds one, or a toy.
        kind: `table` answers exact rows only; `surrogate` predicts any configuration between.
        where: the beginning of an error's message, such as the file that holds the name.
        allow_poor: also open a surrogate that did not pass its ranking check.

    Raises:
        UnknownNameError: there is none of that name or kind.
        IntegrityError: the artefact is damaged.
        PoorSurrogateError: the surrogate did not pass its ranking check.
        MissingDependencyError: a surrogate's library is not installed.
    """
    if kind not in _OPENERS:
        raise UnknownNameError("kind of benchmark", kind, _OPENERS, where)
    if kind == "table" and name in TOYS:
        return TOYS[name]()
    try:
        folder = find_artefact(f"{kind}s", name)
    except UnknownNameError as error:
        known = [*error.known, *TOYS] if kind == "table" else error.known
        what = "benchmark" if kind == "table" else "surrogate"
        raise UnknownNameError(what, name, known, where) from None
    opened = _OPENERS[kind](folder)
    if isinstance(opened, SurrogateBenchmark) and not allow_poor:
        opened.surrogate.refuse_if_poor()
    return opened
