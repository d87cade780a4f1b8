"""Card, datasheet and Croissant: what is said of a table, and by whom."""

import dataclasses
import json

import pytest

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.errors import IntegrityError, SpecError
from hpobench_llm.spec import parse_spec
from hpobench_llm.tables.card import card
from hpobench_llm.tables.citation import bibtex
from hpobench_llm.tables.documents import write_documents
from hpobench_llm.tables.licences import is_stated, licence_text
from hpobench_llm.tables.publication import DATA_NOTES, PUBLICATION, RETRAINING, Publication
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import in_full, judged

SAID = {
    "authors": ["Ada Lovelace", "C. & D."],
    "url": "https://example.org/table",
    "doi": "10.5281/zenodo.1",
    "date": "2026-11-29",
    "not_for": "Anything else.",
}


def with_provenance(folder, **more):
    """Write a table's metadata anew with more in its provenance."""
    table = Table.load(folder)
    provenance = table.metadata.provenance | more
    metadata = dataclasses.replace(table.metadata, provenance=provenance)
    Table.write(folder, metadata, table.frame)
    return Table.load(folder)


def test_what_the_makers_say_stands_in_card_citation_and_croissant(table_folder):
    table = with_provenance(
        table_folder,
        **{PUBLICATION: SAID, RETRAINING: "Guess nothing.", DATA_NOTES: {"dolly": "cut"}},
    )
    write_documents(table)
    text = (table_folder / "CARD.md").read_text()
    assert "**To train a run again.** Guess nothing." in text
    assert "**Known of the data.** dolly: cut" in text
    assert "**Not for.** Anything else." in text
    assert "author = {{Ada Lovelace} and {C. \\& D.}}" in text
    read = json.loads((table_folder / "croissant.json").read_text())
    assert [creator["name"] for creator in read["creator"]] == SAID["authors"]
    assert read["identifier"] == "https://doi.org/10.5281/zenodo.1"
    assert read["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert "dolly: cut." in read["rai:dataLimitations"]
    sums = {file["@id"]: file["sha256"] for file in read["distribution"]}
    assert sums == {name: sha256_of_file(table_folder / name) for name in sums}
    assert set(sums) == {"table.parquet", "table.json"}


def test_a_baseline_stands_beside_the_best_that_costs_no_more(table_folder):
    rows = in_full(Table.load(table_folder))
    limit = float(rows.loc[rows["seed"] == 0, "train_loss"].median())
    baselines = [
        {
            "method": "cut | once",
            "what": "half",
            "values": {"val_loss": 5.25, "train_loss": limit},
        },
        {"method": "cut twice", "what": "a quarter", "values": {"train_loss": 0.0}},
    ]
    table = with_provenance(table_folder, baselines=baselines)
    metrics = dict(table.metadata.metrics)
    metrics["train_loss"] = dataclasses.replace(metrics["train_loss"], role="cost")
    metadata = dataclasses.replace(table.metadata, metrics=metrics)
    text = card(dataclasses.replace(table, metadata=metadata))
    worth, _ = judged(table, metrics["val_loss"])
    cheap = {*rows.loc[(rows["seed"] == 0) & (rows["train_loss"] <= limit), "config_id"]}
    best = worth[worth.index.isin(cheap)]
    assert 0 < len(best) < len(worth)
    assert f"| cut \\| once | half | 5.25 | {limit:.4g} | {best.min():.4g} |" in text
    assert "| cut twice | a quarter | none | 0 | none |" in text


FIGURE = {
    "name": "sizes",
    "caption": "Sizes <b> by width",
    "x": "width",
    "y": "size",
    "panels": {"attention": {"sp": [[32, 1.0], [64, 2.0]], "mup": [[32, 1.0], [64, 1.0]]}},
}


@pytest.mark.slow
def test_pictures_lie_beside_the_card_and_are_the_same_when_written_again(table_folder):
    table = with_provenance(table_folder, figures=[FIGURE])
    write_documents(table)
    assert "![Sizes &lt;b&gt; by width](sizes.svg)" in (table_folder / "CARD.md").read_text()
    picture = (table_folder / "sizes.svg").read_bytes()
    for word in (b"attention", b">sp<", b">mup<", b">64<"):
        assert word in picture
    write_documents(table)
    assert (table_folder / "sizes.svg").read_bytes() == picture


@pytest.mark.parametrize(
    "more",
    [
        {"baselines": {}},
        {"baselines": [{"method": "a", "what": "b", "values": {"val_loss": True}}]},
        {"baselines": [{"method": 1, "what": "b", "values": {}}]},
        {"figures": [FIGURE | {"name": "../sizes"}]},
        {"figures": [FIGURE | {"panels": {}}]},
        {"figures": [FIGURE | {"panels": {"a": {"sp": [[1, 0]]}}}]},
        {"figures": [FIGURE | {"panels": {"a": {"sp": [[1, "2"]]}}}]},
        {"figures": [FIGURE | {"panels": []}]},
    ],
)
def test_baselines_and_pictures_of_other_types_are_refused(table_folder, more):
    with pytest.raises(IntegrityError, match="not complete"):
        with_provenance(table_folder, **more)


def test_a_citation_of_their_own_stays_as_it_is_and_ends_no_block(table_folder):
    entry = "@misc{x,\n  title = {```\n# h},\n}"
    table = with_provenance(table_folder, publication={"citation": entry})
    assert bibtex(table.metadata) == entry
    block = card(table).partition("```bibtex\n")[2]
    assert block.count("```") == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "javascript:alert(1)"),
        ("doi", "https://doi.org/10.1/2"),
        ("date", "29.11.2026"),
        ("authors", [" "]),
    ],
)
def test_what_a_publication_cannot_be(key, value):
    with pytest.raises(SpecError, match=f"publication.*`{key}`"):
        parse_spec({key: value}, Publication, file="s.toml", key="publication")


@pytest.mark.parametrize("said", [[], {"authors": "Ada"}, {"authors": [1]}, {"url": 3}, {"x": ""}])
def test_a_strange_publication_in_a_table_is_named(table_folder, said):
    with pytest.raises(IntegrityError, match=r"table\.json: not complete"):
        with_provenance(table_folder, publication=said)


def test_licences():
    assert all(map(is_stated, ("CC-BY-4.0", "MIT", "Apache-2.0 OR MIT", "LGPL-2.1+")))
    kept = "none found upstream: cite arXiv 2503.04715, do not redistribute"
    assert not any(map(is_stated, ("", "not stated", "None", "unknown", kept, "MIT, mostly")))
    assert licence_text("CC-BY-4.0").startswith("Attribution 4.0 International")
    assert licence_text("CC-BY-4.0").rstrip().endswith("contacted at creativecommons.org.")
    assert licence_text("../datasheet") == "../datasheet\n"


@pytest.mark.slow
def test_mlcroissant_accepts_it_and_reads_the_rows(table_folder):
    library = pytest.importorskip("mlcroissant")
    write_documents(with_provenance(table_folder, publication=SAID))
    dataset = library.Dataset(jsonld=str(table_folder / "croissant.json"))
    issues = dataset.metadata.issues
    assert not issues.errors
    assert not issues.warnings
    assert dataset.metadata.data_collection
    frame = Table.load(table_folder).frame
    records = list(dataset.records("runs"))
    assert len(records) == len(frame)
    losses = sorted(r["runs/val_loss"] for r in records if r["runs/status"] == b"ok")
    assert losses == sorted(frame.loc[frame["status"] == "ok", "val_loss"])
