"""The ledger: whole files or none, not fooled by cut, changed, foreign or repeated ones."""

import fcntl
import json
import subprocess
import sys
import uuid

import pytest

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.errors import LedgerError

IDENTITY = {"campaign": "c", "recipe_sha256": "1"}
HEADER = IDENTITY | {"sources": {"data": "d"}, "untrained": {}}


def task(*numbers, kind="runs"):
    return Task(kind, "peft", tuple(Run({"rank": n}, 0) for n in numbers))


def records(made, value=0.5):
    return [{"run_id": run.run_id, "rows": [{"val_loss": value}]} for run in made.runs]


def reread(folder):
    ledger = Ledger(open_storage(folder), IDENTITY)
    ledger.refresh()
    return ledger


@pytest.fixture(params=["folder", "file://", "memory://"])
def place(request, tmp_path):
    if request.param == "folder":
        return tmp_path
    return f"{request.param}{tmp_path if request.param == 'file://' else uuid.uuid4()}"


def test_what_is_appended_is_read(place):
    ledger, pack, alone = reread(place), task(1, 2), task(1, kind="solo")
    assert ledger.missing(pack) == pack
    ledger.append(pack, records(pack))
    ledger.append(alone, records(alone, 0.25))
    for known in (ledger, reread(place)):
        assert set(known.records) == {run.run_id for run in pack.runs}
        assert [record["rows"][0]["val_loss"] for record in known.solo.values()] == [0.25]
        assert known.is_done(pack)
        assert known.missing(task(2, 3)) == task(3)
        assert not known.is_done(task(2, kind="solo"))
        assert known.damaged == {}


def test_a_file_is_read_once(tmp_path):
    ledger, neighbour = reread(tmp_path), reread(tmp_path)
    ledger.append(task(1), records(task(1)))
    neighbour.refresh()
    assert neighbour.is_done(task(1))
    ledger.append(task(2), records(task(2)))
    opened = []
    read, neighbour.storage.read = (
        neighbour.storage.read,
        lambda name: opened.append(name) or read(name),
    )
    neighbour.refresh()
    neighbour.refresh()
    assert opened == [f"ledger/{task(2).task_id}.json"]
    assert neighbour.is_done(task(2))


def test_a_run_that_stands_twice_counts_once_in_any_order_of_reading(tmp_path):
    made = sorted((task(1), task(1, 2)), key=lambda t: t.task_id)
    run_id = task(1).runs[0].run_id
    for order in (made, made[::-1]):
        folder = tmp_path / order[0].task_id
        late = reread(folder)
        for one in order:
            reread(folder).append(one, records(one, float(made.index(one))))
            late.refresh()
        assert late.records[run_id]["rows"][0]["val_loss"] == 0.0
        assert reread(folder).records == late.records


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cut short or garbled"),
        (lambda text: "", "cut short or garbled"),
        (lambda text: "garbage", "cut short or garbled"),
        (lambda text: "[1]", "cut short or garbled"),
        (lambda text: "{}", "cut short or garbled"),
        (lambda text: "[" * 100_000, "cut short or garbled"),
        (lambda text: text.replace("0.5", "0.4"), "does not fit its sum"),
        (lambda text: text.replace('"format":2', '"format":3'), "format 3"),
    ],
)
def test_a_damaged_file_is_known_kept_and_replaced(tmp_path, spoil, reason):
    reread(tmp_path).append(task(1, 2), records(task(1, 2)))
    reread(tmp_path).append(task(3), records(task(3)))
    path = tmp_path / "ledger" / f"{task(1, 2).task_id}.json"
    whole = path.read_text()
    path.write_text(spoil(whole))
    ledger = reread(tmp_path)
    assert reason in ledger.damaged[path.name]
    assert path.name in ledger.damage()
    assert set(ledger.records) == {task(3).runs[0].run_id}
    ledger.append(task(1, 2), records(task(1, 2)))
    assert path.read_text() == whole
    assert path.with_name(f"{path.name}.damaged").read_text() == spoil(whole)
    again = reread(tmp_path)
    assert again.is_done(task(1, 2))
    assert again.damaged == ledger.damaged == {}


def test_bytes_that_are_no_text_are_damage(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "x.json").write_bytes(b"\xff\xfe\x00{")
    assert list(reread(tmp_path).damaged) == ["x.json"]


def test_a_file_of_another_recipe_is_not_used(tmp_path):
    other = Ledger(open_storage(tmp_path), IDENTITY | {"recipe_sha256": "2"})
    other.append(task(1), records(task(1)))
    ledger = reread(tmp_path)
    assert ledger.records == {}
    assert "another campaign or recipe" in ledger.damage()


