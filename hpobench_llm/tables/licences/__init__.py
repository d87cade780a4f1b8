"""Licences of tables: their SPDX names, where they are stated, and the text of the usual ones."""

import re
from importlib import resources

_URLS = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
}
_SPDX = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_NONE = ("none", "noassertion", "unknown", "unlicensed", "proprietary", "other")


def is_stated(licence: str) -> bool:
    """Whether a licence is an SPDX name, under which a table may be passed on.

    A sentence is not: it may be "none found upstream, do not redistribute".
    """
    return bool(_SPDX.fullmatch(licence)) and licence.lower() not in _NONE


def licence_url(licence: str) -> str:
    """Return the address of a licence's text; empty for one that is not known here."""
    return _URLS.get(licence, "")


def licence_text(licence: str) -> str:
    """Return the content of a published table's LICENSE: the text, or name and address."""
    text = resources.files(__package__) / f"{licence}.txt"
    if licence in _URLS and text.is_file():
        return text.read_text(encoding="utf-8")
    url = licence_url(licence)
    return f"{licence}\n{url}\n" if url else f"{licence}\n"
