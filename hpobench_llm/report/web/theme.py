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

    Nobody sees more digits, and they are half of a page's bytes.
    """
    # After `: `, as in a style; an id may look like a colour too.
    coloured = re.sub(
        r"(?<=: )#[0-9a-f]{6}\b",
        lambda match: f"var(--{_VARIABLES[match[0]]})" if match[0] in _VARIABLES else match[0],
        svg,
    )
    return re.sub(
        r'(?<= [dxy]=")[^"]*', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), coloured
    )
