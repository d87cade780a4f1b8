"""What is known of an optimizer without importing it."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, get_args

Family = Literal[
    "random", "direct search", "evolutionary", "model-based", "multi-fidelity", "transfer", "other"
]
Objectives = Literal["one", "several"]


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
        ends: it repeats no configuration of a finite space and asks for nothing when none is left.
        broken: why a plug-in cannot be used; empty if it can.

    Raises:
        ValueError: a family or a number of objectives that there is not.
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
    broken: str = ""

    def __post_init__(self) -> None:
        for value, known in ((self.family, Family), (self.objectives, Objectives)):
            if value not in get_args(known):
                raise ValueError(f"unknown {value!r}; known: {', '.join(get_args(known))}")

    @property
    def installed(self) -> str | None:
        """The installed version of `distribution`; None if there is none, or not installed."""
        try:
            return version(self.distribution) if self.distribution else None
        except PackageNotFoundError:
            return None

    def columns(self) -> dict[str, str | bool | None]:
        """Return what a listing shows, as plain JSON values."""
        shown = {slot: getattr(self, slot) for slot in self.__slots__ if slot != "target"}
        return shown | {"installed": self.installed}
