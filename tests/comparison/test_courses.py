"""Regret over other units is the same regret, at other places."""

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.courses import courses
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.metrics import Metric

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0)
PROBLEMS = {"toy": ComparedBenchmark(objectives=(LOSS,), optimum=0.0)}


def trajectories(seconds=2.0, tokens=64):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [
            ("toy", o, seed, trial, "ok", rng.random(), seconds * (trial + 1), seconds, tokens)
            for o in ("a", "b")
            for seed in range(5)
            for trial in range(10)
        ],
        columns=[
            *("benchmark", "optimizer", "seed", "trial", "status", "val_loss"),
            *("finished_seconds", "cost_seconds", "tokens"),
        ],
    )
    return frame


def test_equal_costs_only_stretch_the_axis():
    frame = trajectories()
    comparison = compare_trajectories(frame, PROBLEMS, resamples=20)
    seconds, tokens = courses(frame, PROBLEMS, comparison)["toy"]
    assert (seconds.unit, tokens.unit) == ("seconds", "tokens")
    assert seconds.grid[-1] == 20.0
    assert tokens.grid[-1] == 640.0
    for course in (seconds, tokens):
        for standing in comparison.benchmarks[0].standings:
            # A hundred points over ten trials: every tenth is where a trial ends.
            assert course.bands[standing.optimizer].value[9::10] == standing.regret.value


def test_what_is_not_known_of_all_trials_is_left_out():
    frame = trajectories()
    frame["tokens"] = frame["tokens"].astype(float)
    frame.loc[3, "tokens"] = np.nan
    comparison = compare_trajectories(frame, PROBLEMS, resamples=20)
    assert [c.unit for c in courses(frame, PROBLEMS, comparison)["toy"]] == ["seconds"]
    frame.loc[3, "cost_seconds"] = np.nan
    comparison = compare_trajectories(frame, PROBLEMS, resamples=20)
    assert courses(frame, PROBLEMS, comparison)["toy"] == ()


def test_the_dearer_method_is_seen_only_where_costs_count():
    frame = trajectories()
    dear = frame["optimizer"] == "b"
    frame.loc[dear, ["val_loss"]] = frame.loc[~dear, "val_loss"].to_numpy()
    frame.loc[dear, ["finished_seconds", "cost_seconds"]] *= 3
    comparison = compare_trajectories(frame, PROBLEMS, resamples=20)
    assert len({s.regret.value for s in comparison.benchmarks[0].standings}) == 1
    course = courses(frame, PROBLEMS, comparison)["toy"][0]
    assert course.grid[-1] == pytest.approx(20.0)  # where the cheaper one has spent its budget
    assert np.all(np.array(course.bands["a"].value) <= course.bands["b"].value)
    assert course.bands["a"].value[-1] < course.bands["b"].value[-1]
