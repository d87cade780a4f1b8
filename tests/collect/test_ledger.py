"""The ledger: appended, locked, and not fooled by cut, changed or repeated lines."""

import json
import subprocess
import sys

import pytest

from hpobench_llm.collect.ledger import open_ledger, part_writer, read_ledger
from hpobench_llm.errors import LedgerError

HEADER = {"campaign": "c", "recipe_sha256": "1", "sources": {"data": "d"}, "untrained": {}}


def record(name, value=0.5):
    return {"run_id": name, "rows": [{"val_loss": value}]}


def test_what_is_appended_is_read_from_all_parts(tmp_path):
    for shard in (0, 1):
        with part_writer(tmp_path, shard, 2) as writer:
            writer.append(record(f"run-{shard}"))
    with part_writer(tmp_path, 0, 2) as writer:
        writer.append(record("run-2"))
    assert sorted(read_ledger(tmp_path).records) == ["run-0", "run-1", "run-2"]


def test_a_run_that_stands_twice_counts_once(tmp_path):
    with part_writer(tmp_path, 0, 2) as writer:
        writer.append(record("a", 1.0))
    with part_writer(tmp_path, 1, 2) as writer:
        writer.append(record("a", 2.0))
    records = read_ledger(tmp_path).records
    assert list(records) == ["a"]
    assert records["a"]["rows"][0]["val_loss"] == 1.0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_cut_short_by_a_crash_costs_one_run(tmp_path, cut):
    with part_writer(tmp_path, 0, 1) as writer:
        writer.append(record("a"))
        writer.append(record("b"))
    path = tmp_path / "ledger" / "part-0-of-1.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    kept = read_ledger(tmp_path)
    # Only the newline lost: the record is whole, and is kept.
    assert list(kept.records) == (["a", "b"] if cut == 1 else ["a"])
    assert len(kept.damaged) == (0 if cut == 1 else 1)
    with part_writer(tmp_path, 0, 1) as writer:
        writer.append(record("c"))
    assert "c" in read_ledger(tmp_path).records


@pytest.mark.parametrize(
    "line",
    [b"garbage\n", b"\xff\xfe\x00\n", b"{}\n", b"[1]\n", b'{"record": {"run_id": "x"}}\n'],
)
def test_a_foreign_line_is_counted_and_left(tmp_path, line):
    with part_writer(tmp_path, 0, 1) as writer:
        writer.append(record("a"))
    path = tmp_path / "ledger" / "part-0-of-1.jsonl"
    path.write_bytes(line + path.read_bytes())
    contents = read_ledger(tmp_path)
    assert list(contents.records) == ["a"]
    assert contents.damaged == ["part-0-of-1.jsonl:1"]


def test_a_changed_number_is_noticed(tmp_path):
    with part_writer(tmp_path, 0, 1) as writer:
        writer.append(record("a", 0.5))
    path = tmp_path / "ledger" / "part-0-of-1.jsonl"
    path.write_text(path.read_text().replace("0.5", "0.4"))
    assert read_ledger(tmp_path).records == {}


def test_a_second_collector_is_refused(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from hpobench_llm.collect.ledger import part_writer\n"
        "with part_writer(Path(sys.argv[1]), 0, 1):\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(LedgerError, match="another process"), part_writer(tmp_path, 0, 1):
        pass
    other.communicate("")
    with part_writer(tmp_path, 0, 1) as writer:
        writer.append(record("a"))


def test_another_campaign_or_recipe_is_refused(tmp_path):
    open_ledger(tmp_path, HEADER)
    open_ledger(tmp_path, HEADER)
    with pytest.raises(LedgerError, match="holds the campaign 'c', not 'other'"):
        open_ledger(tmp_path, HEADER | {"campaign": "other"})
    for key in ("recipe_sha256", "sources"):
        with pytest.raises(LedgerError, match=f"`{key}` has changed"):
            open_ledger(tmp_path, HEADER | {key: "changed"})
    path = tmp_path / "campaign.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(LedgerError, match="format 9"):
        open_ledger(tmp_path, HEADER)
