"""The simulated clock: costs alone move it, workers share it, equal arguments give equal bytes."""

import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import toy_bowl
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers import catalogue, registry
from hpobench_llm.optimizers.base import Optimizer, Suggestion
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.optimizers.model_based.tpe_nni import TpeNni
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.table import Table


def test_one_worker_runs_one_trial_after_another():
    frame = replay("toy-bowl", "random", budget=5, seed=0).to_frame()
    assert list(frame["trial"]) == list(range(5))
    assert list(frame["finished_seconds"]) == [8.0, 16.0, 24.0, 32.0, 40.0]
    assert list(frame["started_seconds"]) == [0.0, 8.0, 16.0, 24.0, 32.0]
    assert (frame["worker"] == 0).all()
    assert (frame["step"] == 8).all()


class Uneven(Benchmark):
    """A benchmark whose n-th level costs n + 1 seconds."""

    def __init__(self) -> None:
        inner = toy_bowl()
        self.name, self.space, self.metrics = "uneven", inner.space, inner.metrics
        self.fidelities = inner.fidelities
        self._inner = inner

    def query(self, config, *, fidelity=None, seed=None, metrics=None):
        answer = self._inner.query(config, metrics=metrics)
        cost = 1.0 + self.space.dimensions[1].level(config["lr"])
        return Evaluation(metrics=answer.metrics, cost_seconds=cost)

    def optimum(self, metric):
        return self._inner.optimum(metric)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_are_never_idle_while_trials_are_left(workers):
    frame = replay(Uneven(), "random", budget=20, seed=3, workers=workers).to_frame()
    assert len(frame) == 20
    assert (frame["finished_seconds"] - frame["started_seconds"]).to_numpy() == pytest.approx(
        frame["cost_seconds"].to_numpy()
    )
    assert frame["finished_seconds"].is_monotonic_increasing
    # A naive list schedule: each trial in turn goes to the worker that is free first.
    free = [0.0] * workers
    for cost in frame.sort_values("trial")["cost_seconds"]:
        free[int(np.argmin(free))] += cost
    assert frame["finished_seconds"].max() == pytest.approx(max(free))
    for _, mine in frame.groupby("worker"):
        mine = mine.sort_values("started_seconds")
        gaps = mine["started_seconds"].to_numpy()[1:] - mine["finished_seconds"].to_numpy()[:-1]
        assert (gaps >= 0).all()


class Recorder(Optimizer):
    """Suggests one corner again and again and remembers what it is told."""

    told: list = []  # noqa: RUF012 - read by the test after the replay

    def suggest(self, number):
        return Suggestion({"rank": 4, "lr": 1e-3})

    def learn(self, trial, evaluation):
        self.told.append((trial, evaluation))


def test_the_optimizer_is_told_the_snapped_configuration(tmp_path, rows, seal_rows, monkeypatch):
    holed = rows[~((rows["rank"] == 4) & (rows["lr"] == 1e-3))].reset_index(drop=True)
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "holed", holed)))
    Recorder.told = []
    monkeypatch.setattr("hpobench_llm.replaying.replay.build", lambda name, **k: _recorder(**k))
    monkeypatch.setitem(catalogue.ENTRIES, "recorder", Entry("", "random", "", ""))
    frame = replay(bench, "recorder", budget=3, seed=0).to_frame()
    hole, snapped = {"rank": 4, "lr": 1e-3}, []
    for _ in range(3):  # what was not measured becomes the nearest that was not tried
        snapped.append(bench.snap(hole, tried=snapped))
    assert snapped[0] == bench.snap(hole)
    assert hole not in snapped
    assert [trial.config for trial, _ in Recorder.told] == snapped
    assert frame[["rank", "lr"]].to_dict("records") == snapped
    assert not frame["duplicate"].any()
    everything = list(bench.configurations().drop(columns="config_id").to_dict("records"))
    assert bench.snap(hole, tried=everything) == snapped[0]
    # A measured configuration that is repeated counts, costs, and gets the same answer.
    assert bench.snap(snapped[0], tried=snapped) == snapped[0]


def _recorder(**arguments):
    return Recorder(**arguments)


