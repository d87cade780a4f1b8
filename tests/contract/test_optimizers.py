"""Every registered optimizer keeps the contract, and what more is asked of the package's own."""

import math
import sys
from contextlib import closing
from dataclasses import replace
from functools import cache, wraps
from importlib.metadata import files, version
from statistics import fmean

import numpy as np
import pytest

from hpobench_llm.errors import MissingDependencyError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.catalogue import ENTRIES as PLAIN
from hpobench_llm.optimizers.registry import entry
from hpobench_llm.space import Float, Ordinal, Space
from hpobench_llm.testing import OptimizerContract
from hpobench_llm.testing.benchmarks import TwoLossToy, bowl, mixed, sphere
from hpobench_llm.testing.drive import build_for, configs
from tests.optimizers.shorter import SHORTER

pytestmark = pytest.mark.usefixtures("short_climbs")
WRAPPED = (
    "tpe-optuna+warm-start",
    "tpe-optuna+stop-ei:0.001",
    "random+stop-no-improve:5",
    "asha+stop-no-improve:20",
)
ENTRIES = PLAIN | {name: entry(name) for name in WRAPPED}
NAMES = tuple(ENTRIES)
ONE = [name for name, entry in ENTRIES.items() if entry.objectives == "one"]
# What learns where to look; methods that run trials in part are compared in test_multi_fidelity,
# rules that may end a search at once in test_stopping.
LEARNING = [n for n, e in ENTRIES.items() if not (e.fixed or e.fidelity or e.stops)]
# How well a language model finds anything is the stand-in's matter, not the method's.
METHODS = [n for n in LEARNING if ENTRIES[n].family != "language model"]
# Distributions that every install has, and that an optimizer need not miss.
ALWAYS_THERE = {"", "numpy", "scipy"}

BOWL, SPHERE = bowl(), sphere()
LINE = TwoLossToy("line", Space((Float("x", -1.0, 1.0), Float("y", -1.0, 1.0))))
PROBLEMS = {"bowl": BOWL, "sphere": SPHERE, "mixed": mixed()}


# Some tenths of a second for every trial beyond the first ten or so.
COSTLY = {"ehvi", "mf-kg", "gps", "turbo"}


def long(name, longer=60):
    """Return a budget in which a method has learned: populations take longer, and cost little."""
    if name in COSTLY:
        return min(longer, 40)
    return 300 if ENTRIES[name].family == "evolutionary" else longer


def start(name):
    """Return a budget that goes beyond a method's start; of a model's `parego`'s is longest."""
    if name in COSTLY:
        return 14 if name in ("gps", "turbo") else 16  # they begin with at most 12, or 14
    if name == "catcma-mo":
        return 60  # its first kernel is moved after 19 trials or so, the next ones by ten
    families = ("model-based", "language model", "transfer")
    soon = ENTRIES[name].family in families and name != "parego"
    return 25 if soon else long(name, 45)


# The contracts of models take a minute together: two of them stand for all in `make quick`.
QUICK = {"gp", "tpe-optuna"} | {
    name for name, entry in ENTRIES.items() if entry.family not in ("model-based", "transfer")
} - COSTLY
# A process of its own, into which libraries are loaded anew; and what takes some methods as long.
ELSEWHERE = "test_another_process_repeats_the_trials_without_a_benchmark"
LONG = {
    "cqr": ["test_every_kind_of_space_is_searched"],
    "nomad": ["test_constraints_are_taken_as_its_entry_says"],
}


def slow(promise):
    """Return a test of a promise that is marked `slow`, as the contract's own is not."""

    @pytest.mark.slow
    @wraps(promise)
    def test(self):
        promise(self)

    return test


for name in NAMES:
    optimizer = SHORTER.get(name, name)  # another process must search no longer than this one
    members = {"optimizer": optimizer, "budget": start(name), "__module__": __name__}
    for promise in (ELSEWHERE, *LONG.get(name, ())):
        members[promise] = slow(getattr(OptimizerContract, promise))
    if name not in QUICK:
        members["pytestmark"] = pytest.mark.slow
    globals()[f"Test-{name}"] = type(f"Test-{name}", (OptimizerContract,), members)


