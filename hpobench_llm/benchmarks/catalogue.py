"""Benchmarks by name: tables, surrogates, live training, and the closed-form toys."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import toy_bowl, toy_sphere
from hpobench_llm.errors import MissingDependencyError, UnknownNameError
from hpobench_llm.hub import Repository, fetch, repository_of
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.tables.schema import METADATA_FILE
from hpobench_llm.tables.table import Table

TOYS: dict[str, Callable[[], Benchmark]] = {"toy-bowl": toy_bowl, "toy-sphere": toy_sphere}
Kind = Literal["table", "surrogate", "live"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CAMPAIGNS = Path("collect")


def list_benchmarks() -> list[str]:
    """Return the names that `load` takes: sealed tables, then toys.

    Example:
        >>> "lora-nano" in list_benchmarks()
        True
    """
    return [*list_artefacts("tables"), *TOYS]


def load(name: str | Path, kind: Kind = "table", *, allow_poor: bool = False) -> Benchmark:
    """Return a benchmark by name or by path, its sums verified.

    Args:
        name: of a table or surrogate, a folder that holds one, or a toy; `hf://org/name` or
            `hf://org/name@revision/table` of a table on a hub; of a live benchmark its campaign:
            a file, or the name of one in the folder `collect`.
        kind: `table` answers exact rows only; `surrogate` predicts any configuration between;
            `live` trains for every query. A toy is its own table. An imported emulator is a
            surrogate too.
        allow_poor: also open a surrogate that did not pass its ranking check.

    Example:
        >>> load("lora-nano").optimum("val_loss")[0]["rank"]
        64
        >>> load("lora-nano", "surrogate").kind
        'surrogate'

    Raises:
        UnknownNameError: there is none of that name or kind.
        IntegrityError: the artefact is damaged.
        PoorSurrogateError: the surrogate did not pass its ranking check.
        MissingDependencyError: a library that this kind needs is not installed.
        SpecError, DataError: a campaign cannot be used.
    """
    match kind:
        case "table":
            if str(name) in TOYS:
                return TOYS[str(name)]()
            repository = repository_of(name)
            folder = (
                _fetched(repository) if repository else _find("tables", "benchmark", name, TOYS)
            )
            return TabularBenchmark(Table.load(folder))
        case "surrogate":
            return _surrogate(_find("surrogates", "surrogate", name, ()), allow_poor)
        case "live":
            return _live(_campaign(name))
    raise UnknownNameError("kind of benchmark", kind, KINDS)


def _fetched(repository: Repository) -> Path:
    """Return the folder of a table on a hub: the one that is named, or the only one."""
    shelf = fetch(repository) / "tables"
    tables = {path.parent.name: path.parent for path in sorted(shelf.glob(f"*/{METADATA_FILE}"))}
    if not repository.table and len(tables) == 1:
        return next(iter(tables.values()))
    if repository.table not in tables:
        raise UnknownNameError(f"table on {repository}", repository.table, tables)
    return tables[repository.table]


def _find(stage: str, kind: str, name: str | Path, more: Iterable[str]) -> Path:
    try:
        return find_artefact(stage, name)
    except UnknownNameError as error:
        raise UnknownNameError(kind, str(name), [*error.known, *more]) from None


def _surrogate(folder: Path, allow_poor: bool) -> Benchmark:
    # Imported here: a surrogate's libraries take longer to load than all that a table needs.
    from hpobench_llm.benchmarks.emulator import EmulatorBenchmark
    from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
    from hpobench_llm.surrogates.artefact import Surrogate
    from hpobench_llm.surrogates.emulators.artefact import EMULATOR_FILE, Emulator

    if (folder / EMULATOR_FILE).is_file():
        return EmulatorBenchmark(Emulator.load(folder))
    surrogate = Surrogate.load(folder)
    if not allow_poor:
        surrogate.refuse_if_poor()
    return SurrogateBenchmark(surrogate)


def _campaign(name: str | Path) -> Path:
    for path in (Path(str(name)), CAMPAIGNS / f"{name}.toml"):
        with suppress(OSError, ValueError):  # it may be anything but a path
            if path.suffix == ".toml" and path.is_file():
                return path
    campaigns = [path.stem for path in CAMPAIGNS.glob("*.toml")]
    raise UnknownNameError(f"campaign in {CAMPAIGNS.resolve()}", str(name), campaigns)


def _live(campaign: Path) -> Benchmark:
    try:
        from hpobench_llm.benchmarks.live import LiveBenchmark

        return LiveBenchmark(campaign)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "collect", "a live benchmark") from None
