"""Statements of a table's makers: whose it is, where it is, what it is for.

They are `[publication]` in a campaign and in the spec of an import, and part of the provenance.
"""

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, TypedDict, cast

if TYPE_CHECKING:
    from hpobench_llm.tables.provenance import TableProvenance

PUBLICATION: Final = "publication"  # the key, in specs and in a table's provenance
# Notes of a family of campaigns: for whoever trains a run again, and on the sources.
RETRAINING: Final = "retraining"
DATA_NOTES: Final = "data_notes"
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_URL = re.compile(r"https?://[^\s<>\"]+")


class PublicationRecord(TypedDict, total=False):
    """A publication as plain JSON."""

    authors: list[str]
    url: str
    doi: str
    citation: str
    date: str
    motivation: str
    uses: str
    not_for: str
    maintenance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A publication; every field is optional, and nothing is made up for a missing one.

    Args:
        authors: people or groups, each in full.
        url: where the table, or the work it belongs to, is found.
        doi: as `10.5281/zenodo.1234`.
        citation: the BibTeX entry; without it one is made of the other fields.
        date: of publication, as `2026-11-29`.
        motivation: why it was made.
        uses: what it is good for.
        not_for: what and whom it is not for.
        maintenance: who keeps it, and how errors are reported.
    """

    authors: tuple[str, ...] = ()
    url: str = ""
    doi: str = ""
    citation: str = ""
    date: str = ""
    motivation: str = ""
    uses: str = ""
    not_for: str = ""
    maintenance: str = ""

    def __post_init__(self) -> None:
        if not all(author.strip() for author in self.authors):
            raise ValueError("`authors`: a name is empty")
        if self.url and not _URL.fullmatch(self.url):
            raise ValueError(f"`url`: http:// or https:// is expected, got {self.url!r}")
        if self.doi and not _DOI.fullmatch(self.doi):
            raise ValueError(f"`doi`: 10.NNNN/... without https:// is expected, got {self.doi!r}")
        if self.date:
            try:
                date.fromisoformat(self.date)
            except ValueError:
                raise ValueError(f"`date`: YYYY-MM-DD is expected, got {self.date!r}") from None

    def to_json(self) -> PublicationRecord:
        """Return the stated fields, as plain JSON values."""
        stated = {key: value for key, value in asdict(self).items() if value}
        stated |= {"authors": list(self.authors)} if self.authors else {}
        return cast("PublicationRecord", stated)

    @staticmethod
    def from_json(raw: PublicationRecord) -> "Publication":
        """Rebuild what `to_json` returned.

        Raises:
            TypeError, ValueError: it is not of that form.
        """
        authors = raw.get("authors", [])
        if not isinstance(authors, list) or not all(isinstance(name, str) for name in authors):
            raise TypeError("`authors` must be a list of texts")
        listed = {**raw, "authors": tuple(authors)}
        if not all(isinstance(v, str) for k, v in listed.items() if k != "authors"):
            raise TypeError(f"`{PUBLICATION}` must hold texts")
        return Publication(**listed)  # type: ignore[arg-type]

    @staticmethod
    def of(provenance: "TableProvenance") -> "Publication":
        """Return the publication in a table's provenance."""
        return Publication.from_json(provenance.get(PUBLICATION, {}))
