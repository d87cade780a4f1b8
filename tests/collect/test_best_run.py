"""The best run of a folder is whole at every moment: the old one or the new one."""

import json
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import pytest

from hpobench_llm.benchmarks.best_run import BestRun
from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.errors import LedgerError
from hpobench_llm.metrics import Metric
from tests.collect.ridge_family import RidgeBench
from tests.forks import forked

LOSS = Metric(name="val_loss", unit="", direction="minimize", worst=9.0)
FILES = ("adapter_config.json", "adapter_model.safetensors", "best.json")
WORSE, BETTER = {"penalty": 10.0, "noise": 1.0}, {"penalty": 1e-3, "noise": 0.1}


@dataclass(frozen=True)
class KeepingRidge(RidgeBench):
    """Ridge regression that writes its weights in two files."""

    def run_and_keep(self, task, on_step, folder):
        records = self.run(task, on_step)
        for record in records:
            home = folder / record.run_id
            home.mkdir(parents=True)
            for name in FILES[:2]:
                (home / name).write_text(f"of {record.run_id}")
        return records


@pytest.fixture
def live(ridge):
    """Return a benchmark without torch whose runs learn something."""
    ridge.write_text(ridge.read_text().replace("sleep = 0.05", "sleep = 0.0"))
    benchmark = LiveBenchmark(ridge, device="cpu")
    benchmark._bench = KeepingRidge(benchmark.campaign)
    return benchmark


def whole_best(kept):
    """Return the configuration of `best/`, which must be whole."""
    about = json.loads((kept / "best" / "best.json").read_text())
    assert sorted(path.name for path in (kept / "best").iterdir()) == sorted(FILES)
    for name in FILES[:2]:
        assert (kept / "best" / name).read_text() == f"of {about['run_id']}"
    return about["configuration"]


def killed_at(moment, live, kept):
    """Train the better run in a fork that is killed at an access to what was learned."""

    def task():
        accesses = count()

        def on_event(event, arguments):
            if event.partition(".")[0] not in ("open", "os", "shutil"):
                return
            paths = [str(a) for a in arguments if isinstance(a, str | os.PathLike)]
            inside = [path.removeprefix(str(kept)) for path in paths if path.startswith(str(kept))]
            learned = any(part in path for path in inside for part in ("unf", "learned", "best"))
            if learned and next(accesses) == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(on_event)
        live.kept_in(kept).query(BETTER, seed=0)

    return os.waitstatus_to_exitcode(os.waitpid(forked(task), 0)[1]) == -signal.SIGKILL


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_best(live, tmp_path):
    first = tmp_path / "first"
    live.kept_in(first).query(WORSE, seed=0)
    assert whole_best(first) == WORSE
    seen = set()
    for moment in count():
        kept = tmp_path / f"kept-{moment}"
        shutil.copytree(first, kept)
        if not killed_at(moment, live, kept):
            break
        again = live.kept_in(kept)
        left = whole_best(kept)
        again.query(BETTER, seed=0)
        assert whole_best(kept) == BETTER
        assert not [path for name in ("learned", ".unfinished") for path in kept.glob(f"{name}/*")]
        seen.add(left["penalty"])
    assert moment > 10
    assert seen == {WORSE["penalty"], BETTER["penalty"]}


def test_a_best_run_that_cannot_be_replaced_stays(live, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    again = live.kept_in(kept)
    again.query(WORSE, seed=0)
    rename = type(kept).rename

    def full(self, target):
        if target == kept / "best" and self.parent.name == "learned":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(kept), "rename", full)
    with pytest.raises(LedgerError, match=r"best: cannot be written: No space.*all runs are kept"):
        again.query(BETTER, seed=0)
    assert whole_best(kept) == WORSE
    monkeypatch.undo()
    live.kept_in(kept)
    assert whole_best(kept) == BETTER


def test_what_a_neighbour_has_judged_is_no_error(live, tmp_path):
    (run,) = live.runs_of(BETTER, 0)
    (record,) = live._bench.run(live._runs.task(run), lambda _: None)
    learned = tmp_path / "learned" / record.run_id
    learned.mkdir(parents=True)
    best = BestRun(tmp_path, LOSS)
    alone = best._alone

    @contextmanager
    def after_the_neighbour():
        with alone():
            shutil.rmtree(learned)
            yield

    best._alone = after_the_neighbour
    best.judge(record, learned, eligible=True)
    assert not (tmp_path / "best").exists()
