"""What is known of an optimizer, or of what can be put around one, without importing it."""

import math
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, TypedDict, cast, get_args

from hpobench_llm.errors import OptimizerError

Family = Literal[
    "baseline",
    "random",
    "direct search",
    "evolutionary",
    "model-based",
    "multi-fidelity",
    "language model",
    "transfer",
    "other",
]
Objectives = Literal["one", "several"]


class EntryColumns(TypedDict):
    """What a listing shows of an entry, see `Entry`."""

    family: Family
    distribution: str
    installed: str | None
    summary: str
    objectives: Objectives
    fidelity: bool
    constraints: bool
    transfer: bool
    sequential: bool
    ends: bool
    fixed: bool
    stops: bool
    plans: bool
    broken: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an optimizer lives and what it can do.

    Args:
        target: `module:class`; empty where the class itself holds the entry.
        family: how it searches; `random` never learns from an outcome.
        distribution: the library that does the work; empty if the code is our own. Of a plug-in
            that names none it is the plug-in's.
        summary: a few words for a listing.
        objectives: `one`: exactly one; `several`: any number from one on.
        fidelity: it runs trials in part, so the benchmark needs a fidelity axis.
        constraints: it takes constraints into account.
        transfer: it learns from `sources`.
        sequential: it asks for one trial at a time, however many workers there are.
        ends: it repeats no configuration of a finite space, and ends when all were tried.
        fixed: no outcome changes what it asks for, only the seed, the sources and what was tried.
        stops: it may end although budget is left.
        plans: its first trials depend on the budget.
        broken: why a plug-in cannot be used; empty if it can.

    Raises:
        ValueError: an unknown family or number of objectives.
    """

    target: str = ""
    family: Family = "other"
    distribution: str = ""
    summary: str = ""
    objectives: Objectives = "one"
    fidelity: bool = False
    constraints: bool = False
    transfer: bool = False
    sequential: bool = False
    ends: bool = False
    fixed: bool = False
    stops: bool = False
    plans: bool = False
    broken: str = ""

    def __post_init__(self) -> None:
        # Plug-ins state entries, and no type checker need have seen them.
        for value, choices in ((self.family, Family), (self.objectives, Objectives)):
            if value not in get_args(choices):
                raise ValueError(f"unknown {value!r}; known: {', '.join(get_args(choices))}")

    @property
    def installed(self) -> str | None:
        """The installed version of `distribution`; None if there is none, or not installed."""
        try:
            return version(self.distribution) if self.distribution else None
        except PackageNotFoundError:
            return None

    def columns(self) -> EntryColumns:
        """Return what a listing shows, as plain JSON values."""
        shown = {slot: getattr(self, slot) for slot in self.__slots__ if slot != "target"}
        return cast("EntryColumns", shown | {"installed": self.installed})


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What a name such as `random+stop-no-improve:30` puts around an optimizer.

    Args:
        target: module and callable, which takes what builds the optimizer inside, the value, and
            the keyword arguments of `registry.build`, and returns an optimizer.
        summary: a few words for a listing.
        value: what the number after the colon is; always above 0.
        default: the number where none is given; None: one has to be given.
        whole: whether it is a whole number.
        objectives: `one`: only optimizers of one objective, or asked for one, can be inside.
        transfer, stops: as in `Entry`.
    """

    target: str
    summary: str
    value: str
    default: int | float | None
    whole: bool = False
    objectives: Literal["one", "several"] = "several"
    transfer: bool = False
    stops: bool = False

    def around(self, entry: Entry) -> Entry:
        """Return the entry of an optimizer with this around it."""
        return replace(
            entry,
            summary=f"{entry.summary}; {self.summary}",
            objectives="one" if "one" in (entry.objectives, self.objectives) else "several",
            transfer=entry.transfer or self.transfer,
            stops=entry.stops or self.stops,
        )

    def read(self, text: str | None, where: str) -> int | float:
        """Return the value that a name gives, the default for None.

        Raises:
            OptimizerError: it is not a finite number above 0, or not a whole one, or there is
                none; the message names `where`.
        """
        if text is None and self.default is not None:
            return self.default
        try:
            number = int(text or "") if self.whole else float(text or "")
        except ValueError:
            number = 0  # refused below, with the others
        if not 0 < number < math.inf:
            kind = "whole number" if self.whole else "number"
            raise OptimizerError(
                f"{where}: after a colon a {kind} above 0 is needed ({self.value}), got {text!r}"
            )
        return number

    def columns(self) -> dict[str, str | int | float | None]:
        """Return what a listing shows, as plain JSON values."""
        return {"summary": self.summary, "value": self.value, "default": self.default}
