"""Benchmarks in the form of OptunaHub's registry."""

import optuna
import pytest

pytest.importorskip("optunahub")

from optunahub.benchmarks import BaseProblem

from hpobench_llm.adapters import OptunaHubProblem
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from tests.problems import FINITE, table


@pytest.fixture
def bench(tmp_path):
    return TabularBenchmark(table(tmp_path / "t", FINITE, list(FINITE.configurations())))


def test_a_problem_is_searched_evaluated_and_bounded(bench):
    limited = bench.constrained({"peak_memory_bytes": 4500.0})
    problem = OptunaHubProblem(limited, ["val_loss", "score_toy"])
    assert isinstance(problem, BaseProblem)
    minimize, maximize = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
    assert problem.directions == [minimize, maximize]
    study = optuna.create_study(
        directions=problem.directions, sampler=optuna.samplers.NSGAIISampler(seed=0)
    )
    study.optimize(problem, n_trials=20)
    for trial in study.trials:
        assert trial.distributions == problem.search_space
        told = limited.query(problem.configuration(trial.params))
        assert tuple(trial.values) == problem.evaluate(trial.params)
        assert trial.values == [told.metrics["val_loss"], told.metrics["score_toy"]]
        assert trial.constraints == problem.evaluate_constraints(trial.params) == told.constraints
        assert trial.user_attrs["cost_seconds"] == told.cost_seconds


def test_one_objective_is_a_number(bench):
    problem = OptunaHubProblem(bench)
    params = dict(next(iter(FINITE.configurations())))
    assert problem.evaluate(params) == bench.query(params).metrics["val_loss"]
    assert problem.evaluate_constraints(params) == {}
