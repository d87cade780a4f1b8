"""A suite: a named, versioned list of tables, each with its sum and its objective.

It is a file `suites/<name>.toml` beside the tables. A verdict that shall hold for new tasks is
reached over a suite, and speaks of one version of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from hpobench_llm.artefacts import read_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.errors import IntegrityError, SpecError, UnknownNameError
from hpobench_llm.locate import find_artefact, shelves
from hpobench_llm.metrics import select
from hpobench_llm.spec import read_spec
from hpobench_llm.tables.schema import METADATA_FILE, Metadata

PREFIX = "suite:"  # before a suite's name where benchmarks are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One problem of a suite.

    Args:
        table: the name of its table.
        sha256: the sum of the table's rows, as its `table.json` has it.
        objective: the metric that is optimized.
    """

    table: str
    sha256: str
    objective: str = "val_loss"


class SuiteColumns(TypedDict):
    """What a listing shows of a suite; `problems` are the objectives by table."""

    version: str
    description: str
    problems: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The content of `suites/<name>.toml`; iterating opens the benchmarks, their sums verified.

    Args:
        name: that of the file.
        version: of the list; a verdict names it.
        description: says what its problems have in common.
        problems: distinct tables, at least one.
    """

    name: str
    version: str
    description: str
    problems: tuple[Member, ...]

    def __post_init__(self) -> None:
        names = [member.table for member in self.problems]
        if not names or len({*names}) < len(names):
            raise ValueError(f"`problems` must be of distinct tables and not empty: {names}")

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[Benchmark]:
        return (load(member.table) for member in self.problems)

    @property
    def objectives(self) -> dict[str, str]:
        """The objectives, by table."""
        return {member.table: member.objective for member in self.problems}

    def columns(self) -> SuiteColumns:
        """Return what a listing shows, as plain JSON values."""
        return {
            "version": self.version,
            "description": self.description,
            "problems": self.objectives,
        }


def list_suites() -> dict[str, Path]:
    """Return the file of every suite by name; of two with one name, the first counts.

    Example:
        >>> "lora" in list_suites()
        True
    """
    files: dict[str, Path] = {}
    for shelf in shelves("tables"):
        for path in sorted(shelf.glob("suites/*.toml")):
            files.setdefault(path.stem, path)
    return files


def suite(name: str | Path) -> Suite:
    """Return a suite by its name or its file, after a check that its tables are still the same.

    Example:
        >>> suite("lora").problems[0].table
        'lora-nano'

    Raises:
        UnknownNameError: there is none of that name.
        SpecError: the file breaks a rule, or names a table or an objective that does not exist.
        IntegrityError: a table is not the one that the suite was made of.
    """
    files = list_suites()
    path = files.get(str(name), Path(name))
    if path.suffix != ".toml":
        raise UnknownNameError("suite", str(name), files)
    read = read_spec(path, Suite)
    if read.name != path.stem:
        raise SpecError(path, "name", f"{read.name!r} is not the name of the file")
    for number, member in enumerate(read.problems):
        _check(member, path, f"problems[{number}]")
    return read


def _check(member: Member, path: Path, key: str) -> None:
    try:
        where = find_artefact("tables", member.table) / METADATA_FILE
    except UnknownNameError as error:
        raise SpecError(path, f"{key}.table", str(error)) from None
    metadata = Metadata.from_json(read_json(where), where)
    if metadata.table_sha256 != member.sha256:
        raise IntegrityError(
            f"{path}: `{key}.sha256`: the suite was made of {member.table} with {member.sha256}, "
            f"{where} has {metadata.table_sha256}; get that table, or make another version"
        )
    try:
        select(metadata.metrics, (member.objective,), member.table)
    except UnknownNameError as error:
        raise SpecError(path, f"{key}.objective", str(error)) from None
