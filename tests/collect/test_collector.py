"""Collecting in this process: resumed, grown, shared, priced, and never twice."""

import json
import re
import subprocess
import sys
import uuid

import pytest

from hpobench_llm import collect_grid, progress
from hpobench_llm.cli.collect import main
from hpobench_llm.collect.collection import Options, dry_run
from hpobench_llm.collect.executors.work import claimed, runs_done
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.lora.packs import plan
from hpobench_llm.errors import HpobenchError
from hpobench_llm.tables.table import Table

LESS = ("seeds = [0, 1]", "seeds = [0]")
SMALL = (LESS, ('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 0'))


@pytest.fixture
def collect(tmp_path, capsys):
    """Return a function that runs `collect-grid` into one folder: status, stdout, stderr."""

    def run(file, *options):
        status = main([str(file), "--out", str(tmp_path / "out"), *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.mark.slow
def test_a_collection_resumes_and_trains_nothing_twice(write_campaign, collect, tmp_path):
    file = write_campaign()
    one = ("--engine", "peft")
    for shard, words in (
        ("0/2", "4 of 8 trainings, 4 of them now;"),
        ("0/2", "4 of 8 trainings; the table is sealed when all are there"),
        ("1/2", "8 of 8 trainings, 4 of them now\n"),
        ("0/1", "8 of 8 trainings\n"),
    ):
        status, out, _ = collect(file, *one, "--shard", shard)
        assert status == 0
        assert words in out
    table = Table.load(tmp_path / "out")
    assert len(table.frame) == 8 * 3
    assert table.metadata.seeds == (0, 1)
    changed = write_campaign(("max_tokens = 48", "max_tokens = 47"))
    status, _, err = collect(changed, *one)
    assert status == 2
    assert "the recipe has changed" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_collecting_is_a_function(ridge, tmp_path):
    file, out, runs = ridge, tmp_path / "out", 5 * 2 * 3
    ledger = f"memory://{uuid.uuid4()}"  # no locks: the process that deals out the tasks writes it
    told = []
    half = collect_grid(file, out, Options(ledger=ledger, shard=(0, 2)), on_note=told.append)
    assert (half.wanted, half.trained, half.table) == (runs, half.done, None)
    assert 0 < half.done < runs
    lines = dry_run(file, out, Options(ledger=ledger))
    assert f"{half.done} of them in {ledger}" in "\n".join(lines)
    whole = Options(ledger=ledger, workers=2)
    rest = collect_grid(file, out, whole, on_note=told.append)
    assert (rest.done, rest.trained, rest.claimed) == (runs, runs - half.done, 0)
    assert Table.load(out).metadata.table_sha256 == rest.table.metadata.table_sha256
    left = runs - half.done
    assert told == [f"{half.done} of {runs} trainings are there, {left} are left"]


def test_options_that_cannot_be():
    for given, words in (
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"shard": (2, 2)}, "0 <= K < N, got \\(2, 2\\)"),
        ({"gpus_per_worker": 1.5}, "a whole number of them, got 1.5"),
        ({"executor": "slurm"}, "unknown executor 'slurm'"),
    ):
        with pytest.raises(HpobenchError, match=words):
            Options(**given)


