"""Tables on disk: a round trip, and every kind of damage is named."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import DataError, IntegrityError, UnknownNameError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.tables.columns import Column
from hpobench_llm.tables.draft import Draft
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


def write_as_format_1(folder, drop=()):
    """Rewrite a table's metadata as the first format had them."""
    path = folder / "table.json"
    raw = json.loads(path.read_text())
    raw = {k: v for k, v in raw.items() if k not in ("columns", "metadata_sha256", *drop)}
    raw |= {"format": 1}
    path.write_text(json.dumps(raw | {"metadata_sha256": sha256_of_text(canonical_json(raw))}))


def test_a_table_of_format_1_means_what_it_meant(table_folder, rows):
    new = Table.load(table_folder)
    write_as_format_1(table_folder)
    old = Table.load(table_folder)
    pd.testing.assert_frame_equal(old.frame, rows)
    assert list(old.metadata.columns) == list(rows.columns)
    assert old.metadata.columns["rank"] == Column("", "LoRA rank")
    measures = [{n for n, c in t.metadata.columns.items() if c.measure} for t in (old, new)]
    assert measures == [{"train_seconds", "eval_seconds", "tokens_seen"}] * 2
    config = {"rank": 4, "lr": 1e-2}
    answers = [TabularBenchmark(table).query(config, fidelity={"step": 8}) for table in (old, new)]
    assert answers[0] == answers[1]


def test_the_shipped_items_are_read_in_today_s_columns(project_root):
    items = Table.load(project_root / "tables" / "lora-nano").examples()
    assert list(items.columns) == ["config_id", "seed", "column", "item_id", "value", "tokens"]
    assert set(items["column"]) == {"val_loss"}
    assert (items["tokens"] > 0).all()


def test_a_column_that_nothing_is_said_of_is_refused(table_folder, tmp_path, rows):
    made = Table.load(table_folder)
    draft = Draft(
        name="t",
        version="1",
        description="",
        context="",
        licence="",
        space=made.metadata.space,
        fidelities=made.metadata.fidelities,
        metrics=list(made.metadata.metrics.values()),
        rows=rows.drop(columns="config_id").assign(latency_ms=1.0),
    )
    with pytest.raises(DataError, match="t: nothing says what column `latency_ms` holds"):
        draft.checked()
    told = dataclasses.replace(draft, columns={"latency_ms": Column("ms", "of one answer", True)})
    table = told.checked().seal(tmp_path / "t")
    assert TabularBenchmark(table).measures()["latency_ms"] == "ms"
    frame = rows.assign(latency_ms=1.0)
    with pytest.raises(IntegrityError, match="does not say what `latency_ms` holds"):
        Table.write(tmp_path / "u", made.metadata, frame)
