"""Describe a table again: its prose from its campaign, and the card; its rows stay as they are.

A DOI is known only once a table has been published, and a card's words get better.
"""

from dataclasses import replace
from pathlib import Path

from hpobench_llm.artefacts import write_json
from hpobench_llm.collect.campaign.identity import RECIPE
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.seal import with_prose
from hpobench_llm.errors import DataError
from hpobench_llm.tables.documents import write_documents
from hpobench_llm.tables.schema import IMPORTED, METADATA_FILE
from hpobench_llm.tables.table import Table


def describe(table: Table, campaign_file: Path) -> Table:
    """Write description, context, licence, publication and notes of a campaign into a table.

    Raises:
        DataError: the table was not collected with this campaign.
        SpecError: the campaign cannot be read.
        OSError: a file cannot be written.
    """
    metadata, campaign = table.metadata, read_campaign(campaign_file)
    identity = campaign.identity()
    if IMPORTED in metadata.provenance or not identity.is_of(metadata.provenance):
        raise DataError(
            f"{campaign_file}: {table.folder} was not collected with this campaign, whose "
            f"{RECIPE} is {identity.recipe_sha256}"
        )
    described = replace(
        metadata,
        description=campaign.description,
        context=campaign.context,
        licence=campaign.licence,
        provenance=with_prose(metadata.provenance, campaign),
    )
    write_json(table.folder / METADATA_FILE, described.to_json())
    # The card is written from what is on disk now.
    again = Table.load(table.folder)
    write_documents(again)
    return again
