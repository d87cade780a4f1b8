"""Trials in part, budgets of every unit, several objectives, constraints and failures, by hand."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.artefacts import sha256_of_file, write_json
from hpobench_llm.benchmarks.toy import toy_bowl
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.fronts import median_attained
from hpobench_llm.comparison.regret import Regrets, incumbents, regrets
from hpobench_llm.comparison.result import Comparison, Failure
from hpobench_llm.comparison.spending import Spending
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError, IntegrityError, NotMeasuredError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.optimizers.random.random_search import RandomSearch
from hpobench_llm.pareto import Scale, nondominated
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.replay import replay
from hpobench_llm.replaying.trajectory import save_trials
from hpobench_llm.report.compare import compare
from hpobench_llm.studies.header import StudyHeader
from hpobench_llm.studies.study import StudySpec

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=10.0)
SCORE = Metric(name="score", unit="1", direction="maximize", worst=0.0)
STEP = Fidelity(name="step", unit="steps", values=(1, 2, 4))


def trials(optimizer: str, seed: int, **columns: Any) -> pd.DataFrame:
    """Return a trajectory; `val_loss` says how many trials it has."""
    known = {"benchmark": "b", "optimizer": optimizer, "seed": seed, "status": "ok"}
    count = len(columns["val_loss"])
    return pd.DataFrame(known | {"trial": range(count), "step": 4} | columns)


def of_one(
    frame: pd.DataFrame, problem: ComparedBenchmark, spending: Spending | None = None
) -> Regrets:
    return regrets(frame, benchmark="b", optimizers=["a"], compared=problem, spending=spending)


def in_full(**losses: float) -> pd.DataFrame:
    """Return what configurations are in full; NaN is a run that diverged."""
    values = pd.Series(losses, name="val_loss").to_frame()
    return values.assign(status=np.where(values["val_loss"].isna(), "diverged", "ok"))


def partial(**losses: float) -> ComparedBenchmark:
    return ComparedBenchmark(
        objectives=(LOSS,), optimum=1.0, fidelities=(STEP,), in_full=in_full(**losses)
    )


# Trials in part


def test_the_incumbent_is_the_best_at_the_highest_fidelity_and_judged_in_full() -> None:
    frame = trials(
        "a",
        0,
        config_id=["x", "y", "z", "x", "y"],
        step=[1, 1, 1, 2, 2],
        val_loss=[5.0, 4.0, 6.0, 3.5, 3.0],
    )
    problem = partial(x=2.0, y=3.0, z=1.5)
    found = of_one(frame, problem)
    # x; then y, which looks better; z does not; x at the next rung; y there, which looks better.
    np.testing.assert_array_equal(found.curves, [[[1.0, 2.0, 2.0, 1.0, 2.0]]])


def test_a_trial_counts_as_what_is_known_of_it_or_as_it_was_recorded() -> None:
    frame = trials("a", 0, config_id=["x", "y", "y"], step=[1, 4, 4], val_loss=[5.0, 2.25, 2.0])
    known = of_one(frame, partial(x=2.0, y=2.5))
    np.testing.assert_array_equal(known.curves, [[[1.0, 1.5, 1.5]]])
    np.testing.assert_array_equal(of_one(frame, partial(x=2.0)).curves, [[[1.0, 1.25, 1.0]]])


def test_what_diverges_in_full_is_the_worst() -> None:
    frame = trials("a", 0, config_id=["x", "y"], step=[1, 2], val_loss=[5.0, 2.25])
    found = of_one(frame, partial(x=2.0, y=math.nan))
    np.testing.assert_array_equal(found.curves, [[[1.0, 9.0]]])
    assert not found.empty.any()


def test_a_failed_trial_at_a_higher_rung_does_not_take_over() -> None:
    frame = trials("a", 0, config_id=["x", "y"], step=[1, 2], val_loss=[5.0, math.nan])
    frame["status"] = ["ok", "diverged"]
    np.testing.assert_array_equal(of_one(frame, partial(x=2.0, y=1.0)).curves, [[[1.0, 1.0]]])


def test_trials_in_part_need_their_values_in_full() -> None:
    frame = trials("a", 0, config_id=["x"], step=[1], val_loss=[5.0])
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0, fidelities=(STEP,))
    with pytest.raises(IntegrityError, match="in full"):
        of_one(frame, problem)


# The budget


def test_seconds_are_a_step_function_on_a_grid() -> None:
    frame = trials("a", 0, val_loss=[3.0, 2.0, 4.0], finished_seconds=[2.5, 50.0, 90.0])
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0)
    found = of_one(frame, problem, Spending("seconds", 100.0))
    np.testing.assert_allclose(found.grid, np.arange(1, 101))
    expected = np.where(found.grid < 2.5, 9.0, np.where(found.grid < 50, 2.0, 1.0))
    np.testing.assert_array_equal(found.curves[0, 0], expected)
    assert not found.early.any()  # a trial of 47.5 s would not have fitted in again


def test_a_resumed_trial_spends_what_it_adds_if_there_are_checkpoints() -> None:
    frame = trials("a", 0, step=[1, 2, 4], val_loss=[3.0, 2.0, 1.5], tokens=[10.0, 15.0, 20.0])
    frame["resumes"] = pd.array([None, 0, 1], dtype="Int64")
    problem = partial()
    for spending, expected in (
        (Spending("step", 8), [1, 2, 4]),
        (Spending("step", 8, checkpoints=False), [1, 3, 7]),
        (Spending("trials in full"), [0.25, 0.5, 1.0]),
        (Spending("tokens", 100), [10, 25, 45]),
        (Spending(), [1, 2, 3]),
    ):
        np.testing.assert_array_equal(spending.after(frame, problem), expected)


def test_what_is_not_known_cannot_be_counted() -> None:
    frame = trials("a", 3, val_loss=[3.0, 2.0], tokens=[10.0, math.nan])
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0)
    with pytest.raises(IntegrityError, match=r"b: `tokens` is not known .* a, seed 3"):
        of_one(frame, problem, Spending("tokens", 100.0))
    with pytest.raises(IntegrityError, match="without the columns finished_seconds"):
        of_one(frame, problem, Spending("seconds", 100.0))


def test_trials_of_unequal_cost_are_counted_in_full_and_end_together() -> None:
    part = trials("a", 0, config_id="x", step=[1] * 8, val_loss=[3.0] * 8)
    full = trials("z", 0, config_id="y", val_loss=[5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    problem = partial(x=1.5)
    found = compare_trajectories(pd.concat([part, full]), {"b": problem}, resamples=9)
    assert found.spending == "trials in full"
    result = found.benchmarks[0]
    assert result.in_part == ("a",)
    assert result.grid[-1] == 2.0  # eight quarters
    final = {s.optimizer: s.regret.last.value for s in result.standings}
    assert final == {"a": 0.5, "z": 3.0}  # z after two trials, not eight


def test_ranks_are_given_at_shares_of_the_budget() -> None:
    first = trials("a", 0, val_loss=[2.0], finished_seconds=[10.0])
    second = trials("z", 0, val_loss=[1.5], finished_seconds=[60.0])
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0)
    found = compare_trajectories(
        pd.concat([first, second]), {"b": problem}, budget=Budget("seconds", 100.0), resamples=9
    )
    ranks = {r.optimizer: [r.rank.at(s).value for s in (0.05, 0.25, 1.0)] for r in found.ranking}
    assert ranks == {"a": [1.5, 1.0, 2.0], "z": [1.5, 2.0, 1.0]}
    # Ten seconds were left of the first, and no trial takes more than sixty.
    assert [(s.optimizer, s.early) for s in found.benchmarks[0].standings] == [("z", 0), ("a", 1)]


# Several objectives


def test_regret_of_two_objectives_is_the_missing_hypervolume() -> None:
    frame = trials("a", 0, val_loss=[6.0, 5.0, 8.0, 2.0], score=[0.5, 0.25, 0.75, 0.75])
    front = np.array([[2.0, -0.75], [1.0, -0.5]])
    far = Scale.of(front, [10.0, 0.0]).up_to([10.0, 0.0])
    problem = ComparedBenchmark(
        objectives=(LOSS, SCORE), optimum=6.5 / 0.25, front=front, scale=far
    )
    found = of_one(frame, problem)
    # Volumes up to (10, 0): 4 * 0.5; with 1 * 0.25 more; with 2 * 0.25 more; 8 * 0.75. All in
    # ranges of the front, 1 and 0.25.
    np.testing.assert_allclose(found.curves[0, 0], (6.5 - np.array([2.0, 2.25, 2.75, 6.0])) / 0.25)
    np.testing.assert_array_equal(found.fronts[0][0], [[2.0, -0.75]])


def test_near_the_front_one_good_point_is_not_the_whole_volume() -> None:
    frame = trials("a", 0, val_loss=[2.0, 1.0], score=[0.75, 0.5])
    front = np.array([[2.0, -0.75], [1.0, -0.5]])
    near = Scale.of(front, [10.0, 0.0])
    np.testing.assert_allclose(near.reference, [2.1, -0.475])
    problem = ComparedBenchmark(objectives=(LOSS, SCORE), optimum=0.21, front=front, scale=near)
    found = of_one(frame, problem)
    # The two corners: 0.1 by 1.1 each, of which 0.1 by 0.1 are shared.
    np.testing.assert_allclose(found.curves[0, 0], [0.1, 0.0], atol=1e-12)
    assert not found.curves[0, 0, 1]


def test_the_archive_holds_what_no_other_beats_at_the_highest_fidelity() -> None:
    losses = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [1.5, 1.5], [9.0, 9.0]])
    shares = np.array([0.5, 0.5, 0.5, 0.5, 1.0])
    usable = np.array([True, True, True, True, True])
    held = incumbents(losses, shares, usable)
    assert held == [(0,), (0, 1), (0, 1), (0, 3), (4,)]
    assert incumbents(losses, shares, ~usable) == [()] * 5


def test_the_median_attained_front_by_hand() -> None:
    fronts = [
        np.array([[1.0, 4.0], [3.0, 1.0]]),
        np.array([[2.0, 2.0]]),
        np.array([[5.0, 5.0]]),
    ]
    # Two of three: (2, 4) from the first two, (3, 2) likewise.
    np.testing.assert_array_equal(median_attained(fronts), [[2.0, 4.0], [3.0, 2.0]])
    nothing = np.empty((0, 2))
    assert len(median_attained([fronts[0], nothing, nothing])) == 0
    np.testing.assert_array_equal(median_attained([fronts[0], nothing]), fronts[0])


# Constraints


def bounded(**more: Any) -> ComparedBenchmark:
    memory = Constraint(name="memory", bound=1.0, unit="bytes")
    return ComparedBenchmark(objectives=(LOSS,), optimum=1.0, constraints=(memory,), **more)


def test_only_a_feasible_trial_is_an_incumbent() -> None:
    frame = trials("a", 0, val_loss=[1.0, 3.0, 2.0], constraint_memory=[0.5, 0.0, -1.0])
    found = of_one(frame, bounded())
    np.testing.assert_array_equal(found.curves, [[[9.0, 2.0, 1.0]]])
    np.testing.assert_array_equal(found.infeasible, [[1]])
    with pytest.raises(IntegrityError, match="constraint_memory"):
        of_one(frame.drop(columns="constraint_memory"), bounded())


def test_a_seed_without_a_feasible_trial_has_the_worst_regret_and_counts() -> None:
    frame = pd.concat(
        [
            trials("a", 0, val_loss=[1.0], constraint_memory=[2.0]),
            trials("a", 1, val_loss=[2.0], constraint_memory=[0.0]),
            trials("a", 2, val_loss=[2.0], constraint_memory=[math.nan]),
        ]
    )
    result = compare_trajectories(frame, {"b": bounded()}, resamples=9).benchmarks[0]
    (standing,) = result.standings
    assert (standing.empty, standing.infeasible) == (2, pytest.approx(2 / 3))
    assert standing.regret.last.value == 9.0
    assert result.seeds == (0, 1, 2)


# Failures


def failed(optimizer: str, *seeds: int) -> list[Failure]:
    return [Failure("b", optimizer, seed, "it exploded") for seed in seeds]


def study(optimizers: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.concat(
        [
            trials(o, s, val_loss=1 + rng.random(3))
            for o, seeds in optimizers.items()
            for s in seeds
        ]
    )


def judged(frame: pd.DataFrame, failures: list[Failure]) -> Comparison:
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0)
    return compare_trajectories(frame, {"b": problem}, failures=failures, resamples=9)


def test_failed_seeds_are_dropped_for_all_and_a_failing_optimizer_is_left_out() -> None:
    frame = study({"a": (0, 1, 2, 3), "c": (0, 2, 3), "z": (1,)})
    found = judged(frame, [*failed("c", 1), *failed("z", 0, 2, 3), *failed("gone", 0, 1, 2, 3)])
    result = found.benchmarks[0]
    assert result.left_out == ("gone", "z")
    assert result.seeds == (0, 2, 3)
    assert result.dropped_seeds == (1,)
    assert [r.optimizer for r in found.ranking] == [s.optimizer for s in result.standings]
    assert (found.finished, len(found.failures)) == (8, 8)


def test_the_overall_ranking_is_of_those_that_every_benchmark_has() -> None:
    frame = study({"a": (0, 1), "c": (0, 1), "z": (0, 1)})
    other = study({"a": (0, 1), "c": (0, 1)}).assign(benchmark="other")
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0)
    found = compare_trajectories(
        pd.concat([frame, other]),
        {"b": problem, "other": problem},
        failures=[Failure("other", "z", seed, "no") for seed in (0, 1)],
        resamples=9,
    )
    assert sorted(r.optimizer for r in found.ranking) == ["a", "c"]
    assert all(sum(r.rank.value[i] for r in found.ranking) == 3 for i in range(3))
    assert len(found.benchmarks[0].standings) == 3
    assert (found.pairs[0].blocks, len(found.pairs)) == (4, 1)


# Benchmarks and whole folders


def test_a_benchmark_is_asked_for_what_was_trained_in_part() -> None:
    toy = toy_bowl()
    trajectory = replay(toy, "asha", budget={"step": 100}, seed=0)
    frame, short = trajectory.frame, trajectory.to_frame()
    problem = ComparedBenchmark.of(toy, ("val_loss",), frame)
    losses, usable = problem.judge(frame)
    configs = short[list(toy.space.names)]
    np.testing.assert_array_equal(losses[:, 0], toy.query_many(configs)["val_loss"])
    assert usable.all()
    assert (short["step"] < 8).any()
    with pytest.raises(ConfigurationError, match="would have to be trained"):
        ComparedBenchmark.of(toy, ("val_loss",), frame, trains=True)


def test_without_a_known_optimum_the_best_trial_stands_for_it() -> None:
    class Unknown(type(toy_bowl())):
        def optimum(self, metric: str) -> Any:
            raise NotMeasuredError("no run in full")

        def pareto_front(self, metrics: Any) -> Any:
            raise NotMeasuredError("no run in full")

    toy = toy_bowl()
    unknown = Unknown(toy.name, toy.space)
    goals = ("val_loss", "score_toy")
    trajectory = replay(toy, "random", budget=6, seed=0, objectives=goals)
    frame, short = trajectory.frame, trajectory.to_frame()
    one = ComparedBenchmark.of(unknown, ("val_loss",), frame)
    assert (one.optimum_known, one.optimum) == (False, short["val_loss"].min())
    two = ComparedBenchmark.of(unknown, goals, frame)
    assert two.front is not None
    losses = two.losses(frame)
    np.testing.assert_array_equal(two.front, np.unique(losses[nondominated(losses)], axis=0))
    assert (two.optimum_known, two.loss_of(losses)) == (False, pytest.approx(-two.optimum))
    with pytest.raises(NotMeasuredError):
        ComparedBenchmark.of(unknown, ("val_loss",), frame.assign(status="failed"))


def folder(
    path: Path, frames: list[pd.DataFrame], failures: Sequence[object] = (), **study: Any
) -> Path:
    """Write a study's folder as its replay does."""
    frame = pd.concat(frames, ignore_index=True)
    path.mkdir()
    saved = save_trials(frame, path / "trajectories.parquet")
    spec = StudySpec(
        name="s",
        title="A study",
        benchmarks=("toy-bowl",),
        optimizers=tuple(dict.fromkeys(frame["optimizer"])),
        seeds=int(frame["seed"].nunique()),
        **study,
    )
    results = {"trajectories.parquet": sha256_of_file(saved)}
    if failures:
        write_json(path / "failures.json", {"failures": failures})
        results["failures.json"] = sha256_of_file(path / "failures.json")
    StudyHeader(
        study=spec, tables={}, versions={}, benchmarks={"toy-bowl": toy_bowl()}, results=results
    ).write(path / "study.json")
    return path


