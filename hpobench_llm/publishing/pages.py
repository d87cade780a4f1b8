"""The pages of a site: plain HTML without scripts, one style sheet, no network."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.plain import Json
from hpobench_llm.publishing.studies import PublishedStudy, Row
from hpobench_llm.report.words import interval, percent, rank_interval
from hpobench_llm.tables.schema import EXAMPLES_FILE
from hpobench_llm.tables.table import Table

STYLE = "style.css"


def index_page(title: str, tables: Sequence[Table], studies: Sequence[PublishedStudy]) -> str:
    """Return the page that lists all tables and studies."""
    sizes = {
        table.metadata.name: len(table.frame.drop_duplicates(["config_id", "seed"]))
        for table in tables
    }
    return _render("index.html", "", title=title, tables=tables, studies=studies, runs=sizes)


def table_page(title: str, table: Table, card: str, croissant: Mapping[str, Json]) -> str:
    """Return the page of a table: its card, its files, and Croissant for search engines."""
    described = json.dumps(croissant).replace("<", "\\u003c")  # nothing in it may end the script
    return _render(
        "table.html",
        "../../",
        title=title,
        table=table,
        card=_html(card),
        croissant=described,
        examples=EXAMPLES_FILE if table.metadata.examples_sha256 else "",
    )


def study_page(title: str, study: PublishedStudy) -> str:
    """Return the page of a study: its standings, and where its report is."""
    return _render("study.html", "../../", title=title, study=study, boards=_boards(study.rows))


def leaderboard_page(title: str, studies: Iterable[PublishedStudy]) -> str:
    """Return the page of all standings, by benchmark and budget, the lowest regret first."""
    rows = [row for study in studies for row in study.rows]
    return _render("leaderboard.html", "", title=title, boards=_boards(rows))


def style_sheet() -> str:
    """Return the style sheet of all pages."""
    return (resources.files(__package__) / "templates" / STYLE).read_text(encoding="utf-8")


def _boards(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], list[Row]]:
    """Return rows that can be compared: of one benchmark, its sums, metric and budget."""
    boards: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        metric = f"{row.metric} ({row.unit})" if row.unit not in ("", "1") else row.metric
        boards.setdefault((row.benchmark, metric, row.budget, row.sums), []).append(row)
    return {key: sorted(board, key=lambda row: row.regret.value) for key, board in boards.items()}


def _render(template: str, root: str, **values: Any) -> str:
    return _environment().get_template(template).render(root=root, style=STYLE, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hpobench_llm.publishing", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "interval": interval,
        "rank_interval": rank_interval,
        "percent": percent,
    }
    return environment


def _html(markdown: str) -> str:
    """Return a card as HTML; any HTML in it becomes text.

    Raises:
        MissingDependencyError: markdown-it-py is not installed.
    """
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError:
        raise MissingDependencyError("markdown-it-py", "publish", "a page of a table") from None
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rendered: str = parser.render(markdown)
    # A wide table scrolls by itself on a small screen, also by keyboard.
    wide = '<div class="wide" tabindex="0" role="region" aria-label="table"><table>'
    return rendered.replace("<table>", wide).replace("</table>", "</table></div>")
