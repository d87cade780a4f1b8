"""One self-contained HTML file: style, scripts, data, and a policy that forbids everything else.

Equal inputs give equal bytes. Where scripts are off, or Vega is not installed, drawings stand in
for the figures.
"""

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources
from itertools import count
from typing import TypedDict

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from hpobench_llm.report import words
from hpobench_llm.report.canvas import Picture
from hpobench_llm.report.looks import PALETTE, numbers, pattern_of
from hpobench_llm.report.web.charts import Chart
from hpobench_llm.report.web.theme import themed, variables
from hpobench_llm.report.web.vega import bundle

SCRIPTS = ("charts.js", "page.js")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a page: its drawing, its caption, and the data of its interactive form."""

    id: str
    still: str
    caption: str
    chart: Chart | None


@dataclass(slots=True)
class Figures:
    """Numbers the figures of one page."""

    _next: Iterator[int] = field(default_factory=lambda: count(1))

    def of(self, picture: Picture | None, chart: Chart | None) -> Figure | None:
        """Return a figure; None where there is no picture of it."""
        if picture is None:
            return None
        return self.instead_of(themed(picture.svg), picture.caption, chart)

    def instead_of(self, still: str, caption: str, chart: Chart | None) -> Figure:
        """Return a figure that replaces HTML if scripts run."""
        return Figure(f"figure-{next(self._next)}", still, caption, chart)


def document(
    template: str,
    *,
    title: str,
    contents: Sequence[tuple[str, str]],
    optimizers: Sequence[str] = (),
    mine: Collection[str] = (),
    still: bool = False,
    **values: object,
) -> str:
    """Return a page.

    Args:
        template: its name in this folder.
        title: of the page.
        contents: id and text of each entry in its list of contents.
        optimizers: those that have a look of their own in its figures and tables.
        mine: those of them that are marked as the reader's own.
        still: whether its figures are drawings, without scripts.
        values: further values of the template.
    """
    vega = None if still else bundle()
    ours = "\n".join(_text(name) for name in SCRIPTS)
    scripts = [vega, ours] if vega else []
    page = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            contents=contents,
            style=Markup(f"{variables()}\n{_text('page.css')}"),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
            looks=_looks(optimizers, mine) if vega else None,
            numbers={name: n % len(PALETTE) for name, n in numbers(optimizers).items()},
            mine=[*mine],
            **values,
        )
    )
    # A path's bytes may be no UTF-8; they are shown escaped.
    return page.encode(errors="backslashreplace").decode()


class Look(TypedDict):
    """The look of an optimizer; `mine` marks a reader's own."""

    number: int
    colour: str
    dash: Sequence[float]
    mine: bool


def _looks(optimizers: Sequence[str], mine: Collection[str]) -> dict[str, Look]:
    return {
        name: {
            "number": number,
            "colour": f"var(--o{number % len(PALETTE)})",
            "dash": pattern_of(number),
            "mine": name in mine,
        }
        for name, number in numbers(optimizers).items()
    }


def _policy(scripts: Sequence[str]) -> str:
    """Forbid every connection, and all scripts but these."""
    sums = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in sums) or "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"


def _json(value: object) -> Markup:
    """Return JSON that can neither end nor start an HTML element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "json": _json,
        "number": words.number,
        "interval": words.interval,
        "rank_interval": words.rank_interval,
        "percent": words.percent,
        "p_value": words.p_value,
        "overall": words.overall,
    }
    return environment
