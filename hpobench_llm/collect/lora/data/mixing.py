"""Rows of several sources in given shares; fewer rows are the beginning of more."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TypeVar

from hpobench_llm.collect.lora.mixture import Shares
from hpobench_llm.errors import DataError

Row = TypeVar("Row")


def in_turns(rows: Mapping[str, Sequence[Row]], count: int, purpose: str) -> list[Row]:
    """Return `count` rows, one of each source in turn.

    Raises:
        DataError: a source has too few; the message names the `purpose` of the rows.
    """
    each = -(-count // len(rows))  # rounded up
    for source, available in rows.items():
        if len(available) < each:
            raise DataError(
                f"{purpose} takes equal parts of the sources: {each} rows of `{source}`, which "
                f"has {len(available)} usable ones for it"
            )
    turns = zip(*(available[:each] for available in rows.values()), strict=True)
    return list(islice((row for turn in turns for row in turn), count))


def mixed(rows: Mapping[str, Sequence[Row]], shares: Shares, count: int) -> list[Row]:
    """Return `count` rows: of each source its share, the first ones, so that shares are nested.

    Rows that are left over by rounding down go to the largest remainders.
    """
    # A share in decimals times the rows may fall just short of a whole number.
    counts = {source: int(share * count + 1e-6) for source, share in shares}
    by_remainder = sorted(shares, key=lambda part: counts[part[0]] - part[1] * count)
    for source, _ in by_remainder[: count - sum(counts.values())]:
        counts[source] += 1
    return [row for source, _ in shares for row in rows[source][: counts[source]]]
