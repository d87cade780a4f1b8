"""The ledger: whole files or none, not fooled by cut, changed, foreign or repeated ones."""

import fcntl
import json
import random
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import replace

import pytest

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.collect.campaign.identity import Identity
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.header import Header, ItemSet
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.errors import LedgerError
from hpobench_llm.tables.baselines import Baseline

IDENTITY = Identity("c", "1", ("0",))
HEADER = Header(
    sources={"data": "d"},
    untrained={"val_loss": 2.0},
    items={"val_loss": ItemSet(ids=("a", "b"), tokens=(3, 4))},
)


PRUNED = Baseline(method="pruning", what="half", values={"val_loss": 2.5, "parameters": 8})


def task(*numbers, kind="runs"):
    return Task(kind, "peft", tuple(Run({"rank": n}, 0) for n in numbers))


@pytest.fixture
def records(fake_records):
    return fake_records


def val_losses(known):
    return [record.checkpoints[0].values["val_loss"] for record in known.values()]


def reread(folder, identity=IDENTITY):
    ledger = Ledger(open_storage(folder), identity)
    ledger.refresh()
    return ledger


def opened(folder, header=HEADER):
    ledger = reread(folder)
    ledger.open(header)
    return ledger


@pytest.fixture(params=["folder", "file://", "memory://"])
def place(request, tmp_path):
    if request.param == "folder":
        return tmp_path
    return f"{request.param}{tmp_path if request.param == 'file://' else uuid.uuid4()}"


def test_what_is_appended_is_read(place, records):
    ledger, pack, alone = opened(place), task(1, 2), task(1, kind="solo")
    assert ledger.missing(pack) == pack
    ledger.append(pack, records(pack, baselines=(PRUNED,)))
    ledger.append(alone, records(alone, 0.25))
    for known in (ledger, reread(place)):
        assert set(known.records) == {run.run_id for run in pack.runs}
        assert val_losses(known.solo) == [0.25]
        assert known.records[pack.runs[0].run_id] == records(pack, baselines=(PRUNED,))[0]
        assert known.is_done(pack)
        assert known.missing(task(2, 3)) == task(3)
        assert not known.is_done(task(2, kind="solo"))
        assert known.damaged == {}


def test_a_file_is_read_once(tmp_path, records):
    ledger, neighbour = opened(tmp_path), opened(tmp_path)
    ledger.append(task(1), records(task(1)))
    neighbour.refresh()
    assert neighbour.is_done(task(1))
    ledger.append(task(2), records(task(2)))
    looked_at = []
    read, neighbour.storage.read = (
        neighbour.storage.read,
        lambda name: looked_at.append(name) or read(name),
    )
    neighbour.refresh()
    neighbour.refresh()
    assert looked_at == [f"ledger/{task(2).task_id}.json"]
    assert neighbour.is_done(task(2))


def test_a_run_that_stands_twice_counts_once_in_any_order_of_reading(tmp_path, records):
    made = sorted((task(1), task(1, 2)), key=lambda t: t.task_id)
    run_id = task(1).runs[0].run_id
    for order in (made, made[::-1]):
        folder = tmp_path / order[0].task_id
        late = reread(folder)
        for one in order:
            opened(folder).append(one, records(one, float(made.index(one))))
            late.refresh()
        assert late.records[run_id].checkpoints[0].values["val_loss"] == 0.0
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
        (lambda text: text.replace('"format":3', '"format":4'), "format 4"),
    ],
)
def test_a_damaged_file_is_known_kept_and_replaced(tmp_path, spoil, reason, records):
    opened(tmp_path).append(task(1, 2), records(task(1, 2)))
    opened(tmp_path).append(task(3), records(task(3)))
    path = tmp_path / "ledger" / f"{task(1, 2).task_id}.json"
    whole = path.read_text()
    path.write_text(spoil(whole))
    ledger = reread(tmp_path)
    assert reason in ledger.damaged[path.name]
    assert path.name in ledger.damage()
    assert set(ledger.records) == {task(3).runs[0].run_id}
    ledger.open(HEADER)
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


