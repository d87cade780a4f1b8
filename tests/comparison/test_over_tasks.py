"""Verdicts over tasks, with seeds nested: closed forms, and what a single run would have said."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.over_tasks import nested_means
from hpobench_llm.comparison.single_runs import chances
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.metrics import Metric
from hpobench_llm.report.tasks import verdict

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=10.0)


def test_nested_means_vary_as_tasks_and_seeds_within_them_do():
    rng = np.random.default_rng(1)
    tasks = [rng.normal(mean, 1.0, (n, 2)) for mean, n in ((0.0, 4), (3.0, 7), (5.0, 12))]
    draws = nested_means(tasks, resamples=40_000, rng=rng)
    means = np.array([task.mean(axis=0) for task in tasks])
    within = np.array([task.var(axis=0) / len(task) for task in tasks]).mean(axis=0)
    assert draws.mean(axis=0) == pytest.approx(means.mean(axis=0), abs=0.03)
    # The law of total variance, of a mean of three independent draws.
    assert draws.var(axis=0) == pytest.approx((means.var(axis=0) + within) / 3, rel=0.03)


def test_chances_of_single_runs_are_shares_of_all_pairings():
    samples = [(np.array([1.0, 2.0]), np.array([2.0, 3.0])), (np.array([4.0]), np.array([3.0]))]
    assert chances(samples) == {"same": 3 / 8, "tie": 1 / 8, "opposite": 1 / 2}


def study(tasks, optimizers=("good", "fair", "bad"), seeds=5, noise=0.0, typical=1.0):
    """Finals of which each optimizer's lies half a nat above the one before it, scaled by task."""
    rng = np.random.default_rng(3)
    rows = [
        {
            "benchmark": f"task-{task}",
            "optimizer": name,
            "seed": seed,
            "trial": 0,
            "status": "ok",
            "val_loss": 1 + (task + 1) * (0.1 + 0.5 * place + noise * rng.random()),
        }
        for task, (place, name), seed in product(range(tasks), enumerate(optimizers), range(seeds))
    ]
    problems = {
        f"task-{task}": ComparedBenchmark(
            objectives=(LOSS,), optimum=1.0, typical=typical and (task + 1) * typical
        )
        for task in range(tasks)
    }
    return compare_trajectories(pd.DataFrame(rows), problems, resamples=500)


def test_units_cancel_and_regrets_are_in_typical_ones():
    ranking = study(8).tasks.ranking
    assert [ranked.optimizer for ranked in ranking] == ["good", "fair", "bad"]
    assert [ranked.regret.value for ranked in ranking] == pytest.approx([0.1, 0.6, 1.1])
    assert ranking[0].regret.low == pytest.approx(ranking[0].regret.high)
    assert [ranked.rank.value for ranked in ranking] == [1, 2, 3]


def test_a_pair_is_tested_with_one_value_a_task():
    over = study(8, noise=0.3).tasks
    assert {pair.verdict for pair in over.pairs} == {"better"}
    # All eight signs agree; the seeds of a task are no evidence of their own.
    assert [pair.p for pair in over.pairs] == pytest.approx([2 / 2**8] * 3)
    assert over.groups == ()
    expected = stats.friedmanchisquare(*([3] * 8, [2] * 8, [1] * 8))
    assert over.overall.statistic == pytest.approx(expected.statistic)


def test_few_tasks_decide_nothing_however_many_seeds():
    comparison = study(3, seeds=40)
    assert {pair.verdict for pair in comparison.tasks.pairs} == {"tie"}
    assert comparison.tasks.groups == (("good", "fair", "bad"),)
    assert {pair.verdict for pair in comparison.pairs} == {"better"}  # of these benchmarks
    assert "more tasks are needed" in verdict(comparison)


def test_one_task_says_so():
    comparison = study(1)
    assert comparison.tasks is None
    assert "says nothing of a next one" in verdict(comparison)
    assert {runs.same for runs in comparison.single_runs} == {1.0}


def test_an_unknown_scale_leaves_ranks_alone():
    over = study(8, typical=None).tasks
    assert over.scales is None
    assert {ranked.regret for ranked in over.ranking} == {None}
    assert {pair.verdict for pair in over.pairs} == {"better"}


def test_groups_are_the_longest_runs_that_are_not_told_apart():
    over = study(9, optimizers=("a", "b", "c"), noise=3.0).tasks
    decided = {(p.first, p.second) for p in over.pairs if p.verdict != "tie"}
    for group in over.groups:
        assert not any((a, b) in decided for a, b in product(group, group))
