"""A study's pictures as files for a paper: PDF and SVG with their fonts, and PNG.

The style is that of matplotlib's rcParams (a `matplotlibrc` in the working folder, or the file
that `MATPLOTLIBRC` names). Text stays text: PDF holds its fonts as TrueType, SVG the letters that
it uses. Equal inputs give equal bytes.
"""

import base64
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.text import Text

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.report.plots import add_legend, fit_critical_difference
from hpobench_llm.report.study_result import Result

FORMATS = ("pdf", "svg", "png")
DOTS_PER_INCH = 300
_RULES: Any = {
    "pdf.fonttype": 42,  # TrueType: what journals take
    "svg.fonttype": "none",
    "svg.hashsalt": "hpobench-llm",
    "text.parse_math": False,
}
# Keys with the time of writing, which would make equal pictures differ.
_SILENT: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
    "png": {},
}


def write_figures(result: Result, folder: Path) -> list[Path]:
    """Write every picture that a result has in all formats, and return the files.

    Raises:
        OSError: the folder cannot be written.
    """
    files = []
    for name, draw in _pictures(result):
        with rc_context(_RULES):
            figure = Figure(layout="constrained")
            # A canvas without pyplot, which would keep the figure alive and may want a display.
            FigureCanvasAgg(figure)
            draw(figure.add_subplot())
            contents = {kind: _content(figure, kind) for kind in FORMATS}
        for kind, content in contents.items():
            path = folder / f"{name}.{kind}"
            write_atomically(path, content)
            files.append(path)
    return files


def _pictures(result: Result) -> Iterator[tuple[str, Callable[[Axes], None]]]:
    """Yield each picture's name, and the function that draws it."""
    if len(result.comparison.ranking) > 1:
        yield "critical-difference", partial(_draw, result.plot_critical_difference)
        yield "ranks", partial(_draw, result.plot_ranks)
    for compared in result.comparison.benchmarks:
        name = compared.benchmark
        file = quote(name, safe="")
        yield f"regret-{file}", partial(_draw, partial(result.plot_regret, name))
        if compared.front:
            yield f"pareto-{file}", partial(_draw, partial(result.plot_pareto, name))


def _draw(plot: Callable[..., Axes], axes: Axes) -> None:
    """Draw a picture, its names beside it."""
    plot(ax=axes)
    if axes.get_legend() is not None:
        add_legend(axes, beside=True)
    else:
        fit_critical_difference(axes)


def _content(figure: Figure, kind: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=DOTS_PER_INCH, metadata=_SILENT[kind])
    content = stream.getvalue()
    if kind != "svg":
        return content
    head, mark, body = content.decode().partition("<defs>")
    return f"{head}{mark}<style>{_faces(figure)}</style>{body}".encode()


def _faces(figure: Figure) -> str:
    """Return the fonts of a figure's texts as CSS, each with the letters that it is used for."""
    letters: dict[tuple[str, str, str, str], set[str]] = {}
    for text in (artist for artist in figure.findobj(Text) if isinstance(artist, Text)):
        font = text.get_fontproperties()
        key = (font.get_name(), str(font.get_weight()), font.get_style(), findfont(font))
        letters.setdefault(key, set()).update(text.get_text())
    return "".join(
        f"@font-face{{font-family:'{name}';font-weight:{weight};font-style:{style};"
        f"src:url(data:font/ttf;base64,{_subset(file, used)})}}"
        for (name, weight, style, file), used in sorted(letters.items())
        if used
    )


def _subset(file: str, letters: set[str]) -> str:
    font = TTFont(file, recalcTimestamp=False)
    options = Options(layout_features=[], notdef_outline=True)
    options.drop_tables += [
        "FFTM",
        "GDEF",
        "GPOS",
        "GSUB",
    ]  # with dates, or of no use to a browser
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(sorted(letters)))
    subsetter.subset(font)
    stream = io.BytesIO()
    font.save(stream)
    return base64.b64encode(stream.getvalue()).decode()
