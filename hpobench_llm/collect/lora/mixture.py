"""Shares of the sources among a run's training rows: axes of a grid, which sum to one."""

import re
from collections.abc import Mapping, Sequence

from hpobench_llm.space import Ordinal, Simplex, Value

SHARE = "share_"  # before a source's name: its axis, and its column
Levels = Mapping[str, tuple[float, ...]]
Shares = tuple[tuple[str, float], ...]  # by source; they sum to one


def shares_of(config: Mapping[str, Value]) -> Shares:
    """Return the shares that a configuration gives the sources; none without a mixture."""
    return tuple(
        (name.removeprefix(SHARE), float(value))
        for name, value in config.items()
        if name.startswith(SHARE)
    )


def axes_of(mixture: Levels) -> tuple[Ordinal, ...]:
    """Return the axes of a mixture, in its order."""
    return tuple(
        Ordinal(SHARE + source, tuple(map(float, levels))) for source, levels in mixture.items()
    )


def simplexes_of(mixture: Levels) -> tuple[Simplex, ...]:
    """Return what binds the axes of a mixture."""
    return (Simplex("mixture", tuple(SHARE + name for name in mixture)),) if mixture else ()


def check_sources(mixture: Levels, sources: Sequence[str]) -> None:
    """Check that a mixture names the sources of the data, each once.

    Raises:
        ValueError: it does not, or a name can be no part of a column's.
    """
    if {*mixture} != {*sources}:
        raise ValueError(
            f"`mixture` has to give levels for each of data.source: {', '.join(sources)}; "
            f"it names {', '.join(mixture)}"
        )
    for source in mixture:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", source):
            raise ValueError(
                f"`mixture`: {source!r} becomes a part of a column's name: letters, digits and _"
            )
