"""Tables on disk: a round trip, and every kind of damage is named."""

import json

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.errors import IntegrityError, UnknownNameError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.tables.table import Table


def test_what_is_written_is_read(table_folder, rows):
    table = Table.load(table_folder)
    pd.testing.assert_frame_equal(table.frame, rows)
    assert table.metadata.space.names == ("rank", "lr")
    assert table.metadata.metrics["score_toy"].direction == "maximize"


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_one_changed_byte_is_noticed(table_folder, place):
    path = table_folder / "table.parquet"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"table\.parquet: sha256 is .* but table\.json says"):
        Table.load(table_folder)


def test_a_truncated_file_is_noticed(table_folder):
    path = table_folder / "table.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match="only partly copied"):
        Table.load(table_folder)


def test_changed_metadata_is_noticed(table_folder):
    path = table_folder / "table.json"
    path.write_text(path.read_text().replace('"direction": "maximize"', '"direction": "minimize"'))
    with pytest.raises(IntegrityError, match="was changed after the table was sealed"):
        Table.load(table_folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: raw | {"format": 99}, "format 99"),
        (lambda raw: {k: v for k, v in raw.items() if k != "space"}, "not complete"),
        (lambda raw: raw | {"space": [{"kind": "spiral"}]}, "not complete"),
        (lambda raw: raw | {"metrics": [{"name": "x"}]}, "not complete"),
        (lambda raw: [raw], "format"),
    ],
)
def test_foreign_metadata_is_refused(table_folder, spoil, words):
    path = table_folder / "table.json"
    raw = spoil(json.loads(path.read_text()))
    if isinstance(raw, dict):
        raw.pop("metadata_sha256", None)
        raw["metadata_sha256"] = sha256_of_text(canonical_json(raw))
    path.write_text(json.dumps(raw))
    with pytest.raises(IntegrityError, match=words):
        Table.load(table_folder)


def test_missing_files_are_named(table_folder, tmp_path):
    (table_folder / "table.parquet").unlink()
    with pytest.raises(IntegrityError, match=r"table\.parquet: cannot be read"):
        Table.load(table_folder)
    with pytest.raises(IntegrityError, match="no such file"):
        Table.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.drop(columns="step"), "`step` is missing"),
        (lambda f: f.drop(columns="score_toy"), "`score_toy` is missing"),
        (lambda f: f.assign(status="fine"), r"unknown status \['fine'\]"),
        (lambda f: pd.concat([f, f.iloc[[3]]], ignore_index=True), "row 72 repeats the key"),
        (lambda f: f.assign(lr=np.where(f["lr"] == 0.1, 0.2, f["lr"])), "not on its axis"),
        (lambda f: f.assign(config_id=f["config_id"].str[::-1]), "stands beside"),
        (lambda f: f.assign(val_loss="low"), "`val_loss` must be double"),
    ],
)
def test_rows_that_break_the_schema_cannot_be_sealed(tmp_path, rows, seal_rows, spoil, words):
    with pytest.raises(IntegrityError, match=words):
        seal_rows(tmp_path / "bad", spoil(rows))
    assert not (tmp_path / "bad" / "table.json").exists()


def test_equal_rows_give_equal_bytes(tmp_path, rows, seal_rows):
    one, other = seal_rows(tmp_path / "one", rows), seal_rows(tmp_path / "other", rows.copy())
    for name in ("table.parquet", "table.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_tables_are_found_by_name_and_by_path(table_folder, monkeypatch):
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(table_folder.parent))
    assert list_artefacts("tables")["small"] == table_folder
    for name in ("small", str(table_folder)):
        assert find_artefact("tables", name) == table_folder
    with pytest.raises(UnknownNameError, match="unknown table 'smal'; did you mean 'small'"):
        find_artefact("tables", "smal")
