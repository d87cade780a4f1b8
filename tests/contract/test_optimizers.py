"""What every optimizer promises, whatever its library.

Run as a script, this file prints one optimizer's trials, to compare them between processes.
"""

import json
import math
import os
import random
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_bowl, toy_sphere
from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.registry import build, list_optimizers
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

NAMES = tuple(list_optimizers())
SINGLE_OBJECTIVE = ("nomad", "tpe-nni", "tpe-optuna")

MIXED = Space(
    (
        Categorical("modules", ("q", "v", "qv")),
        Integer("warmup_steps", 0, 100),
        Integer("batch", 1, 64, log=True),
        Float("lr", 1e-5, 1e-2, log=True),
        Ordinal("rank", (1, 2, 4, 8)),
        Ordinal("epochs", (3,)),
    )
)
SINGLE = Space((Ordinal("rank", (8,)), Categorical("modules", ("qv",))))
TINY = Space((Ordinal("rank", (1, 2)), Ordinal("dropout", (0.0, 0.1)), Integer("epochs", 1, 2)))
PROBLEMS = {
    "bowl": toy_bowl(),
    "sphere": toy_sphere(),
    "mixed": ToyBenchmark("mixed", MIXED),
    "single": ToyBenchmark("single", SINGLE),
}


def replay(
    name,
    problem,
    *,
    seed=0,
    budget=20,
    metric="val_loss",
    workers=1,
    asks=None,
    outcome=lambda trial, evaluation: (trial, evaluation),
):
    """Return the trials; the newest of the running ones is told first."""
    objective = problem.metrics[metric]
    optimizer = build(
        name,
        space=problem.space,
        objectives=[objective],
        fidelities=problem.fidelities,
        budget=budget,
        seed=seed,
    )
    trials, running = [], []
    with closing(optimizer):
        while True:
            while len(running) < workers and len(trials) < (asks or budget):
                trial = optimizer.ask()
                if trial is None:
                    break
                trials.append(trial)
                running.append(trial)
            if not running:
                return trials
            trial = running.pop()
            optimizer.tell(*outcome(trial, problem.query(trial.config, fidelity=trial.fidelity)))


def configs(*args, **kwargs):
    return [trial.config for trial in replay(*args, **kwargs)]


def regret(name, problem, seeds, budget):
    """Return the mean over the seeds of the best loss found above the optimum."""
    optimum = problem.optimum("val_loss")[1]
    best = [
        min(
            problem.query(config).metrics["val_loss"]
            for config in configs(name, problem, seed=seed, budget=budget)
        )
        for seed in seeds
    ]
    return fmean(best) - optimum


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", NAMES)
def test_trials_are_numbered_and_canonical(name, problem):
    space = PROBLEMS[problem].space
    trials = replay(name, PROBLEMS[problem])
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert trials
    for trial in trials:
        # repr, since 2 == 2.0 and 0.0 == -0.0
        assert repr(space.canonical(trial.config)) == repr(trial.config)
        assert "-0.0," not in repr(trial.config)