STRANGE = (None, True, -1, 10**400, "", "x", [], {}, [[]], {"a": {}}, "\ud800")


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, one in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield from places(one, (*path, key))


def test_a_file_that_fits_its_sum_and_holds_anything_is_read_or_damaged(tmp_path, records):
    """What is read has the types that a seal counts on."""
    more = {"items": {"val_loss": (0.1, 0.2)}, "baselines": (PRUNED,)}
    opened(tmp_path).append(task(1), records(task(1), **more))
    path = tmp_path / "ledger" / f"{task(1).task_id}.json"
    whole, damaged = json.loads(path.read_text()), 0
    for place in places(whole["body"]):
        for strange in (*STRANGE, ...):
            entry = json.loads(json.dumps(whole))
            *above, last = place
            inner = entry["body"]
            for key in above:
                inner = inner[key]
            if strange is ...:
                del inner[last]
            else:
                inner[last] = strange
            entry["sha256"] = sha256_of_text(canonical_json(entry["body"]))
            path.write_text(json.dumps(entry))
            ledger = reread(tmp_path)
            damaged += len(ledger.damaged)
            for record in ledger.records.values():
                assert isinstance(record.seed, int)
                rows = record.rows()
                assert all(
                    type(v) in (int, float) for row in rows for v in row.values() if v != "ok"
                )
                values = [value for one in record.baselines for value in one.values.values()]
                assert all(type(value) in (int, float) for value in values)
    assert damaged > 150


def test_a_file_of_another_recipe_is_not_used(tmp_path, records):
    other = reread(tmp_path, Identity("c", "2"))
    other.open(HEADER)
    other.append(task(1), records(task(1)))
    ledger = reread(tmp_path)
    assert ledger.records == {}
    assert "of another recipe" in ledger.damage()


def test_another_recipe_is_refused_and_another_name_is_not(place):
    opened(place)
    opened(place)
    assert reread(place, Identity("renamed", "1")).header() == HEADER
    with pytest.raises(LedgerError, match=r"the recipe has changed .*'c' differ from .*'other'"):
        reread(place, Identity("other", "2")).header()
    with pytest.raises(LedgerError, match=r"the sources .* have changed"):
        opened(place, replace(HEADER, sources={"data": "other"}))


def test_a_ledger_of_format_2_is_read(tmp_path, records):
    run = task(1).runs[0]
    row = {"step": 0, "status": "ok", "val_loss": 0.5, "tokens_seen": 0}
    record = {
        "run_id": run.run_id,
        "config_id": run.config_id,
        "config": run.config,
        "seed": 0,
        "hyperparameters": {"rank": 1, "lr": 0.1},
        "trainable_parameters": 7,
        "engine": "peft",
        "pack_size": 1,
        "campaign": "c",
        "rows": [row],
        "provenance": {
            "commit": "0" * 40,
            "dirty": False,
            "untrained_eval_seconds": 1.5,
            "device": "test",
            "threads": 1,
            "versions": {"python": "3"},
        },
        "val_row_losses": [1.0, 2.0],
    }
    body = {"campaign": "c", "recipe_sha256": "0", "kind": "runs", "engine": "peft"}
    body |= {"task_id": task(1).task_id, "records": [record]}
    entry = {"format": 2, "sha256": sha256_of_text(canonical_json(body)), "body": body}
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / f"{task(1).task_id}.json").write_text(json.dumps(entry))
    val_rows = [{"row_id": "a", "label_tokens": 3}, {"row_id": "b", "label_tokens": 4}]
    header = {"campaign": "c", "recipe_sha256": "0", "sources": {"data": "d"}}
    header |= {"untrained": {"val_loss": 2.0}, "val_rows": val_rows}
    (tmp_path / "campaign.json").write_text(json.dumps({"format": 2, **header}))
    ledger = reread(tmp_path)
    assert ledger.damaged == {}
    assert ledger.header() == HEADER
    read = ledger.records[run.run_id]
    assert read.rows() == [row]
    assert read.settings == {"rank": 1, "lr": 0.1}
    assert read.items == {"val_loss": (1.0, 2.0)}
    assert read.provenance.seconds == {"untrained_evaluation": 1.5}
    ledger.open(HEADER)  # and it may be continued
    ledger.append(task(2), records(task(2)))
    assert reread(tmp_path).is_done(task(1, 2))