# What the sources say comes first whatever the seed; in a small grid so does what a model makes of
# it, as no candidate is drawn there. What people do has no seed at all.
SEEDLESS = {
    "default": {"bowl", "sphere", "mixed"},
    "lr-sweep": {"bowl", "sphere", "mixed"},
    "lr-sweep-large": {"bowl", "sphere", "mixed"},
    "zero-shot": {"bowl", "sphere", "mixed"},
    "zero-shot-scaled": {"bowl", "sphere", "mixed"},
    "simple-ordered": {"bowl"},
    "simple-ordered-shuffled": {"bowl"},
    "simple-previous": {"bowl"},
}


@pytest.mark.parametrize("problem", ["bowl", "sphere", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_give_other_trials(name, problem):
    if problem in SEEDLESS.get(name, ()):
        pytest.skip("no seed decides")
    runs = [configs(name, PROBLEMS[problem], seed=seed, budget=8) for seed in range(4)]
    assert all(a != b for i, a in enumerate(runs) for b in runs[:i])


def seeds(name):
    """Return of how many searches the late trials are looked at: those of populations scatter."""
    if name in COSTLY:
        return 1
    return 3 if ENTRIES[name].family == "evolutionary" else 2


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_failed_region_is_left(name):
    failed = Evaluation(metrics={}, cost_seconds=1.0, status="out_of_memory")

    def outcome(trial, evaluation):
        return trial, failed if trial.config["x"] > 0 else evaluation

    late = [
        c
        for s in range(seeds(name))
        for c in configs(name, SPHERE, seed=s, outcome=outcome, budget=long(name))[-15:]
    ]
    assert sum(config["x"] > 0 for config in late) < len(late) / 3


# Every x is evaluated at -x and the best evaluation is at 0.5. Who learns the configuration that
# was evaluated asks for 0.5 (1), who learns the one that was asked for asks for -0.5 (-1). CMA-ES
# is told mirror images of its own draws, which moves its mean to and fro.
SIDES = {"nomad": -1, "nomad-eb": -1, "nomad-mo": -1}
SIDES |= dict.fromkeys(("cmaes", "llm-cmaes", "llm", "bounding-box"))


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_moved_configuration_is_learned_where_the_method_can(name):
    side = SIDES.get(name, 1)
    if side is None:
        pytest.skip("it follows its own draws, a stand-in, or keeps to the box of its sources")

    def outcome(trial, _):
        moved = trial.config | {"x": -trial.config["x"]}
        loss = (moved["x"] - 0.5) ** 2 + moved["y"] ** 2
        return replace(trial, config=moved), Evaluation(
            metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0
        )

    late = [
        c["x"]
        for s in range(seeds(name))
        for c in configs(name, LINE, seed=s, outcome=outcome, budget=long(name, 50))[30:]
    ]
    assert fmean(late) * side > 0.1


# The first trials of what transfers are the sources'; a baseline draws nothing. Around a uniform
# mean, and around the defaults, draws are not uniform.
UNEVEN = {"cmaes", "llm-cmaes", "catcma", "catcma-mo", "priorband", "llm"}
EVEN = [
    n
    for n, e in ENTRIES.items()
    if not (e.sequential or e.transfer or e.family == "baseline" or n in UNEVEN)
]


@pytest.mark.parametrize("name", EVEN)
def test_the_first_draws_give_every_level_the_same_chance(name):
    space = Space((Ordinal("rank", (1, 2, 4, 8)), Float("lr", 1e-4, 1e-1, log=True)))
    problem = TwoLossToy("levels", space)
    drawn = []
    for seed in range(150):
        with closing(build_for(name, problem, budget=4, seed=seed)) as optimizer:
            drawn += [optimizer.ask().config["rank"] for _ in range(4)]
    counts = [drawn.count(level) for level in (1, 2, 4, 8)]
    # 600 draws: 150 a level give or take 11; half a chance for the outer levels would give 100.
    assert min(counts) > 115, counts


@cache
def regret(name, problem, budget, count):
    runs = [configs(name, problem, seed=s, budget=budget) for s in range(count)]
    best = [min(problem.query(c).metrics["val_loss"] for c in asked) for asked in runs]
    return fmean(best) - problem.optimum("val_loss")[1]


@pytest.mark.slow
@pytest.mark.parametrize("problem", [BOWL, SPHERE], ids=["bowl", "sphere"])
@pytest.mark.parametrize("name", [name for name in METHODS if name in ONE])
def test_good_configurations_are_found(name, problem):
    budget = long(name, 40 if problem is BOWL else 60)
    count = 2 if name in COSTLY | {"cqr"} else 3
    assert regret(name, problem, budget, count) <= 0.6 * regret("random", problem, budget, count)


def area(points):
    """Return the area of the unit square that points (n, 2) dominate, lower being better."""
    total, low = 0.0, 1.0
    for a, b in sorted(points):
        if a < 1.0 and b < low:
            total += (1.0 - a) * (low - b)
            low = b
    return total


@cache
def covered(name, budget, count):
    areas = []
    for seed in range(count):
        asked = configs(name, SPHERE, seed=seed, budget=budget)
        told = [SPHERE.query(config).metrics for config in asked]
        areas.append(area([(m["val_loss"] - 1 / 8, m["far"]) for m in told]))
    return fmean(areas)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name not in ONE])
