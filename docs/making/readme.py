"""Sections of the READMEs, so that a fact has one place: headings and links fit the site."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {  # where on the site what a README says is found
    "README.md": "index",
    "CONTRIBUTING.md": "extend/contributing",
    "collect/README.md": "stages/collect",
    "tables/README.md": "stages/tables",
    "surrogates/README.md": "stages/surrogates",
    "studies/README.md": "stages/replay",
}
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def section(file: str, title: str, page: str) -> str:
    """Return a section of a README without its heading, what is inside it one level up.

    Raises:
        KeyError: the README has no such section.
    """
    sections = _sections((ROOT / file).read_text(encoding="utf-8"))
    if title not in sections:
        raise KeyError(f"{file} has no section {title!r}; it has {', '.join(sections)}")
    return _linked(sections[title].strip(), file, page)


def _sections(text: str) -> dict[str, str]:
    """Return the text under each heading by its title, what stands before the first under ``."""
    sections, title = {"": ""}, ""
    for number, part in enumerate(_FENCE.split(text)):
        if number % 2:  # a block of code: its comments are no headings
            sections[title] += part
            continue
        for line in part.splitlines(keepends=True):
            if heading := re.match(r"#{2,3} (.+)", line):
                title = heading[1]
                sections[title] = ""
            elif not line.startswith("# "):
                sections[title] += line
    return sections


def _linked(text: str, file: str, page: str) -> str:
    """Point links to READMEs at pages; a file of the repository is named by its path."""

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        if path in PAGES:
            to = posixpath.relpath(PAGES[path], posixpath.dirname(page) or ".")
            return f"[{label}]({to}.md)"
        if path.startswith("docs/"):
            to = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(page) or ".")
            return f"[{label}]({to})"
        return f"`{path}`" if Path(path).name in label else f"{label} (`{path}`)"

    return _LINK.sub(link, text)