def test_another_campaign_or_recipe_is_refused(place):
    reread(place).open(HEADER)
    reread(place).open(HEADER)
    for key, words in (
        ("campaign", "holds the campaign 'c', not 'other'"),
        ("recipe_sha256", "`recipe_sha256` has changed"),
    ):
        with pytest.raises(LedgerError, match=words):
            Ledger(open_storage(place), IDENTITY | {key: "other"}).header()
    with pytest.raises(LedgerError, match="`sources` has changed"):
        reread(place).open(HEADER | {"sources": "other"})


@pytest.mark.parametrize("text", ['{"format": 9}', "[]"])
def test_a_header_of_another_format_is_an_error(tmp_path, text):
    (tmp_path / "campaign.json").write_text(text)
    with pytest.raises(LedgerError, match=r"campaign\.json: format"):
        reread(tmp_path).header()


@pytest.mark.parametrize("text", ["{", "", "\udcff"])
def test_a_damaged_header_is_written_again_and_loses_nothing(tmp_path, text):
    ledger = reread(tmp_path)
    ledger.open(HEADER)
    ledger.append(task(1), records(task(1)))
    (tmp_path / "campaign.json").write_bytes(text.encode(errors="surrogateescape"))
    again = reread(tmp_path)
    assert again.header() is None
    assert again.is_done(task(1))
    again.open(HEADER)
    assert reread(tmp_path).header()["campaign"] == HEADER["campaign"]


def test_what_a_crash_leaves_is_ignored_and_cleaned(tmp_path):
    """That of a seal too; not what somebody is writing, and nothing that is not ours."""
    ledger = reread(tmp_path)
    ledger.append(task(1), records(task(1)))
    dead, alive = (tmp_path / "ledger" / f".{name}.json.x1y2z3_4" for name in ("dead", "alive"))
    ours = (".campaign.json", ".table.parquet", ".table.json", ".CARD.md", ".examples.parquet")
    others = [tmp_path / ".own.json.x1y2z3_4", tmp_path / "notes.md"]
    for path in (dead, alive, *others, *(tmp_path / f"{name}.x1y2z3_4" for name in ours)):
        path.write_text("half")
    assert reread(tmp_path).damaged == {}
    with alive.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ledger.open(HEADER)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    kept = [alive.name, *(path.name for path in others)]
    assert left == sorted([*kept, "campaign.json", f"{task(1).task_id}.json"])


def test_a_place_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "ledger").write_text("")
    with pytest.raises(LedgerError, match=r"ledger: cannot be read"):
        reread(tmp_path)
    with pytest.raises(LedgerError, match=r"cannot be written: .*what was finished"):
        Ledger(open_storage(tmp_path), IDENTITY).append(task(1), records(task(1)))
    with pytest.raises(LedgerError, match=r"--ledger nonesuch://x"):
        open_storage("nonesuch://x")


HOLDER = """
import sys
from pathlib import Path
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.campaign.plan import Task
with Claims(Path(sys.argv[1])) as claims:
    assert claims.take(Task("runs", "peft", (Run({"rank": 1}, 0),)))
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_a_claim_holds_until_its_process_is_killed(tmp_path):
    lock_file = tmp_path / "ledger" / "claims"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"claimed\n"
    with Claims(lock_file) as claims:
        assert not claims.take(task(1))
        assert not claims.take(task(2, 1))  # another pack that shares a run
        assert claims.take(task(2))  # what the failed attempt had locked was let go
        assert claims.take(task(1, kind="solo"))
        other.kill()
        other.wait()
        assert claims.take(task(1))
        assert not claims.take(task(1))  # once is enough
    other.stdin.close()
    other.stdout.close()
    assert lock_file.stat().st_size == 0


def test_without_a_lock_file_a_task_can_be_claimed_once():
    with Claims(None) as claims:
        assert claims.take(task(1))
        assert not claims.take(task(1, 2))


def test_the_sum_is_over_what_the_file_says(tmp_path):
    from hpobench_llm.artefacts import canonical_json, sha256_of_text

    reread(tmp_path).append(task(1), records(task(1), 1 / 3))
    entry = json.loads((tmp_path / "ledger" / f"{task(1).task_id}.json").read_text())
    assert set(entry) == {"format", "sha256", "body"}
    assert entry["sha256"] == sha256_of_text(canonical_json(entry["body"]))
    assert entry["body"]["task_id"] == task(1).task_id
    assert entry["body"]["kind"] == "runs"
    assert entry["body"]["engine"] == "peft"
