"""How a table is cited: the entry of its makers, or one made from its metadata."""

import re

from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import Metadata

_ESCAPED = re.compile(r"([&%$#_{}])")


def bibtex(metadata: Metadata) -> str:
    """Return a BibTeX entry; fields that are not known are left out."""
    publication = Publication.of(metadata.provenance)
    if publication.citation:
        return publication.citation.strip()
    fields = {
        "author": " and ".join(f"{{{_tex(author)}}}" for author in publication.authors),
        "title": f"{{{_tex(metadata.name)}}}, version {_tex(metadata.version)}",
        "year": publication.date[:4],
        "doi": publication.doi,
        "url": publication.url,
        "note": f"table.parquet sha256 {metadata.table_sha256}",
    }
    key = re.sub(r"[^A-Za-z0-9-]+", "-", f"{metadata.name}-{metadata.version}")
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _tex(text: str) -> str:
    return _ESCAPED.sub(r"\\\1", text.replace("\\", ""))