def text_of(path: Path) -> str:
    return (path / "report.html").read_text(encoding="utf-8")


def test_a_study_of_methods_that_train_in_part(tmp_path: Path) -> None:
    frames = [
        replay("toy-bowl", name, budget={"step": 64}, seed=seed, workers=2).frame
        for name in ("asha", "random")
        for seed in range(3)
    ]
    path = folder(tmp_path / "s", frames, budget={"step": 64}, objectives=("val_loss",), workers=2)
    result = compare(path)
    assert "3 seeds, 64 steps" in result.summary()
    page = text_of(path)
    assert "over the steps spent" in page
    assert "Trained in part: asha." in page
    assert "2 trials were trained at a time" in page
    written = json.loads((path / "comparison.json").read_text())
    assert written["spending"] == "step"
    assert len(written["benchmarks"][0]["grid"]) == 100


def test_a_study_of_two_objectives_with_a_constraint_and_failures(tmp_path: Path) -> None:
    bounds = {"cost_seconds": 8.0}
    problem = toy_bowl().constrained(bounds)
    goals = ("val_loss", "score_toy")
    frames = [
        replay(problem, name, budget=6, seed=seed, objectives=goals).frame.assign(
            constraint_cost_seconds=0.0
        )
        for name in ("nsga2", "random")
        for seed in range(3)
    ]
    failures = [{"benchmark": "toy-bowl", "optimizer": "nsga2", "seed": 3, "reason": "<hung>"}]
    given = {"budget": 6, "objectives": goals, "constraints": bounds}
    path = folder(tmp_path / "s", frames, failures, **given)
    result = compare(path)
    assert "failed: nsga2 on toy-bowl, seed 3: <hung>" in result.summary()
    page = text_of(path)
    for part in (
        "Hypervolume of the Pareto front",
        "cost seconds at most 8 s",
        "What at least half of the 3 seeds attained",
        "Failed: nsga2 on toy-bowl, seed 3: &lt;hung&gt;.",
        "Infeasible trials",
    ):
        assert part in page
    assert "<hung>" not in page
    path = folder(tmp_path / "t", frames, [{"seed": 3}], **given)
    with pytest.raises(IntegrityError, match="not a list of failures"):
        compare(path)


class Planning(RandomSearch):
    """Remembers with how many trials it plans."""

    entry = Entry()

    def set_up(self):
        super().set_up()
        type(self).planned = self.budget


def test_an_optimizer_plans_with_the_trials_in_full_that_its_steps_come_to():
    for budget, planned in ((7, 7), ({"step": 64}, 8), ({"step": 71}, 8), ({"step": 8}, 1)):
        frame = replay("toy-bowl", Planning, budget=budget, seed=0).frame
        assert Planning.planned == planned == len(frame)
    replay("toy-bowl", Planning, budget={"seconds": 50}, seed=0)
    assert Planning.planned > 1000  # nobody knows how many come
