"""What all runs of a collection share: `campaign.json`, and a copy in every file of the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, TypedDict

from hpobench_llm.dimensions import is_finite
from hpobench_llm.tables.provenance import Sources


class ItemSetRecord(TypedDict):
    """An `ItemSet` as plain JSON."""

    ids: list[str]
    tokens: NotRequired[list[int]]


class HeaderRecord(TypedDict):
    """A `Header` as plain JSON."""

    sources: Sources
    untrained: dict[str, float]
    items: dict[str, ItemSetRecord]
    pack_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSet:
    """The items behind one column: their ids (hashes or numbers, never a text) and weights.

    `tokens` are the label tokens that each item's value is summed over, empty where it is a mean
    or a margin.
    """

    ids: tuple[str, ...]
    tokens: tuple[int, ...] = ()

    def to_json(self) -> ItemSetRecord:
        """Return plain JSON values."""
        raw: ItemSetRecord = {"ids": list(self.ids)}
        return {**raw, "tokens": list(self.tokens)} if self.tokens else raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a ledger says of the whole collection.

    `sources` names base, data and scores with their sums, `untrained` holds what the base scores
    before any training, `items` the items by column, `pack_size` the size that tasks were cut by.
    """

    sources: Sources
    untrained: Mapping[str, float]
    items: Mapping[str, ItemSet] = field(default_factory=dict)
    pack_size: int = 1

    def without_items(self) -> "Header":
        """Return what stands in a ledger file whose runs keep no items."""
        return replace(self, items={})

    def to_json(self) -> HeaderRecord:
        """Return plain JSON values."""
        return {
            "sources": dict(self.sources),
            "untrained": dict(self.untrained),
            "items": {name: items.to_json() for name, items in self.items.items()},
            "pack_size": self.pack_size,
        }

    @staticmethod
    def from_json(raw: Any) -> "Header":
        """Rebuild what `to_json` made, or the header of a ledger of format 2.

        Raises:
            ValueError: something is missing or not of its kind.
        """
        try:
            items = {
                name: ItemSet(ids=tuple(entry["ids"]), tokens=tuple(entry.get("tokens", ())))
                for name, entry in raw.get("items", {}).items()
            }
            if "val_rows" in raw:  # format 2 kept the items of this loss alone
                items = {"val_loss": _from_format_2(raw["val_rows"])}
            header = Header(
                sources=dict(raw["sources"]),
                untrained=dict(raw["untrained"]),
                items=items,
                pack_size=int(raw.get("pack_size", 1)),
            )
            tokens = [count for entry in items.values() for count in entry.tokens]
            if not all(map(is_finite, [*header.untrained.values(), *tokens])):
                raise TypeError("a score of the base, or a count of tokens, is no number")
            return header
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"no header of a collection: {error!r}") from None


def _from_format_2(rows: Sequence[Mapping[str, str | int]]) -> ItemSet:
    return ItemSet(
        ids=tuple(str(row["row_id"]) for row in rows),
        tokens=tuple(int(row["label_tokens"]) for row in rows),
    )
