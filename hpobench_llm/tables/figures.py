"""Pictures that a table's family asks for: numbers in its provenance, SVG files by its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.tables.markdown import plain

FIGURES: Final = "figures"  # the key of a table's provenance


class FigureRecord(TypedDict):
    """Curves over numbers, in panels by title: the points `[x, y]` of each curve by name.

    `name` is the stem of the file, `x` and `y` say what the axes are; all numbers are above 0.
    """

    name: str
    caption: str
    x: str
    y: str
    panels: dict[str, dict[str, list[list[float]]]]


def check_figures(raw: Any) -> None:
    """Check the types in a list of figures, and that each names a file beside the card.

    Raises:
        TypeError, KeyError, ValueError: something is missing or not of its kind.
    """
    for entry in raw:
        texts = [entry[key] for key in ("name", "caption", "x", "y")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"the texts of a figure are expected: {texts!r:.80}")
        if not entry["name"].replace("-", "").isalnum() or not entry["name"].isascii():
            raise ValueError(f"a figure's name is letters, digits and -: {entry['name']!r:.80}")
        curves = [points for panel in entry["panels"].values() for points in panel.values()]
        numbers = [number for points in curves for x, y in points for number in (x, y)]
        if not numbers or not all(isinstance(number, int | float) for number in numbers):
            raise TypeError(f"figure {entry['name']}: points of two numbers are expected")
        if not all(0 < number < float("inf") for number in numbers):
            raise ValueError(f"figure {entry['name']}: its numbers must be above 0 and finite")


def figure_section(provenance: Mapping[str, Any]) -> list[str]:
    """Return the pictures of a card, with their captions; no line where there are none."""
    lines = []
    for figure in provenance.get(FIGURES, ()):
        caption = plain(figure["caption"])
        lines += ["", f"![{caption}]({figure['name']}.svg)", "", caption]
    return ["## Pictures", *lines] if lines else []


def write_figures(provenance: Mapping[str, Any], folder: Path) -> None:
    """Write the pictures that the card shows into its folder.

    Raises:
        OSError: one cannot be written.
    """
    for figure in provenance.get(FIGURES, ()):
        from hpobench_llm.drawing.panels import panels_svg  # matplotlib, which most cards need not

        svg = panels_svg(figure["panels"], figure["x"], figure["y"])
        write_atomically(folder / f"{figure['name']}.svg", svg)