def test_good_fronts_are_found(name):
    # Means of 8 seeds: they miss 0.12 to 0.71 of the area that independent draws miss.
    budget = long(name, 60 if ENTRIES[name].family == "model-based" else 150)
    best = area([(3 * t**2, 3 * (0.4 - t) ** 2) for t in np.linspace(0.0, 0.4, 1000)])

    def missed(method):
        return best - covered(method, budget, 1 if name in COSTLY else 3)

    assert missed(name) < 0.8 * missed("random")


# What lies outside the box of its sources is nothing that `bounding-box` would look at.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNING if name != "bounding-box"])
def test_an_initial_design_is_learned(name):
    size = 120 if ENTRIES[name].family == "evolutionary" else 60  # no less than a population
    design = [{"x": x, "y": 0.0} for x in np.linspace(-1.0, 1.0, size)]
    for side in (-0.6, 0.6):

        def outcome(trial, _, side=side):
            loss = (trial.config["x"] - side) ** 2
            return trial, Evaluation(metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0)

        late = configs(name, LINE, initial=design, budget=size + 12, outcome=outcome)[size:]
        assert fmean(config["x"] for config in late) * math.copysign(1, side) > 0.1


def test_nomad_starts_at_the_best_of_the_design_without_trying_it_again():
    plain = configs("nomad", SPHERE, budget=40)
    worse = [{"x": -1.0, "y": 1.0, "z": -1.0}, {"x": -1.0, "y": -1.0, "z": 1.0}]
    after = configs("nomad", SPHERE, initial=[worse[0], plain[0], worse[1]], budget=42)
    assert after[3:] == plain[1:]


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_does_not_run_cannot_be_told(name):
    with closing(build_for(name, SPHERE, budget=5)) as optimizer:
        trial = optimizer.ask()
        evaluation = SPHERE.query(trial.config, fidelity=trial.fidelity)
        optimizer.tell(trial, evaluation)
        with pytest.raises(OptimizerError, match="trial 0 is not running"):
            optimizer.tell(trial, evaluation)


@pytest.mark.parametrize(
    "name", [n for n, e in PLAIN.items() if e.distribution not in ALWAYS_THERE]
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
        build_for(name, SPHERE, budget=5)


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_knows_the_installed_version(name):
    entry = ENTRIES[name]
    assert entry.installed == (version(entry.distribution) if entry.distribution else None)
    assert replace(entry, distribution="no-such-distribution").installed is None