def test_what_differs_between_optimizers_stands_in_every_row():
    frame = replay("toy-bowl", "tpe-nni", budget=30, seed=0).to_frame()
    assert set(frame["startup_trials"]) == {20}
    assert set(frame["liar"]) == {TpeNni.liar}
    assert set(frame["seeding"]) == {"seed of TpeTuner"}
    assert set(frame["optimizer_version"]) == {f"nni {version('nni')}"}
    own = replay("toy-bowl", "random", budget=3, seed=0).to_frame()
    assert set(own["optimizer_version"]) == {f"hpobench-llm {version('hpobench-llm')}"}


def test_a_duplicate_is_a_configuration_at_a_fidelity_that_an_earlier_row_has():
    frame = replay("toy-bowl", "random", budget=60, seed=0, workers=3).to_frame()
    assert list(frame["duplicate"]) == list(frame["config_id"].duplicated())
    assert frame["duplicate"].any()
    rungs = replay("toy-bowl", "asha", budget=60, seed=0, workers=3).to_frame()
    repeated = rungs[["config_id", "step"]].duplicated()
    assert list(rungs["duplicate"]) == list(repeated)
    assert list(repeated) != list(rungs["config_id"].duplicated())


def test_optimizers_are_told_what_bounds_there_are(tmp_path, rows, seal_rows, monkeypatch):
    bench = TabularBenchmark(Table.load(seal_rows(tmp_path / "small", rows)))
    bounded = bench.constrained({"test_loss": 5.0})
    told = []
    monkeypatch.setattr(
        "hpobench_llm.replaying.replay.build",
        lambda name, **given: told.append(given["constraints"]) or registry.build(name, **given),
    )
    frame = replay(bounded, "random", budget=20, seed=0).to_frame()
    assert told == [bounded.constraints]
    kept = frame["constraint_test_loss"] <= 0
    assert list(kept) == list(frame["val_loss"] + 0.1 <= 5.0)
    assert kept.any()


def test_a_failed_run_is_recorded_with_its_cost(table_folder):
    bench = TabularBenchmark(Table.load(table_folder))
    frame = replay(bench, "random", budget=60, seed=0).to_frame()
    failed = frame[frame["status"] == "diverged"]
    assert len(failed) > 0
    assert failed["val_loss"].isna().all()
    assert (failed["cost_seconds"] > 0).all()


def test_a_seed_of_the_table_can_be_chosen(table_folder):
    bench = TabularBenchmark(Table.load(table_folder))
    one = replay(bench, "random", budget=20, seed=0, table_seed=1).to_frame()
    mean = replay(bench, "random", budget=20, seed=0).to_frame()
    ok = (one["status"] == "ok") & (mean["status"] == "ok")
    assert (one["val_loss"] - mean["val_loss"])[ok].to_numpy() == pytest.approx(0.005)


PROGRAM = """
import sys, hpobench_llm
optimizer, path, budget = sys.argv[1:]
hpobench_llm.replay("toy-bowl", optimizer, budget=int(budget), seed=4, workers=2).save(path)
"""


# That each optimizer repeats its trials elsewhere is its contract; here some replays do, and those
# of three whose contract is tested on shorter searches.
COSTLY = ("ehvi", "gps", "turbo")
SOME = ["random", "nomad", "asha-stopping", "moasha", "tpe-optuna"]
SOME += [pytest.param(name, marks=pytest.mark.slow) for name in COSTLY]


