"""Benchmarks by name: the tables that can be found, and the closed-form toys."""

from collections.abc import Callable

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import toy_bowl, toy_sphere
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.tables.locate import find_table, list_tables
from hpobench_llm.tables.table import Table

TOYS: dict[str, Callable[[], Benchmark]] = {"toy-bowl": toy_bowl, "toy-sphere": toy_sphere}


def list_benchmarks() -> list[str]:
    """Return the names that `load` knows: sealed tables, then toys."""
    return [*list_tables(), *TOYS]


def load(name: str, *, where: str = "") -> Benchmark:
    """Return the benchmark `name`: a table by name or by path, its sums verified, or a toy.

    Raises:
        UnknownNameError: there is none of that name; `where` begins the message.
        IntegrityError: the table is damaged.
    """
    if name in TOYS:
        return TOYS[name]()
    try:
        folder = find_table(name)
    except UnknownNameError:
        raise UnknownNameError("benchmark", name, list_benchmarks(), where) from None
    return TabularBenchmark(Table.load(folder))
