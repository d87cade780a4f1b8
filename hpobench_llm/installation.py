"""How this package was installed, so that a hint to install more of it can be followed."""

import json
from pathlib import Path
from typing import TypedDict
from urllib.parse import unquote, urlsplit

NAME = "hpobench-llm"
_CHECKOUT = Path(__file__).parents[1]


def requirement(extra: str) -> str:
    """Return what `pip install` takes to add an extra: a checkout, another origin, or the name.

    A checkout is `.` in its own folder, and its path elsewhere.
    """
    origin: _Origin = {} if _is_checkout(_CHECKOUT) else _origin()
    url = str(origin.get("url", ""))
    source = Path(unquote(urlsplit(url).path)) if "dir_info" in origin else _CHECKOUT
    if _is_checkout(source):
        return f"{'.' if source == Path.cwd() else source}[{extra}]"
    if "vcs_info" in origin:
        return f"{NAME}[{extra}] @ {origin['vcs_info']['vcs']}+{url}"
    return f"{NAME}[{extra}] @ {url}" if "archive_info" in origin else f"{NAME}[{extra}]"


def _is_checkout(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()


class _Vcs(TypedDict):
    vcs: str


class _Origin(TypedDict, total=False):
    """`direct_url.json` of PEP 610."""

    url: str
    dir_info: object
    vcs_info: _Vcs
    archive_info: object


def _origin() -> _Origin:
    """Return what pip noted of where it installed this package from (PEP 610), if anything."""
    from importlib import metadata

    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    origin: _Origin = json.loads(text or "{}")
    return origin