@pytest.mark.parametrize("name", SOME)
def test_equal_arguments_give_equal_bytes_in_another_process(tmp_path, name):
    budget = 14 if name in COSTLY else 25
    here = replay("toy-bowl", name, budget=budget, seed=4, workers=2)
    one = here.save(tmp_path / "one.parquet").read_bytes()
    other_path = tmp_path / "other.parquet"
    program = [sys.executable, "-c", PROGRAM, name, str(other_path), str(budget)]
    subprocess.run(program, check=True, timeout=120)
    assert other_path.read_bytes() == one
    assert here.to_frame()["optimizer_seconds"].gt(0).all()
    assert (tmp_path / "one.optimizer_seconds.parquet").exists()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"benchmark": "toy-bawl"}, UnknownNameError, "unknown benchmark 'toy-bawl'; did you"),
        ({"optimizer": "nomda"}, UnknownNameError, "unknown optimizer 'nomda'; did you mean"),
        ({"objectives": ("vla_loss",)}, UnknownNameError, "metric 'vla_loss'; did you mean"),
        ({"budget": 0}, ConfigurationError, "`budget`.*0"),
        ({"budget": 2.5}, ConfigurationError, "`budget`.*2.5"),
        ({"workers": 0}, ConfigurationError, "`workers`.*0"),
    ],
)
def test_bad_arguments_are_named(change, error, words):
    arguments = {"benchmark": "toy-bowl", "optimizer": "random", "budget": 3, "seed": 0} | change
    with pytest.raises(error, match=words):
        replay(arguments.pop("benchmark"), arguments.pop("optimizer"), **arguments)


OURS = (
    *("benchmark", "optimizer", "seed", "trial", "resumes", "worker", "config_id", "status"),
    *("cost_seconds", "tokens", "started_seconds", "finished_seconds", "duplicate", "liar"),
    *("startup_trials", "seeding", "optimizer_version", "optimizer_seconds", "metric.seed"),
)


class Namesakes(Benchmark):
    """A benchmark whose hyperparameters, metrics and fidelity have the names of our columns."""

    name = "namesakes"
    space = Space(tuple(Ordinal(name, (1, 2, 3)) for name in OURS))
    fidelities = (Fidelity(name="worker", unit="steps", values=(1, 3)),)
    metrics = {  # noqa: RUF012 - as in the contract
        name: Metric(name=name, unit="1", direction="minimize", worst=100.0)
        for name in ("trial", "optimizer", "finished_seconds", "loss")
    }

    def query(self, config, *, fidelity=None, seed=None, metrics=None):
        (level,) = self.fidelity_levels(fidelity)
        total = float(sum(config.values()))
        return Evaluation(metrics=dict.fromkeys(self.metrics, total), cost_seconds=float(level))

    def optimum(self, metric):
        return dict.fromkeys(OURS, 1), float(len(OURS))


def test_no_name_of_a_benchmark_meets_one_of_ours(tmp_path):
    goals = tuple(Namesakes.metrics)
    trajectory = replay(Namesakes(), "random", budget=12, seed=5, objectives=goals)
    path = trajectory.save(tmp_path / "t.parquet")
    frame = pd.read_parquet(path)
    assert list(frame["trial"]) == list(range(12))
    assert (set(frame["optimizer"]), set(frame["seed"])) == ({"random"}, {5})
    assert list(frame["finished_seconds"]) == [3.0 * n for n in range(1, 13)]
    configs = frame[[f"config.{name}" for name in OURS]]
    assert configs.isin([1, 2, 3]).all().all()
    for goal in goals:
        assert list(frame[f"metric.{goal}"]) == list(configs.sum(axis=1))
    assert set(frame["fidelity.worker"]) == {3}
    assert pq.read_schema(path).metadata == {b"hpobench_llm.trajectories": b"3"}
    # A short name is there where it is the only one of its kind.
    short = trajectory.to_frame()
    assert list(short["loss"]) == list(frame["metric.loss"])
    assert {"trial", "config.trial", "metric.trial", "config.seed"} <= set(short.columns)
    assert short.columns.is_unique
    found = ComparedBenchmark.of(
        Namesakes(), ("loss",), trajectory.frame.assign(**{"fidelity.worker": 1})
    )
    assert list(found.in_full["loss"]) == list(configs.sum(axis=1))
    result = compare_trajectories(
        pd.concat([trajectory.frame, trajectory.frame.assign(optimizer="again")]),
        {
            "namesakes": ComparedBenchmark(
                objectives=(Namesakes.metrics["trial"],), optimum=float(len(OURS))
            )
        },
        resamples=9,
    )
    assert [s.optimizer for s in result.benchmarks[0].standings] == ["again", "random"]
    least = configs.sum(axis=1).min() - len(OURS)
    assert result.benchmarks[0].standings[0].regret.last.value == least
