"""Colours of a page as CSS variables, light and dark, and drawings that follow them."""

import re

from hpobench_llm.report.looks import ALARM, DOT, GRID, INK, MUTED, PALETTE

_PAGE = {  # name: on a white page, on a dark one
    "ink": (INK, "#e4e7ea"),
    "quiet": ("#5c6670", "#a2abb4"),
    "line": ("#d9dee3", "#3a4148"),
    "page": ("#ffffff", "#16191d"),
    "soft": ("#f5f7f9", "#1f2429"),
    "accent": ("#0b5a94", "#7fbdeb"),
    "alarm": (ALARM, "#ff9b6b"),
    "dot": (DOT, "#5aa9e6"),
}
_LOOKS = {f"o{number}": pair for number, pair in enumerate(PALETTE)}
_VARIABLES = {
    **{light: name for name, (light, _) in _LOOKS.items()},
    INK: "ink",
    MUTED: "quiet",
    GRID: "line",
    ALARM: "alarm",
}


def variables() -> str:
    """Return the style sheet that defines each colour for light, dark and paper."""
    light, dark = (
        "; ".join(f"--{name}: {pair[mode]}" for name, pair in (_PAGE | _LOOKS).items())
        for mode in (0, 1)
    )
    return (
        f":root {{ {light}; color-scheme: light dark; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}; }} }}"
    )


def themed(svg: str) -> str:
    """Return a drawing in the variables of its page, to a hundredth of a point.

    More digits nobody sees, and they are half of a page's bytes.
    """
    coloured = re.sub(
        r"(?<=: )#[0-9a-f]{6}\b",
        lambda hit: f"var(--{_VARIABLES[hit[0]]})" if hit[0] in _VARIABLES else hit[0],
        svg,
    )
    return re.sub(
        r'(?<= [dxy]=")[^"]*', lambda hit: re.sub(r"(\.\d\d)\d+", r"\1", hit[0]), coloured
    )
