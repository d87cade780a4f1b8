"""What a study is: optimizers times benchmarks times seeds, and the rules for all of them.

A benchmark may be named with its kind, `surrogate:lora-nano`, so that a table and the surrogate on
it can be two benchmarks of one study: that is then its name in all results.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, Literal, cast

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import KINDS, Kind, load
from hpobench_llm.errors import UnknownNameError, nearest
from hpobench_llm.optimizers.references import MAIN

TIMEOUT_SECONDS = 3600.0
NONE: Final = "none"
OTHERS: Final = "others"
EARLIER: Final = "earlier"


@dataclass(frozen=True, slots=True)
class StudyCell:
    """One replay of a study's grid; the benchmark is named as in the study's file."""

    benchmark: str
    optimizer: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """Who competes on what (`studies/<name>.toml`). The seeds 0, 1, ... are shared by all.

    Args:
        name: the study's name.
        title: the heading of its report.
        benchmarks: names of tables, surrogates, campaigns or toys, as they are or with a kind,
            `surrogate:lora-nano`, so that a table and its surrogate are two benchmarks of one
            study. `suite:lora` stands for the problems of a suite and their objectives.
        optimizers: names, as `hpobench-llm ls optimizers` has them, and `my_module:MyClass`: a
            class in a module beside the file, or anywhere that Python imports from.
        seeds: how many replays of each optimizer on each benchmark, with the seeds 0, 1, ...
        budget: of each replay: so many trials, or one unit and its amount: `{seconds = 3600}` on
            the simulated clock, `{tokens = 1e6}`, `{step = 4096}` of a fidelity axis.
        objectives: the metrics that optimizers are told, `["val_loss", "score_blimp"]`.
        objective: the short form of `objectives` for one metric; `val_loss` if neither is given.
            A study that was read has `{}` in its place. Or the one metric of some benchmarks by
            name, `{lora-nano = "test_loss"}`, where those of the others are the `objectives`.
        workers: how many trials run at a time, on the simulated clock; on a live benchmark in so
            many processes.
        kind: that of all benchmarks (`table`, `surrogate` or `live`), or by name of some, where
            the others are tables. What a live benchmark trains is kept in the study's folder,
            and no run is trained twice.
        allow_poor: take a surrogate too that did not pass its ranking check.
        constraints: bounds on what was measured, `{peak_memory_bytes = 2e9}`. See
            `Benchmark.constrained`.
        initial: so many distinct configurations are drawn for each benchmark and seed, and are
            the first trials of every optimizer; they count.
        sources: the benchmarks that methods which transfer learn from, the one that is optimized
            always left out; `others`: all of the study; `earlier`: those that stand before it in
            `benchmarks`, of which the first is then learnt from alone.
        table_seed: each trial answers with the run of this seed of its benchmark; left out, with
            the mean over the seeds that all configurations have.
        checkpoint_seconds: what it takes to resume a trial; `none`: it begins anew.
        count_optimizer_seconds: let the optimizers' own time pass on the clock too; no two runs
            of the study are equal then.
        timeout_seconds: a replay that takes longer, in wall seconds, counts as hung and is ended;
            `none`: it may take as long as it likes. Left out, it is an hour, and `none` for a
            live benchmark.
        suite: name and version of the suite that the benchmarks are of; empty if they are listed.
            `suites.expanded` writes it: say `suite:lora` in `benchmarks` instead.
    """

    name: str
    title: str
    benchmarks: tuple[str, ...]
    optimizers: tuple[str, ...]
    seeds: int
    budget: int | dict[str, int | float]
    objectives: tuple[str, ...] = ()
    objective: str | dict[str, str] = ""
    workers: int = 1
    kind: str | dict[str, str] = "table"
    allow_poor: bool = False
    constraints: dict[str, int | float] = field(default_factory=dict)
    initial: int = 0
    sources: tuple[str, ...] | Literal["others", "earlier"] = ()
    table_seed: int | None = None
    checkpoint_seconds: float | Literal["none"] = 0.0
    count_optimizer_seconds: bool = False
    timeout_seconds: float | Literal["none"] | None = None
    suite: str = ""

    def __post_init__(self) -> None:
        short = self.objective if isinstance(self.objective, str) else ""
        if short and self.objectives:
            raise ValueError("`objective` is short for `objectives`: give one of the two")
        if not self.objectives:
            # The class is frozen, and both spellings of a study must be equal.
            object.__setattr__(self, "objectives", (short or "val_loss",))
        if short or not self.objective:
            object.__setattr__(self, "objective", {})
        for key, least in (("seeds", 1), ("workers", 1), ("initial", 0), ("table_seed", 0)):
            number = getattr(self, key)
            if number is not None and number < least:
                raise ValueError(f"`{key}` must be at least {least}, got {number}")
        for key in ("benchmarks", "optimizers", "objectives"):
            names = getattr(self, key)
            if not names or len(set(names)) < len(names):
                raise ValueError(f"`{key}` must be distinct and not empty: {list(names)}")
        for key in ("name", "title", "benchmarks", "optimizers", "objectives"):
            value = getattr(self, key)
            for text in (value,) if isinstance(value, str) else value:
                if any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise ValueError(f"`{key}` holds half a letter, a lone surrogate: {text!r}")
        for key in ("checkpoint_seconds", "timeout_seconds"):
            value = getattr(self, key)
            if isinstance(value, float) and not 0 <= value < math.inf:
                raise ValueError(f'`{key}` must be 0 or more, or "none", got {value}')
        if self.timeout_seconds == 0:
            raise ValueError('`timeout_seconds` must be more than 0, or "none", got 0')
        for key in ("kind", "objective"):
            by_benchmark = getattr(self, key)
            for name in by_benchmark if isinstance(by_benchmark, dict) else ():
                if name not in self.benchmarks:
                    raise ValueError(
                        f"`{key}.{name}`: no such benchmark{nearest(name, self.benchmarks)}"
                    )
                if key == "kind" and _split(name)[0]:
                    raise ValueError(f"`kind.{name}`: the name says its kind itself")
        if self.sources == EARLIER and len(self.benchmarks) == 1:
            raise ValueError('`sources` = "earlier" needs two `benchmarks` or more, oldest first')
        if self.objective and len(self.objectives) > 1:
            raise ValueError("`objective` by benchmark and several `objectives`: give one of both")
        kinds = self.kind if isinstance(self.kind, dict) else {"": self.kind}
        for name, kind in kinds.items():
            key = f"kind.{name}" if name else "kind"
            if kind not in KINDS:
                raise ValueError(f"`{key}`: unknown kind {kind!r}{nearest(kind, KINDS)}")

    def plain(self) -> dict[str, Any]:
        """Return the study as plain JSON values; `parse_spec` reads them again."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
            if value is not None and (value or key not in ("objective", "suite"))
        }

    @property
    def optimized(self) -> tuple[str, ...]:
        """The benchmarks that are optimized; the first of a series is only learnt from."""
        return self.benchmarks[1:] if self.sources == EARLIER else self.benchmarks

    @property
    def typed(self) -> tuple[str, ...]:
        """The optimizers whose classes were typed in, so that only this process has them."""
        return tuple(name for name in self.optimizers if name.startswith(f"{MAIN}:"))

    @property
    def trains(self) -> bool:
        """Whether a benchmark is a live one."""
        return any(kind_of(name, self.kind) == "live" for name in self.benchmarks)

    def cells(self) -> list[StudyCell]:
        """Return all replays, by benchmark, optimizer and seed."""
        return [
            StudyCell(*cell)
            for cell in product(self.optimized, self.optimizers, range(self.seeds))
        ]

    def load(self, name: str, where: str = "") -> Benchmark:
        """Return one of the benchmarks, of its kind and constrained. See `catalogue.load`."""
        benchmark = load_as(name, self.kind, where, allow_poor=self.allow_poor)
        return benchmark.constrained(self.constraints) if self.constraints else benchmark

    def objectives_of(self, benchmark: str) -> tuple[str, ...]:
        """Return the metrics that are optimized on a benchmark."""
        own = self.objective.get(benchmark) if isinstance(self.objective, dict) else None
        return (own,) if own else self.objectives

    def related(self) -> list[str]:
        """Return the benchmarks that are learnt from and not optimized themselves."""
        listed = () if isinstance(self.sources, str) else self.sources
        return [name for name in listed if name not in self.benchmarks]

    def sources_of(self, benchmark: str) -> list[str]:
        """Return the benchmarks that may be learnt from when `benchmark` is optimized."""
        listed: tuple[str, ...]
        if self.sources == EARLIER:
            listed = self.benchmarks[: self.benchmarks.index(benchmark)]
        else:
            listed = self.benchmarks if self.sources == OTHERS else self.sources
        searched = _split(benchmark)[1]  # a surrogate of its own table would give it away
        return [name for name in listed if _split(name)[1] != searched]

    def timeout(self, cell: StudyCell) -> float | None:
        """Return after how many wall seconds a replay counts as hung; None: never."""
        if self.timeout_seconds is None:
            return None if kind_of(cell.benchmark, self.kind) == "live" else TIMEOUT_SECONDS
        return None if self.timeout_seconds == NONE else float(self.timeout_seconds)


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study in this process: what it is, and its benchmarks, each of which is opened once.

    Args:
        spec: what it is.
        opened: the benchmarks that are open, by the name that the study gives them.
        modules: the folder that modules of optimizers are looked for in last; empty: none.
    """

    spec: StudySpec
    opened: dict[str, Benchmark] = field(default_factory=dict)
    modules: str = ""

    def benchmark(self, name: str) -> Benchmark:
        """Return a benchmark, which is opened if it is not open yet. See `StudySpec.load`."""
        if name not in self.opened:
            self.opened[name] = self.spec.load(name)
        return self.opened[name]


def kind_of(name: str, kind: str | dict[str, str]) -> Kind:
    """Return the kind that a benchmark's name, or else a study's `kind`, gives it."""
    own_kind, _ = _split(name)
    if own_kind:
        return own_kind
    return cast("Kind", kind.get(name, "table") if isinstance(kind, dict) else kind)


def load_as(
    name: str, kind: str | dict[str, str], where: str = "", *, allow_poor: bool = False
) -> Benchmark:
    """Return a benchmark of the kind that a study gives it, called as the study calls it."""
    own_kind, plain = _split(name)
    try:
        benchmark = load(plain, kind_of(name, kind), allow_poor=allow_poor)
    except UnknownNameError as error:
        raise error.at(where) from None
    return benchmark.called(f"{own_kind}:{benchmark.name}") if own_kind else benchmark


def _split(name: str) -> tuple[Kind | None, str]:
    """Return the kind with which a benchmark's name begins, None without one, and the rest."""
    kind, colon, plain = name.partition(":")
    return (kind, plain) if colon and kind in KINDS else (None, name)