@pytest.mark.parametrize("problem", ["sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_budget_is_used_where_the_space_is_large(name, problem):
    assert len(replay(name, PROBLEMS[problem], budget=20)) == 20


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_asked_beyond_the_budget(name, workers):
    assert len(replay(name, toy_sphere(), budget=7, workers=workers, asks=100)) == 7
    assert replay(name, toy_sphere(), budget=0, workers=workers, asks=100) == []


@pytest.mark.parametrize("name", ["nomad", "tpe-nni"])
def test_a_finite_space_is_searched_without_repetition_and_to_its_end(name):
    asked = configs(name, ToyBenchmark("tiny", TINY), budget=50)
    assert len({json.dumps(config) for config in asked}) == len(asked) == 8
    assert configs(name, PROBLEMS["single"], budget=5) == [{"rank": 8, "modules": "qv"}]


@pytest.mark.parametrize("name", NAMES)
def test_another_process_repeats_the_trials_in_silence(name, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    other = subprocess.run(
        [sys.executable, __file__, name],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(other.stdout) == fingerprint(name)
    assert other.stderr == ""
    assert [*folder.iterdir(), *home.iterdir()] == []


def fingerprint(name):
    runs = {key: configs(name, problem, budget=15) for key, problem in PROBLEMS.items()}
    runs["workers"] = configs(name, toy_sphere(), workers=4, budget=30)
    return {key: [json.dumps(config) for config in asked] for key, asked in runs.items()}


@pytest.mark.parametrize("problem", ["bowl", "sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_give_other_trials(name, problem):
    runs = [configs(name, PROBLEMS[problem], seed=seed, budget=8) for seed in range(4)]
    assert all(a != b for i, a in enumerate(runs) for b in runs[:i])


@pytest.mark.parametrize("name", NAMES)
def test_the_global_generators_are_left_alone(name):
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002 - it is what is tested
    replay(name, PROBLEMS["mixed"])
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_ties_and_failed_runs_are_survived(name):
    failed = Evaluation(metrics={}, cost_seconds=1.0, status="diverged")
    assert len(replay(name, toy_sphere(), outcome=lambda trial, _: (trial, failed))) == 20


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE)
def test_a_failed_region_is_left(name):
    failed = Evaluation(metrics={}, cost_seconds=1.0, status="out_of_memory")

    def outcome(trial, evaluation):
        return trial, failed if trial.config["x"] > 0 else evaluation

    late = [
        c
        for s in range(3)
        for c in configs(name, toy_sphere(), seed=s, outcome=outcome, budget=40)[25:]
    ]
    assert sum(config["x"] > 0 for config in late) < len(late) / 3


@pytest.mark.parametrize("name", NAMES)
def test_maximising_a_score_is_minimising_its_negative(name):
    assert configs(name, PROBLEMS["mixed"], metric="score_toy", budget=30) == configs(
        name, PROBLEMS["mixed"], metric="val_loss", budget=30
    )


@pytest.mark.parametrize("name", NAMES)
def test_several_trials_run_at_once_except_where_the_method_is_sequential(name):
    problem = toy_sphere()
    objectives = [problem.metrics["val_loss"]]
    optimizer = build(
        name,
        space=problem.space,
        objectives=objectives,
        fidelities=problem.fidelities,
        budget=30,
        seed=0,
    )
    with closing(optimizer):
        asked = [optimizer.ask() for _ in range(4)]
    assert sum(trial is not None for trial in asked) == (1 if name == "nomad" else 4)
    assert len(replay(name, problem, workers=4, budget=30)) == 30


@pytest.mark.parametrize(("name", "side"), [("nomad", -1), ("tpe-nni", 1), ("tpe-optuna", 1)])
def test_a_moved_configuration_is_learned_where_the_method_can(name, side):
    # Every x is evaluated at -x and the best evaluation is at 0.5. Who learns the configuration
    # that was evaluated asks for 0.5, who learns the one that was asked for asks for -0.5.
    problem = ToyBenchmark("line", Space((Float("x", -1.0, 1.0), Float("y", -1.0, 1.0))))

    def outcome(trial, _):
        moved = trial.config | {"x": -trial.config["x"]}
        loss = (moved["x"] - 0.5) ** 2 + moved["y"] ** 2
        return replace(trial, config=moved), Evaluation(
            metrics={"val_loss": loss}, cost_seconds=1.0
        )

    late = [
        c["x"]
        for s in range(3)
        for c in configs(name, problem, seed=s, outcome=outcome, budget=50)[30:]
    ]
    assert fmean(late) * side > 0.2


@pytest.mark.parametrize("name", ["random", "tpe-nni", "tpe-optuna"])
def test_the_first_draws_give_every_level_the_same_chance(name):
    space = Space((Ordinal("rank", (1, 2, 4, 8)), Float("lr", 1e-4, 1e-1, log=True)))
    problem = ToyBenchmark("levels", space)
    drawn = [c["rank"] for s in range(60) for c in configs(name, problem, seed=s, budget=10)]
    counts = [drawn.count(level) for level in (1, 2, 4, 8)]
    # 600 draws: 150 a level give or take 11; half a chance for the outer levels would give 100.
    assert min(counts) > 120, counts


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE)
def test_good_configurations_are_found(name):
    # Independent draws: 0.040 on the bowl and 0.024 on the sphere, mean of 200 seeds.
    assert regret(name, toy_bowl(), range(4), budget=40) < 0.015
    assert regret(name, toy_sphere(), range(4), budget=60) < 0.012


def designed(name, problem, design, budget, loss=None):
    """Return the trials of an optimizer with an initial design; `loss` overrules the problem's."""
    optimizer = build(
        name,
        space=problem.space,
        objectives=[problem.metrics["val_loss"]],
        fidelities=problem.fidelities,
        budget=budget,
        seed=0,
        initial=design,
    )
    trials = []
    with closing(optimizer):
        while (trial := optimizer.ask()) is not None:
            trials.append(trial)
            answer = problem.query(trial.config, fidelity=trial.fidelity)
            if loss is not None:
                answer = replace(answer, metrics={"val_loss": loss(trial.config)})
            optimizer.tell(trial, answer)
    return trials


@pytest.mark.parametrize("problem", ["bowl", "sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_an_initial_design_comes_first_and_counts(name, problem):
    space, rng = PROBLEMS[problem].space, np.random.default_rng(1)
    design = [space.sample(rng) for _ in range(4)]
    trials = designed(name, PROBLEMS[problem], design, 12)
    assert [trial.config for trial in trials[:4]] == design
    assert [trial.fidelity for trial in trials[:4]] == [None] * 4
    assert [trial.number for trial in trials] == list(range(12))
    for trial in trials:
        assert repr(space.canonical(trial.config)) == repr(trial.config)


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE)
def test_an_initial_design_is_learned(name):
    problem = ToyBenchmark("line", Space((Float("x", -1.0, 1.0), Float("y", -1.0, 1.0))))
    design = [{"x": x, "y": 0.0} for x in np.linspace(-1.0, 1.0, 25)]
    for side in (-0.6, 0.6):
        trials = designed(name, problem, design, 33, lambda c, s=side: (c["x"] - s) ** 2)
        later = fmean(trial.config["x"] for trial in trials[25:])
        assert math.copysign(1, later) == math.copysign(1, side)


def test_nomad_starts_at_the_best_of_the_design_without_trying_it_again():
    problem = toy_sphere()
    plain = configs("nomad", problem, budget=40)
    worse = [{"x": -1.0, "y": 1.0, "z": -1.0}, {"x": -1.0, "y": -1.0, "z": 1.0}]
    trials = designed("nomad", problem, [worse[0], plain[0], worse[1]], 42)
    assert [trial.config for trial in trials[3:]] == plain[1:]


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE)
def test_two_objectives_are_refused(name):
    problem = toy_bowl()
    with pytest.raises(OptimizerError, match="takes one objective, got: val_loss, score_toy"):
        build(
            name,
            space=problem.space,
            objectives=list(problem.metrics.values()),
            budget=5,
            seed=0,
        )


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE)
def test_a_trial_that_does_not_run_cannot_be_told(name):
    problem = toy_sphere()
    objectives = [problem.metrics["val_loss"]]
    optimizer = build(name, space=problem.space, objectives=objectives, budget=5, seed=0)
    with closing(optimizer):
        trial = optimizer.ask()
        optimizer.tell(trial, problem.query(trial.config))
        with pytest.raises(OptimizerError, match="trial 0 is not running"):
            optimizer.tell(trial, problem.query(trial.config))


@pytest.mark.parametrize(
    ("name", "module", "library"),
    [
        ("nomad", "PyNomad", "PyNomadBBO"),
        ("tpe-nni", "nni", "nni"),
        ("tpe-optuna", "optuna", "optuna"),
    ],
)
def test_a_missing_library_is_named(name, module, library, monkeypatch):
    own = f"hpobench_llm.optimizers.{name.replace('-', '_')}"
    monkeypatch.delitem(sys.modules, own, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    problem = toy_bowl()
    with pytest.raises(MissingDependencyError, match=f"'{name}' needs {library}"):
        build(
            name,
            space=problem.space,
            objectives=[problem.metrics["val_loss"]],
            budget=5,
            seed=0,
        )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fingerprint(sys.argv[1])))
