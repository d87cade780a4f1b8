"""Checks for what can never be sealed: before a start's first run, in a dry run, at the seal."""

from collections.abc import Mapping
from pathlib import Path

from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.families import family_of
from hpobench_llm.errors import SpecError
from hpobench_llm.tables.schema import check_name

LARGEST_SEED = 2**63 - 1  # what a table's column of integers holds


def check_sealable(
    campaign: Campaign, where: str | Path, untrained: Mapping[str, float] | None = None
) -> None:
    """Check that the runs of a campaign can become a table, whatever comes out.

    `untrained` holds what is measured before any training, where that is known already; `where`
    is the campaign's file, or the ledger's location.

    Raises:
        SpecError: naming the key and the value.
    """
    try:
        check_name(campaign.name)
    except ValueError as error:
        raise SpecError(where, "name", str(error)) from None
    further = [seed for repeat in campaign.repeat for seed in repeat.seeds]
    for seed in (*campaign.seeds, *further):
        if seed > LARGEST_SEED:
            raise SpecError(where, "seeds", f"{seed} has more than 64 bits")
    family_of(campaign).check(campaign, where, untrained)
