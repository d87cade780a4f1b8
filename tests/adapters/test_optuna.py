"""Optuna's studies on our benchmarks."""

import optuna
import pytest

from hpobench_llm.adapters.optuna import OptunaObjective
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.tables.table import Table
from hpobench_llm.testing.problems import shares
from tests.problems import FINITE, REAL, points, table

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def bench(tmp_path):
    return TabularBenchmark(table(tmp_path / "t", FINITE, list(FINITE.configurations())))


def test_a_study_finds_the_optimum_of_a_small_table(bench):
    objective = OptunaObjective(bench)
    study = optuna.create_study(
        directions=objective.directions,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(objective, n_trials=60)
    config, value = bench.optimum("val_loss")
    assert study.best_value == value
    assert objective.configuration(study.best_params) == config
    for trial in study.trials:
        evaluated = trial.user_attrs["configuration"]
        assert evaluated == objective.configuration(trial.params)
        assert trial.value == bench.query(evaluated).metrics["val_loss"]
        assert trial.user_attrs["cost_seconds"] == bench.query(evaluated).cost_seconds


def test_a_call_suggests_from_the_distributions(bench):
    objective = OptunaObjective(bench, fidelity={"step": 1}, seed=1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = study.ask(objective.distributions())
    value = objective(asked)
    assert study.trials[0].distributions == objective.distributions()
    config = objective.configuration(asked.params)
    assert value == bench.query(config, fidelity={"step": 1}, seed=1).metrics["val_loss"]


def test_several_objectives_keep_their_directions_and_bounds(bench):
    limited = bench.constrained({"peak_memory_bytes": 4500.0})
    objective = OptunaObjective(limited, ["val_loss", "score_toy"])
    assert objective.directions == ["minimize", "maximize"]
    study = optuna.create_study(
        directions=objective.directions,
        sampler=optuna.samplers.NSGAIISampler(seed=0),
    )
    study.optimize(objective, n_trials=40)
    front = limited.pareto_front(["val_loss", "score_toy"])
    best = {limited.space.config_id(t.user_attrs["configuration"]) for t in study.best_trials}
    assert best == set(front["config_id"])
    kept = [t.constraints["peak_memory_bytes"] <= 0 for t in study.trials]
    assert 0 < sum(kept) < len(kept)


def test_a_suggestion_between_the_points_of_a_table_is_snapped(tmp_path):
    bench = TabularBenchmark(table(tmp_path / "t", REAL, points(REAL, 20)))
    objective = OptunaObjective(bench)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    for trial in study.trials:
        assert trial.user_attrs["configuration"] == bench.snap(trial.params)


def test_a_failed_run_has_the_worst_value(table_folder):
    bench = TabularBenchmark(Table.load(table_folder))
    objective = OptunaObjective(bench, ["val_loss", "score_toy"])
    study = optuna.create_study(directions=objective.directions)
    study.enqueue_trial({"rank": 0, "lr": 3})  # rank 1 and lr 0.1, which diverges
    study.optimize(objective, n_trials=1)
    assert study.trials[0].values == [6.0, 0.0]
    assert study.trials[0].user_attrs["status"] == "diverged"


def test_an_unknown_metric_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'val_loss'"):
        OptunaObjective(load("toy-bowl"), ["val_los"])


def test_proportions_are_suggested_as_sticks_and_evaluated_on_their_simplex():
    problem = shares()
    objective = OptunaObjective(problem)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = study.ask(objective.distributions())
    assert (
        objective(asked)
        == problem.query(objective.configuration(asked.params)).metrics["val_loss"]
    )
    study.optimize(objective, n_trials=10)
    for trial in study.trials[1:]:
        evaluated = trial.user_attrs["configuration"]
        assert problem.space.canonical(evaluated) == objective.configuration(trial.params)
