"""A page of `docs/` as what a reader does with it: files to write, commands, programs."""

import contextlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from hpobench_llm.cli import main
from hpobench_llm.cli.collect import main as collect_grid

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md"))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n")
_PROGRAMS = {"hpobench-llm": main, "collect-grid": collect_grid}


def making() -> ModuleType:
    """Return `docs/making`, which is no part of the package."""
    if "making" not in sys.modules:
        home = DOCS / "making"
        spec = importlib.util.spec_from_file_location(
            "making", home / "__init__.py", submodule_search_locations=[str(home)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["making"] = module
        spec.loader.exec_module(module)
    return sys.modules["making"]


def filled(page: str) -> str:
    """Return a page's Markdown, with what is made from the code and taken from READMEs."""
    text: str = making().fill((DOCS / f"{page}.md").read_text(encoding="utf-8"), page)
    return text


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the blocks of code of a page as (language, text)."""
    yield from _BLOCK.findall(filled(page))


def runs(page: str) -> bool:
    """Whether a page has anything to run."""
    return any(language in ("console", "python") for language, _ in blocks(page))


def follow(page: str) -> None:
    """Do what a page says, in the present folder and in its order.

    A block that begins with a file's name in a comment becomes that file. A block of text after
    a program is what it prints.
    """
    scope: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    for language, text in blocks(page):
        if named := _FILE.match(text):
            Path(named[1]).write_text(text, encoding="utf-8")
        elif language == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    _call(line.removeprefix("$ "), page)
        elif language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, f"docs/{page}.md", "exec"), scope)
            printed = out.getvalue()
            continue
        elif language == "text" and printed is not None:
            assert printed == text, f"docs/{page}.md: a program printed {printed!r}"
        printed = None


def _call(command: str, page: str) -> None:
    program, *arguments = shlex.split(command)
    try:
        status = _PROGRAMS[program](arguments)
    except SystemExit as end:  # --version, --help
        status = int(end.code or 0)
    assert status == 0, f"docs/{page}.md: {command} ended with {status}"
