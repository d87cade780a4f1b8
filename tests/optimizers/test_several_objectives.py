"""Methods for several objectives: what each adds to the contract."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_sphere
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.direct_search.nomad_mo import NomadMo
from hpobench_llm.optimizers.evolutionary.local_search import LocalSearchMo
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

LOSS = toy_sphere().metrics["val_loss"]
SECONDS = Metric(name="seconds", unit="s", direction="minimize", worst=100.0)
BOTH = [LOSS, SECONDS]
SPACE = Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))
NINE = (Fidelity(name="epoch", unit="epochs", values=(1, 3, 9)),)


def told(loss, seconds, status="ok"):
    metrics = {"val_loss": loss, "seconds": seconds} if status == "ok" else {}
    return Evaluation(metrics=metrics, cost_seconds=1.0, status=status)


def run(optimizer, answer):
    trials = []
    with closing(optimizer):
        while (trial := optimizer.ask()) is not None:
            trials.append(trial)
            optimizer.tell(trial, answer(trial.config))
    return trials


def trade_off(config):
    return told((config["x"] - 0.2) ** 2 + config["y"] ** 2, (config["x"] - 0.8) ** 2)


@pytest.mark.parametrize(("several", "one"), [("moasha", "asha"), ("motpe", "tpe-optuna")])
def test_with_one_objective_it_is_the_method_for_one(several, one):
    def trials(name):
        optimizer = build(name, space=SPACE, objectives=[LOSS], fidelities=NINE, budget=60, seed=3)
        return run(optimizer, lambda config: told(round(config["x"], 1), 0.0))

    if several == "motpe":
        pytest.importorskip("optuna")
    assert trials(several) == trials(one)


def test_mo_asha_promotes_a_spread_of_the_front():
    optimizer = build("moasha", space=SPACE, objectives=BOTH, fidelities=NINE, budget=100, seed=0)
    asked = [optimizer.ask() for _ in range(9)]
    # Five on the front, of which the best in loss comes first, then the farthest from it, then
    # what is farthest from both.
    front = [(0.1, 9.0), (0.11, 8.9), (0.5, 5.0), (0.52, 4.9), (0.9, 1.0)]
    behind = [(0.9, 9.0), (0.95, 9.5), (0.6, 8.0), (0.99, 9.9)]
    for trial, losses in zip(asked, [*behind, *front], strict=True):
        optimizer.tell(trial, told(*losses))
    promoted = [optimizer.ask().resumes for _ in range(4)]
    assert promoted == [asked[4].number, asked[8].number, asked[6].number, None]


def test_mo_asha_promotes_no_failure():
    optimizer = build("moasha", space=SPACE, objectives=BOTH, fidelities=NINE, budget=100, seed=0)
    for trial in [optimizer.ask() for _ in range(9)]:
        optimizer.tell(trial, told(1.0, 1.0, "ok" if trial.number == 4 else "diverged"))
    assert [optimizer.ask().resumes for _ in range(3)] == [4, None, None]


def test_local_search_keeps_what_is_not_dominated_and_searches_there():
    optimizer = LocalSearchMo(SPACE, BOTH, (), 1000, 0)
    points = [(0.5, 0.5), (0.4, 0.6), (0.45, 0.9), (0.3, 0.3), (0.3, 0.3), (0.9, 0.1)]
    for loss, seconds in points:
        optimizer.tell(optimizer.ask(), told(loss, seconds))
    assert [tuple(losses) for losses, _ in optimizer._front] == [(0.3, 0.3), (0.9, 0.1)]
    front = [config for _, config in optimizer._front]
    children = [optimizer.ask().config for _ in range(200)]
    for parent in front:  # each has about half of the children
        assert 60 < sum(len(c.items() & parent.items()) == 1 for c in children) < 180
    assert all(any(c.items() & parent.items() for parent in front) for c in children)


def test_local_search_leaves_a_failure_out_of_the_front():
    optimizer = LocalSearchMo(SPACE, BOTH, (), 1000, 0)
    for _ in range(5):
        optimizer.tell(optimizer.ask(), told(0.0, 0.0, "failed"))
    assert optimizer._front == []


def test_nsga2_obeys_deb_s_rules():
    pytest.importorskip("pymoo")
    from hpobench_llm.optimizers.evolutionary.nsga2 import Nsga2

    class Constrained(Nsga2):
        def violation(self, evaluation):
            return max(0.0, 0.5 - evaluation.metrics["val_loss"])

    def answer(config):
        return told(config["x"], 1.0 - config["y"])

    free = run(Nsga2(SPACE, BOTH, (), 400, 0), answer)
    bound = run(Constrained(SPACE, BOTH, (), 400, 0), answer)
    # Without the constraint the best x is 0, with it 0.5.
    assert np.median([trial.config["x"] for trial in free[-40:]]) < 0.05
    late = np.array([trial.config["x"] for trial in bound[-40:]])
    assert np.median(late) == pytest.approx(0.5, abs=0.05)
    assert (late > 0.5).mean() > 0.5


def test_nsga2_begins_with_the_design_and_waits_for_generations():
    pytest.importorskip("pymoo")
    from hpobench_llm.optimizers.evolutionary.nsga2 import Nsga2

    design = [{"x": x, "y": 0.5} for x in np.linspace(0.0, 1.0, 5)]
    optimizer = Nsga2(SPACE, BOTH, (), 1000, 0, initial=design)
    running = [optimizer.ask() for _ in range(5)]
    assert optimizer.ask() is None
    for trial in running:
        optimizer.tell(trial, trade_off(trial.config))
    running = [optimizer.ask() for _ in range(15)]  # 20 with the design
    assert optimizer.ask() is None
    for trial in running[:-1]:
        optimizer.tell(trial, trade_off(trial.config))
        assert optimizer.ask() is None
    optimizer.tell(running[-1], trade_off(running[-1].config))
    assert optimizer.ask() is not None
    assert len(optimizer._algorithm.pop) == 20


def test_random_scalarisation_looks_at_both_ends():
    pytest.importorskip("optuna")
    late = []
    for seed in range(3):
        optimizer = build(
            "random-scalarisation", space=SPACE, objectives=BOTH, budget=60, seed=seed
        )
        late += [trial.config["x"] for trial in run(optimizer, trade_off)[20:]]
    # The front is 0.2 <= x <= 0.8; fixed weights would look at one part of it.
    assert sum(0.1 < x < 0.4 for x in late) >= 15
    assert sum(0.6 < x < 0.9 for x in late) >= 15


def test_parego_s_weights_are_a_lattice():
    pytest.importorskip("sklearn")
    from hpobench_llm.optimizers.model_based.parego import lattice

    assert lattice(1, 10).tolist() == [[1.0]]
    assert np.allclose(lattice(2, 10), [[i / 10, 1 - i / 10] for i in range(11)])
    three = lattice(3, 10)
    assert len(three) == 66
    assert np.allclose(three.sum(axis=1), 1.0)
    assert len(np.unique(three, axis=0)) == 66


def test_parego_counts_a_design_among_its_first_trials_and_repeats_nothing():
    pytest.importorskip("sklearn")
    from hpobench_llm.optimizers.model_based.parego import Parego

    grid = Space((Ordinal("x", (0.0, 0.25, 0.5, 0.75)), Categorical("y", ("a", "b", "c"))))

    def answer(config):
        return told(abs(config["x"] - 0.5), "abc".index(config["y"]) - config["x"])

    design = list(grid.configurations())[:9]
    optimizer = Parego(grid, BOTH, (), 30, 0, initial=design)
    first = 11 * 2 - 1
    seen = [str(trial.config) for trial in run(optimizer, answer)]
    assert len(seen) == 30
    # After the first 21 comes what was not asked for before, until nothing is left.
    fresh = [config not in seen[: first + i] for i, config in enumerate(seen[first:])]
    left = 12 - len(set(seen[:first]))
    assert fresh == [True] * left + [False] * (len(fresh) - left)


def test_parego_looks_where_improvement_is_to_be_expected():
    pytest.importorskip("sklearn")
    from hpobench_llm.optimizers.model_based.parego import Parego

    trials = run(Parego(SPACE, BOTH, (), 45, 0), trade_off)
    first, late = trials[:21], trials[21:]
    # The front is 0.2 <= x <= 0.8 at y = 0.
    assert np.mean([trial.config["y"] for trial in first]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([trial.config["y"] < 0.1 for trial in late]) > 0.6


@pytest.mark.parametrize(
    "space",
    [
        Space((Float("x", 0.0, 1.0),)),
        Space((Integer("x", 0, 12),)),
        Space((Ordinal("x", tuple(range(4))), Ordinal("y", tuple(range(6))))),
        Space((Float("x", 0.0, 1.0), Ordinal("y", tuple(range(6))))),
    ],
    ids=["real", "integer", "grid", "mixed"],
)
@pytest.mark.parametrize("goals", [2, 3])
def test_nomad_searches_small_spaces_for_several_objectives(space, goals):
    third = replace(SECONDS, name="memory")
    metrics = [*BOTH, third][:goals]

    def answer(config):
        x, y = float(config["x"]), float(config.get("y", 0))
        values = {"val_loss": x + y, "seconds": (x - 0.7) ** 2, "memory": (y - 2) ** 2}
        return Evaluation(metrics=values, cost_seconds=1.0)

    trials = run(NomadMo(space, metrics, (), 20, 1), answer)
    assert 2 <= len(trials) <= 20
    assert len({str(trial.config) for trial in trials}) == len(trials)
    problem = ToyBenchmark("small", space)
    assert all(problem.space.canonical(trial.config) == trial.config for trial in trials)


def test_nomad_begins_at_a_balanced_member_of_the_design_s_front():
    design = [{"x": x, "y": y} for x, y in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.5, 1.0))]
    optimizer = NomadMo(SPACE, BOTH, (), 10, 0, initial=design)
    trials = run(optimizer, lambda c: told(c["x"] ** 2 + c["y"], (1.0 - c["x"]) ** 2 + c["y"]))
    assert optimizer._start == {"x": 0.5, "y": 0.0}
    assert [trial.config for trial in trials[:4]] == design
    assert design[1] not in [trial.config for trial in trials[4:]]
