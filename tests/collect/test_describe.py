"""A table described again from its campaign: words change, rows and the recipe do not."""

import dataclasses
import json

import pytest

from hpobench_llm.cli import main
from hpobench_llm.collect.describe import describe
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.errors import DataError
from hpobench_llm.locate import shipped
from hpobench_llm.tables.table import Table

NOTE = ('name = "generated"', 'name = "generated"\nnote = "cut short"')
PUBLISHED = ("[base]", '[publication]\nauthors = ["Ada"]\ndoi = "10.5281/zenodo.1"\n\n[base]')


@pytest.fixture
def described(table_folder, write_campaign):
    """Return a function that gives the table the recipe of the campaign, changed in its words."""

    def change(*pairs):
        table = Table.load(table_folder)
        recipe = read_campaign(write_campaign()).identity().recipe_sha256
        provenance = table.metadata.provenance | {"recipe_sha256": recipe, "data_notes": {"x": ""}}
        metadata = dataclasses.replace(table.metadata, provenance=provenance)
        Table.write(table_folder, metadata, table.frame)
        return Table.load(table_folder), write_campaign(*pairs)

    return change


def test_prose_is_no_part_of_a_campaign_s_identity(write_campaign):
    plain = read_campaign(write_campaign()).identity()
    assert read_campaign(write_campaign(NOTE, PUBLISHED)).identity() == plain
    other = read_campaign(write_campaign(("generated_tasks = 400", "generated_tasks = 401")))
    assert other.identity() != plain


def test_words_come_from_the_campaign_and_rows_stay(described, table_folder):
    before, file = described(NOTE, PUBLISHED)
    after = describe(before, file)
    assert after.metadata.table_sha256 == before.metadata.table_sha256
    assert after.frame.equals(before.frame)
    provenance = after.metadata.provenance
    assert provenance["split"] == "disjoint by a hash of the normalised question"
    assert provenance["publication"] == {"authors": ["Ada"], "doi": "10.5281/zenodo.1"}
    assert provenance["data_notes"] == {"generated": "cut short"}
    assert provenance["commits"] == before.metadata.provenance["commits"]
    card = (table_folder / "CARD.md").read_text()
    assert "**Known of the data.** generated: cut short" in card
    assert "Of the U updates of a run the first w = ceil(warmup_fraction" in card
    read = json.loads((table_folder / "croissant.json").read_text())
    assert read["creator"][0]["name"] == "Ada"
    again, file = described()
    assert "data_notes" not in describe(again, file).metadata.provenance


def test_another_campaign_is_refused_and_nothing_changes(described, table_folder, capsys):
    _, file = described(("generated_tasks = 400", "generated_tasks = 401"))
    was = (table_folder / "table.json").read_bytes()
    with pytest.raises(DataError, match="was not collected with this campaign"):
        describe(Table.load(table_folder), file)
    assert main(["card", str(table_folder), "--campaign", str(file)]) == 2
    assert main(["card", str(table_folder)]) == 2
    assert "--campaign names the file" in capsys.readouterr().err
    assert (table_folder / "table.json").read_bytes() == was


def test_whoever_trains_on_dolly_says_what_its_answers_went_through():
    """The notes of shipped campaigns, whose data file has a flaw that no sum shows."""
    collect = shipped("collect")
    files = [p for p in collect.rglob("*.toml") if "dolly_first6400" in p.read_text()]
    assert len(files) >= 8
    for file in files:
        after = file.read_text().partition("dolly_first6400_nocontext.jsonl")[2]
        assert "T5's tokenizer" in after.partition("\n\n")[0], file
    assert Table.load(shipped("tables/lora-nano")).metadata.provenance["data_notes"]["dolly"]
