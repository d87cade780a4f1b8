"""What every optimizer promises, whatever its library, as the registry's columns say.

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
from importlib.metadata import files, version
from statistics import fmean

import numpy as np
import pytest

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_bowl, toy_sphere
from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.registry import build, list_optimizers
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

ENTRIES = list_optimizers()
NAMES = tuple(ENTRIES)
ONE = [name for name, entry in ENTRIES.items() if entry.objectives == "one"]
ENDING = [name for name, entry in ENTRIES.items() if entry.ends]
# What learns where to look; methods that run trials in part are compared in test_multi_fidelity.
LEARNING = [name for name, e in ENTRIES.items() if e.family != "random" and not e.fidelity]
# Distributions that every install has, and that an optimizer need not miss.
ALWAYS_THERE = {"", "numpy", "scipy"}

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


class TwoGoals(ToyBenchmark):
    """A toy with `far`, a loss whose optimum is at 0.7 on every axis."""

    def __init__(self, name, space):
        super().__init__(name, space)
        far = Metric(name="far", unit="1", direction="minimize", worst=10.0, low=0.0)
        self.metrics = self.metrics | {"far": far}

    def query(self, config, *, fidelity=None, seed=None, metrics=None):
        near = ("val_loss", "score_toy")
        told = super().query(config, fidelity=fidelity, seed=seed, metrics=near)
        unit = self.space.to_unit([self.space.canonical(config)])
        return replace(told, metrics=told.metrics | {"far": float(((unit - 0.7) ** 2).sum())})


BOWL = TwoGoals("bowl", toy_bowl().space)
SPHERE = TwoGoals("sphere", toy_sphere().space)
LINE = TwoGoals("line", Space((Float("x", -1.0, 1.0), Float("y", -1.0, 1.0))))
PROBLEMS = {
    "bowl": BOWL,
    "sphere": SPHERE,
    "mixed": TwoGoals("mixed", MIXED),
    "single": TwoGoals("single", SINGLE),
}


def made(name, problem, *, budget, seed=0, metric="val_loss", initial=()):
    """Return an optimizer of one objective, or of two if it takes several."""
    objectives = [metric] if ENTRIES[name].objectives == "one" else [metric, "far"]
    return build(
        name,
        space=problem.space,
        objectives=[problem.metrics[objective] for objective in objectives],
        fidelities=problem.fidelities,
        budget=budget,
        seed=seed,
        initial=initial,
    )


def long(name, longer=60):
    """Return a budget in which a method has learned: populations take longer, and cost little."""
    return 300 if ENTRIES[name].family == "evolutionary" else longer


def replay(
    name,
    problem,
    *,
    seed=0,
    budget=20,
    metric="val_loss",
    workers=1,
    asks=None,
    initial=(),
    outcome=lambda trial, evaluation: (trial, evaluation),
):
    """Return the trials; the newest of the running ones is told first."""
    trials, running = [], []
    optimizer = made(name, problem, budget=budget, seed=seed, metric=metric, initial=initial)
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
    assert len(replay(name, SPHERE, budget=7, workers=workers, asks=100)) == 7
    assert replay(name, SPHERE, budget=0, workers=workers, asks=100) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_finite_space_is_searched_to_its_end_or_over_and_over(name):
    asked = configs(name, TwoGoals("tiny", TINY), budget=50)
    alone = configs(name, PROBLEMS["single"], budget=40)
    if name in ENDING:
        assert len({json.dumps(config) for config in asked}) == len(asked) == 8
        assert alone == [{"rank": 8, "modules": "qv"}]
    else:
        assert len(asked) == 50
        assert alone == [{"rank": 8, "modules": "qv"}] * 40


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
    runs["workers"] = configs(name, SPHERE, workers=4, budget=45)
    return {key: [json.dumps(config) for config in asked] for key, asked in runs.items()}


@pytest.mark.parametrize("problem", ["bowl", "sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_give_other_trials(name, problem):
    runs = [configs(name, PROBLEMS[problem], seed=seed, budget=8) for seed in range(4)]
    assert all(a != b for i, a in enumerate(runs) for b in runs[:i])


@pytest.mark.parametrize("name", NAMES)
def test_the_global_generators_are_left_alone(name):
    def states():
        torch = sys.modules.get("torch")  # only where something has imported it
        return (
            random.getstate(),
            repr(np.random.get_state()),  # noqa: NPY002 - it is what is tested
            torch and (torch.get_rng_state().tolist(), torch.get_num_threads()),
        )

    with closing(made(name, PROBLEMS["mixed"], budget=1)):  # imports what it needs
        before = states()
    replay(name, PROBLEMS["mixed"])
    assert states() == before


@pytest.mark.parametrize("status", ["ok", "diverged"])
@pytest.mark.parametrize("name", NAMES)
def test_ties_and_failed_runs_are_survived(name, status):
    metrics = dict.fromkeys(SPHERE.metrics, 1.0) if status == "ok" else {}
    same = Evaluation(metrics=metrics, cost_seconds=1.0, status=status)
    budget = long(name, 45)
    trials = replay(name, SPHERE, budget=budget, outcome=lambda trial, _: (trial, same))
    assert len(trials) == budget


@pytest.mark.parametrize("name", LEARNING)
def test_a_failed_region_is_left(name):
    failed = Evaluation(metrics={}, cost_seconds=1.0, status="out_of_memory")

    def outcome(trial, evaluation):
        return trial, failed if trial.config["x"] > 0 else evaluation

    late = [
        c
        for s in range(3)
        for c in configs(name, SPHERE, seed=s, outcome=outcome, budget=long(name))[-15:]
    ]
    assert sum(config["x"] > 0 for config in late) < len(late) / 3


@pytest.mark.parametrize("name", NAMES)
def test_maximising_a_score_is_minimising_its_negative(name):
    assert configs(name, PROBLEMS["mixed"], metric="score_toy", budget=30) == configs(
        name, PROBLEMS["mixed"], metric="val_loss", budget=30
    )


@pytest.mark.parametrize("name", NAMES)
def test_several_trials_run_at_once_except_where_the_method_is_sequential(name):
    with closing(made(name, SPHERE, budget=30)) as optimizer:
        asked = [optimizer.ask() for _ in range(4)]
    assert sum(trial is not None for trial in asked) == (1 if ENTRIES[name].sequential else 4)
    for workers in (4, 8):
        assert len(replay(name, SPHERE, workers=workers, budget=45)) == 45


@pytest.mark.parametrize("name", NAMES)
def test_configurations_may_be_moved_before_they_are_evaluated(name):
    def outcome(trial, _):
        moved = {axis: round(value * 4) / 4 for axis, value in trial.config.items()}
        return replace(trial, config=moved), SPHERE.query(moved, fidelity=trial.fidelity)

    budget = long(name, 45)
    trials = replay(name, SPHERE, outcome=outcome, budget=budget, workers=2)
    assert len(trials) == budget
    for trial in trials:
        assert repr(SPHERE.space.canonical(trial.config)) == repr(trial.config)


# Every x is evaluated at -x and the best evaluation is at 0.5. Who learns the configuration that
# was evaluated asks for 0.5 (1), who learns the one that was asked for asks for -0.5 (-1). CMA-ES
# is told mirror images of its own draws, which moves its mean to and fro.
SIDES = {"nomad": -1, "nomad-eb": -1, "nomad-mo": -1, "cmaes": None}


@pytest.mark.parametrize("name", LEARNING)
def test_a_moved_configuration_is_learned_where_the_method_can(name):
    side = SIDES.get(name, 1)
    if side is None:
        pytest.skip("it follows its own draws")

    def outcome(trial, _):
        moved = trial.config | {"x": -trial.config["x"]}
        loss = (moved["x"] - 0.5) ** 2 + moved["y"] ** 2
        return replace(trial, config=moved), Evaluation(
            metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0
        )

    late = [
        c["x"]
        for s in range(3)
        for c in configs(name, LINE, seed=s, outcome=outcome, budget=long(name, 50))[30:]
    ]
    assert fmean(late) * side > 0.1


@pytest.mark.parametrize("name", [n for n in NAMES if not ENTRIES[n].sequential and n != "cmaes"])
def test_the_first_draws_give_every_level_the_same_chance(name):
    space = Space((Ordinal("rank", (1, 2, 4, 8)), Float("lr", 1e-4, 1e-1, log=True)))
    problem = TwoGoals("levels", space)
    drawn = []
    for seed in range(150):
        with closing(made(name, problem, budget=4, seed=seed)) as optimizer:
            drawn += [optimizer.ask().config["rank"] for _ in range(4)]
    counts = [drawn.count(level) for level in (1, 2, 4, 8)]
    # 600 draws: 150 a level give or take 11; half a chance for the outer levels would give 100.
    assert min(counts) > 115, counts


@pytest.mark.parametrize("problem", [BOWL, SPHERE], ids=["bowl", "sphere"])
@pytest.mark.parametrize("name", [name for name in LEARNING if name in ONE])
def test_good_configurations_are_found(name, problem):
    budget = long(name, 40 if problem is BOWL else 60)

    def regret(method):
        found = (configs(method, problem, seed=s, budget=budget) for s in range(4))
        best = [min(problem.query(c).metrics["val_loss"] for c in asked) for asked in found]
        return fmean(best) - problem.optimum("val_loss")[1]

    assert regret(name) <= 0.6 * regret("random")


def area(points):
    """Return the area of the unit square that points (n, 2) dominate, lower being better."""
    total, low = 0.0, 1.0
    for a, b in sorted(points):
        if a < 1.0 and b < low:
            total += (1.0 - a) * (low - b)
            low = b
    return total


@pytest.mark.parametrize("name", [name for name in LEARNING if name not in ONE])
def test_good_fronts_are_found(name):
    # Means of 8 seeds: they miss 0.12 to 0.71 of the area that independent draws miss.
    budget = long(name, 60 if ENTRIES[name].family == "model-based" else 150)
    best = area([(3 * t**2, 3 * (0.4 - t) ** 2) for t in np.linspace(0.0, 0.4, 1000)])

    def missed(method):
        areas = []
        for seed in range(4):
            asked = configs(method, SPHERE, seed=seed, budget=budget)
            told = [SPHERE.query(config).metrics for config in asked]
            areas.append(area([(m["val_loss"] - 1 / 8, m["far"]) for m in told]))
        return best - fmean(areas)

    assert missed(name) < 0.8 * missed("random")


@pytest.mark.parametrize("problem", ["bowl", "sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_an_initial_design_comes_first_and_counts(name, problem):
    space, rng = PROBLEMS[problem].space, np.random.default_rng(1)
    design = [space.sample(rng) for _ in range(4)]
    trials = replay(name, PROBLEMS[problem], initial=design, budget=12)
    assert [trial.config for trial in trials[:4]] == design
    assert [trial.fidelity for trial in trials[:4]] == [None] * 4
    assert [trial.number for trial in trials] == list(range(12))
    for trial in trials:
        assert repr(space.canonical(trial.config)) == repr(trial.config)


@pytest.mark.parametrize("name", NAMES)
def test_an_initial_design_is_survived_by_several_workers(name):
    space, rng = MIXED, np.random.default_rng(1)
    for size in (1, 25):
        design = [space.sample(rng) for _ in range(size)]
        trials = replay(name, PROBLEMS["mixed"], initial=design, budget=40, workers=8)
        assert len(trials) == 40
        assert [trial.config for trial in trials[:size]] == design


@pytest.mark.parametrize("name", LEARNING)
def test_an_initial_design_is_learned(name):
    design = [{"x": x, "y": 0.0} for x in np.linspace(-1.0, 1.0, 120)]
    for side in (-0.6, 0.6):

        def outcome(trial, _, side=side):
            loss = (trial.config["x"] - side) ** 2
            return trial, Evaluation(metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0)

        trials = replay(name, LINE, initial=design, budget=132, outcome=outcome)
        assert fmean(trial.config["x"] for trial in trials[120:]) * math.copysign(1, side) > 0.1


def test_nomad_starts_at_the_best_of_the_design_without_trying_it_again():
    plain = configs("nomad", SPHERE, budget=40)
    worse = [{"x": -1.0, "y": 1.0, "z": -1.0}, {"x": -1.0, "y": -1.0, "z": 1.0}]
    trials = replay("nomad", SPHERE, initial=[worse[0], plain[0], worse[1]], budget=42)
    assert [trial.config for trial in trials[3:]] == plain[1:]


@pytest.mark.parametrize("name", NAMES)
def test_objectives_are_taken_as_the_registry_says(name):
    def taking(*names):
        metrics = [SPHERE.metrics[metric] for metric in names]
        fidelities = SPHERE.fidelities
        return build(
            name, space=SPHERE.space, objectives=metrics, fidelities=fidelities, budget=5, seed=0
        )

    with closing(taking("val_loss")) as optimizer:
        assert optimizer.ask() is not None
    if name in ONE:
        with pytest.raises(OptimizerError, match="takes one objective, got: val_loss, far"):
            taking("val_loss", "far")
    else:
        with closing(taking("val_loss", "far", "score_toy")) as optimizer:
            assert optimizer.ask() is not None


@pytest.mark.parametrize("name", NAMES)
def test_one_objective_is_enough(name):
    one = replace(ENTRIES[name], objectives="one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENTRIES, name, one)
        assert len(replay(name, SPHERE, budget=long(name, 40))) == long(name, 40)


@pytest.mark.parametrize("name", NAMES)
def test_fidelities_are_used_as_the_registry_says(name):
    levels = {json.dumps(trial.fidelity) for trial in replay(name, SPHERE, budget=30)}
    assert (len(levels) > 1) == ENTRIES[name].fidelity
    assert ENTRIES[name].fidelity or levels == {"null"}


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_does_not_run_cannot_be_told(name):
    with closing(made(name, SPHERE, budget=5)) as optimizer:
        trial = optimizer.ask()
        evaluation = SPHERE.query(trial.config, fidelity=trial.fidelity)
        optimizer.tell(trial, evaluation)
        with pytest.raises(OptimizerError, match="trial 0 is not running"):
            optimizer.tell(trial, evaluation)


@pytest.mark.parametrize(
    "name", [n for n, e in ENTRIES.items() if e.distribution not in ALWAYS_THERE]
)
def test_a_missing_library_is_named(name, monkeypatch):
    library = ENTRIES[name].distribution
    code = (file for file in files(library) or () if file.suffix in (".py", ".so"))
    top = {file.parts[0].partition(".")[0] for file in code if not file.parts[0].startswith(".")}
    for module in [*sys.modules]:
        if module.startswith("hpobench_llm.optimizers.") and not module.endswith(
            (".base", ".registry")
        ):
            monkeypatch.delitem(sys.modules, module)
    for module in [*sys.modules]:
        if module.partition(".")[0] in top:
            monkeypatch.delitem(sys.modules, module)
    for module in top:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"'{name}'.* needs {library}"):
        made(name, SPHERE, budget=5)


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_knows_the_installed_version(name):
    entry = ENTRIES[name]
    assert entry.installed == (version(entry.distribution) if entry.distribution else None)
    assert replace(entry, distribution="no-such-distribution").installed is None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fingerprint(sys.argv[1])))