@pytest.mark.parametrize("text", ['{"format": 9}', "[]"])
def test_a_header_of_another_format_is_an_error(tmp_path, text):
    (tmp_path / "campaign.json").write_text(text)
    with pytest.raises(LedgerError, match=r"campaign\.json: format"):
        reread(tmp_path).header()


def cut_header(path):
    path.write_text(path.read_text()[:40])


def change_header(path):
    path.write_text(path.read_text().replace("2.0", "2.5"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        cut_header,
        change_header,
        lambda path: path.write_text(""),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(b"\xff"),
    ],
)
def test_a_damaged_header_is_written_again_from_the_ledgers_own_files(tmp_path, spoil, records):
    ledger = opened(tmp_path)
    ledger.append(task(1), records(task(1), items={"val_loss": (0.1, 0.2)}))
    ledger.append(task(2), records(task(2)))
    path = tmp_path / "campaign.json"
    whole = path.read_bytes()
    spoil(path)
    again = reread(tmp_path)
    assert again.header() == HEADER  # enough to seal with
    assert again.is_done(task(1, 2))
    again.open(HEADER)
    assert path.read_bytes() == whole


def test_every_bit_of_a_header_counts(tmp_path):
    opened(tmp_path)
    path = tmp_path / "campaign.json"
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        place = rng.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(bytes(flipped))
        with suppress(LedgerError):  # of another format, or of another recipe
            assert reread(tmp_path).header() in (None, HEADER)


def test_nothing_is_appended_before_it_is_opened(tmp_path, records):
    with pytest.raises(LedgerError, match="before it is opened"):
        reread(tmp_path).append(task(1), records(task(1)))


def test_what_a_crash_leaves_is_ignored_and_cleaned(tmp_path, records):
    """That of a seal too; not what somebody is writing, and nothing that is not ours."""
    opened(tmp_path).append(task(1), records(task(1)))
    dead, alive = (tmp_path / "ledger" / f".{name}.json.x1y2z3_4" for name in ("dead", "alive"))
    ours = (".campaign.json", ".table.parquet", ".table.json", ".CARD.md", ".examples.parquet")
    others = [tmp_path / ".own.json.x1y2z3_4", tmp_path / "notes.md"]
    for path in (dead, alive, *others, *(tmp_path / f"{name}.x1y2z3_4" for name in ours)):
        path.write_text("half")
    assert reread(tmp_path).damaged == {}
    with alive.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        opened(tmp_path)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    kept = [alive.name, *(path.name for path in others)]
    assert left == sorted([*kept, "campaign.json", f"{task(1).task_id}.json"])


def test_a_place_that_cannot_be_used_is_named(tmp_path, records):
    (tmp_path / "ledger").write_text("")
    with pytest.raises(LedgerError, match=r"ledger: cannot be read"):
        reread(tmp_path)
    ledger = Ledger(open_storage(tmp_path), IDENTITY)
    ledger.open(HEADER)
    with pytest.raises(LedgerError, match=r"cannot be written: .*what was finished"):
        ledger.append(task(1), records(task(1)))
    with pytest.raises(LedgerError, match=r"--ledger nonesuch://x"):
        open_storage("nonesuch://x")


HOLDER = """
import sys
from pathlib import Path
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.collect.campaign.identity import Identity
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


def test_the_sum_is_over_what_the_file_says(tmp_path, records):
    opened(tmp_path).append(task(1), records(task(1), 1 / 3))
    entry = json.loads((tmp_path / "ledger" / f"{task(1).task_id}.json").read_text())
    assert set(entry) == {"format", "sha256", "body"}
    assert entry["sha256"] == sha256_of_text(canonical_json(entry["body"]))
    assert entry["body"]["task_id"] == task(1).task_id
    assert entry["body"]["kind"] == "runs"
    assert entry["body"]["engine"] == "peft"
