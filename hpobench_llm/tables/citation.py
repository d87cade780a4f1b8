"""How a table is cited: the entry that its makers give, or one made of what they say."""

import re

from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import Metadata

_ESCAPED = re.compile(r"([&%$#_{}])")


def bibtex(metadata: Metadata) -> str:
    """Return a BibTeX entry; fields that are not known are left out."""
    said = Publication.of(metadata.provenance)
    if said.citation:
        return said.citation.strip()
    fields = {
        "author": " and ".join(f"{{{_tex(author)}}}" for author in said.authors),
        "title": f"{{{_tex(metadata.name)}}}, version {_tex(metadata.version)}",
        "year": said.date[:4],
        "doi": said.doi,
        "url": said.url,
        "note": f"table.parquet sha256 {metadata.table_sha256}",
    }
    key = re.sub(r"[^A-Za-z0-9-]+", "-", f"{metadata.name}-{metadata.version}")
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _tex(text: str) -> str:
    return _ESCAPED.sub(r"\\\1", text.replace("\\", ""))
