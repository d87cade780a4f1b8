"""Benchmarks as HPOBench's objective functions."""

import numpy as np
import pytest

from hpobench_llm.adapters import HPOBenchDictionary
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError, UnknownNameError
from tests.problems import FINITE, SHARE, STEP, table

CONFIG = {"rank": 4, "target": "qv"}


@pytest.fixture
def bench(tmp_path):
    folder = tmp_path / "t"
    grid = list(FINITE.configurations())
    return TabularBenchmark(table(folder, FINITE, grid, (STEP, SHARE), seeds=(3, 5, 8)))


def test_it_is_the_query_in_other_words(bench):
    answer = bench.query(CONFIG, fidelity={"step": 2}, seed=5)
    dictionary = HPOBenchDictionary(bench).objective_function(CONFIG, {"step": 2}, 5)
    assert dictionary == {
        "function_value": answer.metrics["val_loss"],
        "cost": answer.cost_seconds,
        "info": {
            "metric": "val_loss",
            "metrics": dict(answer.metrics),
            "status": "ok",
            "tokens": answer.tokens,
            "constraints": {},
            "fidelity": {"step": 2, "share": 1.0},
            "seed": 5,
        },
    }


def test_lower_is_better_and_a_failed_run_is_the_worst(table_folder):
    table = HPOBenchDictionary(load(table_folder))
    sound, broken = {"rank": 4, "lr": 1e-3}, {"rank": 1, "lr": 1e-1}
    score = table.objective_function(sound, metric="score_toy")
    assert score["function_value"] == -table.benchmark.query(sound).metrics["score_toy"] < 0
    assert table.objective_function(broken)["function_value"] == 6.0
    tested = table.objective_function_test(sound)
    assert tested["function_value"] == table.benchmark.query(sound).metrics["test_loss"]
    with pytest.raises(UnknownNameError, match="unknown metric 'test_loss'"):
        HPOBenchDictionary(load("toy-bowl")).objective_function_test(
            {"rank": 1, "lr": 1e-3, "dropout": 0.0}
        )


@pytest.mark.parametrize("generator", [np.random.RandomState, np.random.default_rng])
def test_a_generator_draws_one_of_the_seeds(bench, generator):
    dictionary = HPOBenchDictionary(bench)
    rng = generator(0)
    drawn = [dictionary.objective_function(CONFIG, rng=rng) for _ in range(40)]
    assert {each["info"]["seed"] for each in drawn} == {3, 5, 8}
    for each in drawn:
        assert each == dictionary.objective_function(CONFIG, rng=each["info"]["seed"])
    again = [dictionary.objective_function(CONFIG, rng=generator(0)) for _ in range(2)]
    assert again[0] == again[1] == drawn[0]
    toy = HPOBenchDictionary(load("toy-sphere"))
    assert toy.objective_function({"x": 0, "y": 0, "z": 0}, rng=generator(1))["info"]["seed"] >= 0
    with pytest.raises(ConfigurationError, match="seed: a whole number or None"):
        dictionary.objective_function(CONFIG, rng="0")


def test_its_spaces_are_those_of_configspace(bench):
    pytest.importorskip("ConfigSpace")
    dictionary = HPOBenchDictionary(bench)
    for _ in range(5):
        config = dictionary.get_configuration_space(seed=1).sample_configuration()
        fidelity = dictionary.get_fidelity_space(seed=1).sample_configuration()
        answer = dictionary.objective_function(config, dict(fidelity), rng=3)
        assert answer["function_value"] > 0
        assert set(answer["info"]["fidelity"]) == {"step", "share"}
