"""Colours and dashes: one look for each optimizer, in pictures and tables alike.

The hues follow Okabe and Ito (2008), told apart with any colour vision, darkened where text has
to be read in them; dashes tell optimizers apart without colour.
"""

from collections.abc import Sequence

INK, MUTED, GRID, ALARM, DOT = "#1f2328", "#66707b", "#e4e7eb", "#b23a00", "#0072b2"

Dashes = str | tuple[float, tuple[float, ...]]

_DASHES: tuple[Dashes, ...] = ("-", (0, (6, 1.6)), (0, (4, 1.2, 1, 1.2)), (0, (2.2, 1.2)))
_KNOWN = {"nomad": "#0072b2", "tpe-nni": "#d55e00", "tpe-optuna": "#00875f", "random": "#5b5b5b"}
_SPARE = ("#b4578f", "#a87400", "#3490c7")


def looks(optimizers: Sequence[str]) -> dict[str, tuple[str, Dashes]]:
    """Return a colour and a dash pattern for each optimizer.

    The four that most studies have look the same on every page; the others share what is left,
    in alphabetical order.
    """
    known = {name: (colour, _DASHES[i]) for i, (name, colour) in enumerate(_KNOWN.items())}
    others = sorted(set(optimizers) - set(known))
    free = [*_SPARE, *(colour for name, colour in _KNOWN.items() if name not in optimizers)]
    spare = {
        name: (free[i % len(free)], _DASHES[i // len(free) % len(_DASHES)])
        for i, name in enumerate(others)
    }
    return {name: (known | spare)[name] for name in optimizers}
