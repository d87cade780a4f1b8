"""Optuna's studies on our benchmarks."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpobench_llm.adapters.optuna import OptunaObjective
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.space import Categorical, Ordinal, Space
from hpobench_llm.tables.table import Table
from hpobench_llm.testing.benchmarks import TwoLossToy, shares
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


LEVELS = Space(
    (
        Ordinal("rank", (1, 2, 4, 8), log=True),
        Ordinal("batch", (8, 16, 24)),
        Ordinal("dropout", (0.0, 0.1, 0.2)),
        Ordinal("lr", (1e-5, 1e-4, 1e-3), log=True),
        Categorical("modules", ("q", "v")),
        Ordinal("seed", (7,)),
    )
)


def test_parameters_have_the_axes_own_values_and_order():
    objective = OptunaObjective(TwoLossToy("levels", LEVELS))
    assert objective.distributions() == {
        "rank": IntDistribution(1, 8, log=True),
        "batch": IntDistribution(8, 24, step=8),
        "dropout": FloatDistribution(0.0, 0.2, step=0.1),
        "lr": FloatDistribution(1e-5, 1e-3, log=True),
        "modules": CategoricalDistribution(("q", "v")),
        "seed": IntDistribution(7, 7),
    }
    between = {"rank": 3, "batch": 16, "dropout": 0.2, "lr": 2e-4, "modules": "v", "seed": 7}
    assert objective.configuration(between) == between | {"rank": 4, "lr": 1e-4}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=30)
    for trial in study.trials:
        assert trial.distributions == objective.distributions()
        assert trial.user_attrs["configuration"] == objective.configuration(trial.params)
    for name, levels in ((d.name, d.values) for d in LEVELS):
        assert {trial.user_attrs["configuration"][name] for trial in study.trials} <= set(levels)


def test_every_configuration_can_be_enqueued_as_it_is():
    objective = OptunaObjective(TwoLossToy("levels", LEVELS))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    wanted = list(LEVELS.configurations())
    for config in wanted:
        study.enqueue_trial(config)
    study.optimize(objective, n_trials=len(wanted))
    assert [trial.user_attrs["configuration"] for trial in study.trials] == wanted
    assert [trial.params for trial in study.trials] == wanted


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
    study.enqueue_trial({"rank": 1, "lr": 0.1})  # which diverges
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
