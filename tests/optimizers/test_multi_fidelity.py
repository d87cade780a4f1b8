"""Methods along a fidelity axis: their rungs, who is promoted, and what they save."""

import math
from functools import cache
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_sphere
from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers.model_based.density import Density
from hpobench_llm.optimizers.multi_fidelity import bohb
from hpobench_llm.optimizers.multi_fidelity.bohb import sizes
from hpobench_llm.optimizers.multi_fidelity.rungs import rung_values
from hpobench_llm.optimizers.registry import build, list_optimizers
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Float, Space

pytestmark = pytest.mark.usefixtures("short_climbs")
METHODS = tuple(name for name, entry in list_optimizers().items() if entry.fidelity)
SPACE = Space((Float("x", 0.0, 1.0),))
NINE = (Fidelity(name="epoch", unit="epochs", values=(1, 3, 9)),)


def slow(*names):
    """Return the names of all methods, of which some are marked `slow`."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in names else n for n in METHODS]


def made(name, fidelities=NINE, budget=1000, seed=0):
    metric = toy_sphere().metrics["val_loss"]
    return build(
        name, space=SPACE, objectives=[metric], fidelities=fidelities, budget=budget, seed=seed
    )


def outcome(loss, status="ok"):
    metrics = {"val_loss": loss} if status == "ok" else {}
    return Evaluation(metrics=metrics, cost_seconds=1.0, status=status)


@pytest.mark.parametrize(
    ("values", "eta", "rungs"),
    [
        ((1, 3, 9, 27), 3, (1, 3, 9, 27)),
        ((0, 8, 16, 32, 64, 128), 3, (8, 32, 128)),  # 24 and 72 are not measured: the next are
        ((0, 8, 16, 32, 64, 128), 2, (8, 16, 32, 64, 128)),
        (tuple(range(1, 53)), 3, (1, 3, 9, 27, 52)),
        ((0.5, 1.0), 3, (0.5, 1.0)),
        ((7,), 3, (7,)),
    ],
)
def test_the_rungs_of_an_axis(values, eta, rungs):
    assert rung_values(Fidelity(name="step", unit="", values=values), eta) == rungs


@given(st.sets(st.integers(1, 500), min_size=1), st.integers(2, 5))
def test_rungs_increase_among_the_measured_values_to_the_full_one(values, eta):
    axis = Fidelity(name="step", unit="", values=tuple(sorted(values)))
    rungs = rung_values(axis, eta)
    assert set(rungs) <= values
    assert list(rungs) == sorted(set(rungs))
    assert (rungs[0], rungs[-1]) == (min(values), max(values))


def test_asha_promotes_the_best_third_as_soon_as_it_can():
    asha = made("asha")
    first = [asha.ask() for _ in range(3)]  # three workers
    assert [trial.fidelity for trial in first] == [{"epoch": 1}] * 3
    asha.tell(first[0], outcome(0.2))
    asha.tell(first[1], outcome(0.1))
    assert asha.ask().resumes is None  # one of two is no third yet
    asha.tell(first[2], outcome(0.3))
    promoted = asha.ask()
    assert (promoted.resumes, promoted.config) == (first[1].number, first[1].config)
    assert promoted.fidelity == {"epoch": 3}
    more = [asha.ask() for _ in range(3)]
    assert [trial.resumes for trial in more] == [None] * 3  # it is promoted once
    for trial, loss in zip(more, (0.15, 0.05, 0.4), strict=True):
        asha.tell(trial, outcome(loss))
    # Six at the lowest rung: two go up, of which one is up already.
    asha.tell(promoted, outcome(0.1))
    assert [asha.ask().resumes, asha.ask().resumes] == [more[1].number, None]


def test_asha_looks_at_the_highest_rung_first():
    asha = made("asha")
    low = [asha.ask() for _ in range(9)]
    for trial in low:
        asha.tell(trial, outcome(trial.number))
    ups = [asha.ask() for _ in range(3)]
    assert [trial.fidelity["epoch"] for trial in ups] == [3, 3, 3]
    more = [asha.ask() for _ in range(3)]
    assert [trial.fidelity["epoch"] for trial in more] == [1, 1, 1]
    for trial in [*more, *ups]:
        asha.tell(trial, outcome(-1.0))
    assert asha.ask().fidelity == {"epoch": 9}
    assert asha.ask().fidelity == {"epoch": 3}


def test_asha_by_stopping_goes_on_at_once_or_never():
    asha = made("asha-stopping")
    first = asha.ask()
    asha.tell(first, outcome(0.5))
    second = asha.ask()
    assert (second.resumes, second.fidelity) == (first.number, {"epoch": 3})
    worse = asha.ask()
    asha.tell(worse, outcome(0.6))
    assert asha.ask().resumes is None
    better = asha.ask()
    asha.tell(better, outcome(0.4))
    assert asha.ask().resumes == better.number
    asha.tell(second, outcome(0.5))
    assert asha.ask().fidelity == {"epoch": 9}


@pytest.mark.parametrize("seed", range(5))
def test_asha_by_stopping_goes_on_up_to_the_quantile_of_the_rung(seed):
    rng = np.random.default_rng(seed)
    asha, rungs = made("asha-stopping", budget=300), {1: [], 3: [], 9: []}
    going_on = None
    while (trial := asha.ask()) is not None:
        assert trial.resumes == going_on
        losses = rungs[trial.fidelity["epoch"]]
        loss, ok = float(rng.integers(20)), rng.random() > 0.1  # with ties and failures
        asha.tell(trial, outcome(loss) if ok else outcome(loss, "diverged"))
        losses.append(loss if ok else 1e9)
        on = ok and trial.fidelity != {"epoch": 9} and loss <= np.quantile(losses, 1 / 3)
        going_on = trial.number if on else None
    assert len(rungs[9]) > 5


@pytest.mark.parametrize("name", slow("mf-kg"))
def test_what_failed_is_never_trained_on(name):
    method = made(name)
    asked = [method.ask() for _ in range(9)]
    for trial in asked:
        method.tell(trial, outcome(0.0, "diverged"))
    later = [method.ask() for _ in range(5)]
    assert all(trial is not None and trial.resumes is None for trial in later)


def brackets(name, count):
    """Return how many trials each rung of each bracket has when all losses are distinct."""
    method, sizes, last = made(name), [], None
    for loss in range(count):
        trial = method.ask()
        here = (trial.fidelity["epoch"], trial.resumes is None)
        if here != last:
            sizes.append([*here, 0])
        sizes[-1][2] += 1
        last = here
        method.tell(trial, outcome(loss))
    return [tuple(size) for size in sizes]


def test_hyperband_s_brackets_are_those_of_the_paper():
    # eta = 3 and R = 9: 9, 5 and 3 configurations at 1, 3 and 9 (Li et al., Algorithm 1).
    one_round = [(1, True, 9), (3, False, 3), (9, False, 1), (3, True, 5), (9, False, 1)]
    assert brackets("hyperband", 22 + 22) == [
        *(*one_round, (9, True, 3)),
        *(*one_round, (9, True, 3)),
    ]


def test_successive_halving_repeats_its_bracket():
    one_round = [(1, True, 9), (3, False, 3), (9, False, 1)]
    assert brackets("successive-halving", 26) == one_round * 2


def test_synchronous_methods_wait_for_the_last_trials_of_a_rung():
    method = made("successive-halving")
    asked = [method.ask() for _ in range(9)]
    assert method.ask() is None
    for trial in asked[:-1]:
        method.tell(trial, outcome(trial.number))
        assert method.ask() is None
    method.tell(asked[-1], outcome(0.5))
    assert method.ask().resumes == 0


@cache
def regret(name, workers, seeds):
    budget = {"step": 8 * 30}
    problem = ToyBenchmark("s", toy_sphere().space)
    optimum = problem.optimum("val_loss")[1]
    regrets = []
    for seed in range(seeds):
        frame = replay(problem, name, budget=budget, seed=seed, workers=workers).to_frame()
        assert frame["step"].sum() >= 8 * 30 - 100
        regrets.append(frame.loc[frame["step"] == 8, "val_loss"].min() - optimum)
    return fmean(regrets)


@pytest.mark.parametrize("name", slow("mf-kg", "asha-cqr", "asha-bore", "moasha"))
@pytest.mark.parametrize("workers", [1, 4])
def test_more_configurations_are_tried_for_the_same_steps(name, workers):
    # 1/step is the same for all configurations: the lowest rung ranks as the full one does.
    seeds = {"mf-kg": 2, "asha-cqr": 3, "asha-bore": 4}.get(name, 10)  # a model takes long
    assert regret(name, workers, seeds) < regret("random", workers, seeds)


@pytest.mark.parametrize("name", METHODS)
def test_a_benchmark_without_fidelities_is_refused(name):
    for fidelities in ((), (Fidelity(name="epoch", unit="epochs", values=(0, 9)),)):
        with pytest.raises(OptimizerError, match="no fidelity below the full one"):
            made(name, fidelities)


@pytest.mark.parametrize("name", slow("mf-kg", "asha-cqr"))
def test_every_step_is_paid_once(name):
    frame = replay("toy-sphere", name, budget={"step": 400}, seed=1, workers=3).to_frame()
    resumed = frame.dropna(subset="resumes")
    assert len(resumed) > 3
    steps = frame.set_index("trial")["step"]
    below = steps.loc[resumed["resumes"].astype(int)].to_numpy()
    assert (resumed["cost_seconds"].to_numpy() == resumed["step"].to_numpy() - below).all()
    assert math.isclose(frame["cost_seconds"].sum(), frame["tokens"].sum())
    assert frame["cost_seconds"].sum() <= 400


# configurations by a model


@pytest.mark.parametrize("name", ["asha-bore", "asha-cqr"])
def test_the_model_learns_the_last_value_of_a_configuration_whatever_its_rung(name):
    pytest.importorskip("lightgbm")
    asha = made(name)
    first = [asha.ask() for _ in range(3)]
    for trial, loss in zip(first, (0.3, 0.2, 0.9), strict=True):
        asha.tell(trial, outcome(loss))
    promoted = asha.ask()
    assert promoted.resumes == first[1].number
    asha.tell(promoted, outcome(0.1))
    assert asha.history.losses.tolist() == [0.3, 0.1, 0.9]
    xs = asha.history.points[:, 0]
    assert xs == pytest.approx([trial.config["x"] for trial in first])
    failed = asha.ask()
    asha.tell(failed, outcome(0.0, "diverged"))
    assert asha.history.losses.tolist() == [0.3, 0.1, 0.9, 0.9]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asha-bore", "asha-cqr", "bohb"])
def test_a_model_asks_for_better_configurations_than_chance(name):
    pytest.importorskip("lightgbm")
    late = []
    for seed in range(3):
        method = made(name, seed=seed)
        for _ in range(60):
            trial = method.ask()
            loss = abs(trial.config["x"] - 0.8) + 1.0 / trial.fidelity["epoch"]
            method.tell(trial, outcome(loss))
            if trial.number >= 30 and trial.resumes is None:
                late.append(abs(trial.config["x"] - 0.8))
    # The mean distance of uniform draws is 0.34; a third of those of BOHB are uniform.
    assert fmean(late) < (0.2 if name != "bohb" else 0.25)


def test_bohb_s_good_and_bad_trials_are_as_many_as_in_the_paper():
    # d = 3: no fewer than 4 of either, and 15 % are good.
    assert sizes(6, 3, 0.15) == (4, 4)
    assert sizes(20, 3, 0.15) == (4, 16)
    assert sizes(100, 3, 0.15) == (15, 85)


def test_bohb_models_the_highest_rung_with_enough_trials():
    method = made("bohb")  # one axis: four trials are enough
    for number in range(9):
        trial = method.ask()
        method.tell(trial, outcome(float(number)))
    for loss in range(3):
        trial = method.ask()
        assert trial.fidelity["epoch"] == 3
        method.tell(trial, outcome(float(loss)))
    assert [len(known) for known in method._finished] == [9, 3, 0]
    fits = []

    class Watched(Density):
        @staticmethod
        def fit(centres, names, least):
            fits.append(len(centres))
            return Density.fit(centres, names, least)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bohb, "Density", Watched)
        patch.setattr(method, "random_share", 0.0)
        method.sample()
        assert fits == [2, 7]  # of the 9 at the lowest rung
        method._finished[1].append(method._finished[1][0])
        method.sample()
    assert fits[2:] == [2, 2]  # of the 4 at the next


def test_bohb_draws_a_third_at_random():
    method = made("bohb")
    for _ in range(9):
        trial = method.ask()
        method.tell(trial, outcome(abs(trial.config["x"] - 0.5)))
    assert method.random_share == 1 / 3
    calls = []
    uniform = Space.sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Space, "sample", lambda *args: calls.append(1) or uniform(*args))
        for _ in range(600):
            method.sample()
    assert 160 < len(calls) < 240
