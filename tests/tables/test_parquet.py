"""What a Parquet file takes when decoded is known before it is."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.errors import IntegrityError
from hpobench_llm.tables import table as table_module
from hpobench_llm.tables.parquet import check_parquet
from hpobench_llm.tables.table import Table


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    sink.seek(0)
    return sink


def test_sizes_count_values_not_bytes_on_disk():
    stream = parquet(a=np.zeros(100_000), b=pa.array(["y" * 1000] * 100_000))
    assert len(stream.getvalue()) < 20_000
    check_parquet(stream, 200_000_000)
    assert stream.tell() == 0
    with pytest.raises(ValueError, match="column `a` takes 800000 bytes"):
        check_parquet(stream, 500_000)
    with pytest.raises(ValueError, match="texts up to column `b` take"):
        check_parquet(stream, 50_000_000)
    check_parquet(stream, 900_000, ["a"])


def test_lists_count_their_entries():
    lists = pa.array([[0.0] * 1000] * 1000)
    with pytest.raises(ValueError, match=r"column `a\.list\.element` takes 8"):
        check_parquet(parquet(a=lists), 1_000_000, ["a"])


def test_a_table_that_decodes_to_too_much_is_not_loaded(table_folder, monkeypatch):
    monkeypatch.setattr(table_module, "LARGEST_BYTES", 1000)
    with pytest.raises(
        IntegrityError, match=r"table\.parquet: .*bytes when decoded, at most 1000"
    ):
        Table.load(table_folder)


@pytest.mark.parametrize("name", ["../small", "a..b", "/etc", "a/b", "", 7])
def test_a_table_with_a_path_for_a_name_is_not_loaded(table_folder, name):
    path = table_folder / "table.json"
    raw = json.loads(path.read_text()) | {"name": name}
    raw.pop("metadata_sha256")
    raw["metadata_sha256"] = sha256_of_text(canonical_json(raw))
    path.write_text(json.dumps(raw))
    with pytest.raises(IntegrityError, match="cannot name a table"):
        Table.load(table_folder)