@pytest.mark.slow
def test_a_growing_grid_keeps_what_is_there(write_campaign, collect, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    small = ("rank = [2, 4]", "rank = [2]")
    _, out, _ = collect(write_campaign(small, *SMALL))
    assert "2 of 2 trainings, 2 of them now" in out
    # The packs are other ones now, but no run that is there is trained again.
    _, out, err = collect(write_campaign(*SMALL))
    assert "4 of 4 trainings, 2 of them now" in out
    assert "2 of 4 trainings are there, 2 are left" in err
    assert "collect mini: 2/4" in err
    frame = Table.load(tmp_path / "out").frame.query("step == 4")
    assert f"best val_loss {frame['val_loss'].min():.3f}" in err


@pytest.mark.slow
def test_a_ledger_elsewhere_gives_the_same_table(write_campaign, collect, tmp_path):
    file = write_campaign(*SMALL)
    ledger = f"memory://{uuid.uuid4()}"
    _, out, _ = collect(file, "--ledger", ledger, "--shard", "0/2", "--engine", "peft")
    assert "2 of 4 trainings, 2 of them now;" in out
    _, out, _ = collect(file, "--ledger", ledger, "--engine", "peft")
    assert "4 of 4 trainings, 2 of them now" in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["CARD.md", "croissant.json", "table.json", "table.parquet"]
    status, _, err = collect(file, "--engine", "peft")
    assert status == 2
    assert "holds a sealed table without its ledger" in err


@pytest.mark.slow
def test_runs_that_time_one_alone_are_tasks_too(write_campaign, collect, tmp_path):
    file = write_campaign(LESS, ('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 1'))
    _, out, _ = collect(file, "--shard", "0/2", "--pack-size", "2")
    _, out, _ = collect(file, "--pack-size", "2")
    assert "6 of 6 trainings" in out
    ledger = Ledger(open_storage(tmp_path / "out"), read_campaign(file).identity())
    ledger.refresh()
    assert len(ledger.records) == 4
    assert len(ledger.solo) == 2
    assert ledger.solo.keys() < ledger.records.keys()


@pytest.mark.slow
def test_shards_that_are_cut_otherwise_are_refused(write_campaign, collect):
    file = write_campaign(*SMALL)
    status, out, _ = collect(file, "--shard", "0/2", "--pack-size", "2")
    assert "2 of 4 trainings" in out
    status, _, err = collect(file, "--shard", "1/2", "--pack-size", "4")
    assert status == 2
    assert "packs of 2, this one into packs of 4; start it again with --pack-size 2" in err
    status, out, _ = collect(file, "--shard", "1/2")  # goes on as it began
    assert "4 of 4 trainings, 2 of them now" in out


@pytest.mark.slow
def test_what_is_left_is_priced_by_what_is_there(write_campaign, collect):
    file = write_campaign()
    _, out, _ = collect(file, "--dry-run")
    assert "runs       8 (4 configurations x 2 seeds), 0 of them in" in out
    assert "tasks      8: 4 of up to 2 runs, 4 that time one run alone; 0 done" in out
    assert "steps      4 a run, checkpoints [0, 2, 4]" in out
    assert "rows       8 a step and run" in out
    assert "left       unknown" in out
    collect(file, "--shard", "0/8")
    _, out, _ = collect(file, "--dry-run")
    assert "2 of them in" in out
    assert "1 done" in out
    assert "hours of computing, by the runs that are done" in out
    collect(file)
    _, out, _ = collect(file, "--dry-run")
    assert "left       nothing" in out


@pytest.mark.slow
def test_a_dry_run_does_without_torch_and_says_so(write_campaign, tmp_path):
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from hpobench_llm.cli.collect import main\n"
        "status = main(sys.argv[1:])\n"
        "sys.exit(status or bool({'ray', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(write_campaign()), "--dry-run"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not read   base and data: torch is not installed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_a_dry_run_refuses_a_head_that_packs_cannot_adapt(write_campaign, collect, options):
    file = write_campaign(("[grid]", '[defaults]\ntarget_modules = "lm_head"\n[grid]'))
    status, _, err = collect(file, *options)
    assert status == 2
    assert "the packed engine cannot adapt the model's head; --engine peft can" in err


def test_a_dry_run_reads_the_data(write_campaign, collect, tmp_path):
    file = write_campaign(
        ('name = "generated"\ngenerated_tasks = 400', 'name = "own"\npath = "own.jsonl"'),
        ("train_rows = 64", "train_rows = 0"),
        ("val_rows = 8", "val_rows = 5"),
        ("test_rows = 8", "test_rows = 5"),
    )
    rows = [{"prompt": f"say {number}", "completion": str(number)} for number in range(200)]
    rows += [{"prompt": "say 1", "completion": "1"}, {"prompt": "say nothing", "completion": " "}]
    rows += [{"prompt": "say " * 60, "completion": "much"}]
    (tmp_path / "own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    status, out, err = collect(file, "--dry-run")
    assert status == 0, err
    assert re.search(
        r"data       (\d+) of \1 training, 5 of \d+ validation, 5 of \d+ test rows", out
    )
    for reason in ("question asked before", "no answer", "longer than 48 tokens"):
        assert f"not used   1 rows, own: {reason}; as " in out
    assert re.search(r"tokens     \d+ a row in the median, 90 % up to \d+, the longest", out)
    assert "score      exact: 5 items" in out
    assert not (tmp_path / "out").exists()


class Elsewhere(Claims):
    """Claims of which one task is held by another process, until it is let go."""

    held = None

    def take(self, task):
        return task.task_id != self.held and super().take(task)


def test_a_claimed_task_is_tried_again_after_the_others(write_campaign, fake_records):
    campaign = read_campaign(write_campaign())
    tasks = plan(campaign, "peft", 1)
    ledger = Ledger(open_storage(f"memory://{uuid.uuid4()}"), campaign.identity())
    ledger.open(Header(sources={}, untrained={}))

    def finish(task):
        ledger.append(task, fake_records(task))
        return task

    with Elsewhere(None) as claims:
        claims.held = tasks[0].task_id
        order = []
        for task in claimed(tasks[:3], ledger, claims):
            order.append(finish(task))
            if len(order) == 2:
                claims.held = tasks[3].task_id
        assert order == [tasks[1], tasks[2], tasks[0]]
        assert [finish(task) for task in claimed(tasks, ledger, claims)] == tasks[4:]
    assert runs_done(tasks, ledger) == 7


def test_runs_that_a_neighbour_finished_meanwhile_are_left_out(write_campaign, fake_records):
    campaign = read_campaign(write_campaign())
    pack = plan(campaign, "packed", 4)[0]
    place = f"memory://{uuid.uuid4()}"
    ours, theirs = (Ledger(open_storage(place), campaign.identity()) for _ in range(2))
    single = plan(campaign, "peft", 1)[0]
    assert single.runs[0] == pack.runs[0]
    with Claims(None) as claims:
        ours.refresh()
        theirs.open(Header(sources={}, untrained={}))
        theirs.append(single, fake_records(single))
        (task,) = claimed([pack], ours, claims)
    assert task.runs == pack.runs[1:]
