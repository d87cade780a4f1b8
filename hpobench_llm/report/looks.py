"""Colours, dashes and markers: one look for each optimizer, in pictures and tables alike.

Any two of the twelve colours differ by 11 or more (CIEDE2000) for usual eyes, protanopes and
deuteranopes alike, on a white page and on a dark one; a line has a contrast of 3 or more with its
page. A random search under these bounds found them, around the blue, the orange and the grey that
this suite has always had. Dashes and markers tell optimizers apart without any colour.
"""

from collections.abc import Sequence

INK, MUTED, GRID, ALARM, DOT = "#1f2328", "#66707b", "#e4e7eb", "#b23a00", "#0072b2"

Dashes = str | tuple[float, tuple[float, ...]]

# Each colour on a white page, and on a dark one.
PALETTE = (
    ("#0072b2", "#5aa9e6"),
    ("#d55e00", "#ff8f4d"),
    ("#00875f", "#c2f6a8"),
    ("#5b5b5b", "#a9a9a9"),
    ("#61181f", "#f54370"),
    ("#0a03c2", "#2b6efe"),
    ("#25a290", "#088f6a"),
    ("#a72106", "#927402"),
    ("#2693f7", "#a5f1d7"),
    ("#34a65f", "#e9f413"),
    ("#531c4c", "#c84797"),
    ("#2692a4", "#81e7f9"),
)
_DASHES: tuple[Dashes, ...] = ("-", (0, (6, 1.6)), (0, (4, 1.2, 1, 1.2)), (0, (2.2, 1.2)))
_FIXED = {"nomad": 0, "tpe-nni": 1, "tpe-optuna": 2, "random": 3}


def numbers(optimizers: Sequence[str]) -> dict[str, int]:
    """Return a number for each optimizer, from which its look follows.

    The four of most studies have the same on every page; the others get the remaining ones in
    alphabetical order.
    """
    used = {_FIXED[name] for name in optimizers if name in _FIXED}
    others = sorted(set(optimizers) - set(_FIXED))
    spare = [*range(len(_FIXED), len(PALETTE)), *(n for n in _FIXED.values() if n not in used)]
    free = [*spare, *range(len(PALETTE), len(PALETTE) + len(others))]
    number_of = _FIXED | dict(zip(others, free, strict=False))
    return {name: number_of[name] for name in optimizers}


def looks(optimizers: Sequence[str]) -> dict[str, tuple[str, Dashes]]:
    """Return a colour and a dash pattern for each optimizer."""
    return {
        name: (PALETTE[number % len(PALETTE)][0], _DASHES[dash_of(number)])
        for name, number in numbers(optimizers).items()
    }


def in_legend_as(optimizer: str) -> str:
    """Return an optimizer's name for a legend: matplotlib leaves out what begins with `_`."""
    return f" {optimizer}" if optimizer.startswith("_") else optimizer


def dash_of(number: int) -> int:
    """Return which dash pattern goes with a number: neighbours differ, and rounds of colours."""
    return (number + number // len(PALETTE)) % len(_DASHES)


def pattern_of(number: int) -> list[float]:
    """Return the lengths of a number's dashes in line widths, empty for a solid line."""
    dashes = _DASHES[dash_of(number)]
    return [] if isinstance(dashes, str) else [*dashes[1]]
