"""The documents beside a table's rows: its card with its pictures, and Croissant."""

from hpobench_llm.artefacts import write_atomically, write_json
from hpobench_llm.tables.card import card
from hpobench_llm.tables.croissant import croissant
from hpobench_llm.tables.figures import write_figures
from hpobench_llm.tables.schema import CARD_FILE, CROISSANT_FILE
from hpobench_llm.tables.table import Table


def write_documents(table: Table) -> None:
    """Write card, its pictures and `croissant.json` into the table's folder.

    Raises:
        OSError: one cannot be written.
    """
    write_figures(table.metadata.provenance, table.folder)
    write_atomically(table.folder / CARD_FILE, card(table))
    write_json(table.folder / CROISSANT_FILE, croissant(table))
