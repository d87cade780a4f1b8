"""Foreign text in a card: names and descriptions that Markdown must not take for its own."""

import re

_SPECIAL = re.compile(r"([\\*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#=+-])")


def plain(text: object) -> str:
    """Return text that a renderer shows as it stands: one line, no HTML, no Markdown.

    An underscore within a word is none of Markdown's, so names of columns stay as they are.
    Backticks stay: within them nothing else is read.
    """
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)
