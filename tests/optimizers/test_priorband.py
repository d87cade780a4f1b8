"""`priorband` believes in the defaults until the trials say otherwise."""

from statistics import fmean

import numpy as np
import pytest
from scipy.integrate import quad

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.multi_fidelity.belief import WIDTH, Belief
from hpobench_llm.space import Categorical, Float, Space
from hpobench_llm.testing.benchmarks import TwoLossToy
from hpobench_llm.testing.drive import build_for, trials

SPACE = Space((Float("lr", 5e-7, 5e-3, log=True), Categorical("scaling", ("rslora", "lora", "x"))))
CENTRE = {"lr": 5e-5, "scaling": "lora"}  # the defaults, in the middle of the logarithm
PROBLEM = TwoLossToy("adapters", SPACE)


def test_a_belief_is_a_distribution():
    belief = Belief.around(SPACE, {"lr": 5e-7, "scaling": "lora"})  # at an end: cut in half

    def density(u, name):
        return np.exp(belief.logarithm(np.array([u, name])))

    masses = [quad(density, 0.0, 1.0, args=(name,))[0] for name in (0.0, 1.0, 2.0)]
    assert masses == pytest.approx([WIDTH / 2, 1 - WIDTH, WIDTH / 2])
    rng = np.random.default_rng(0)
    drawn = np.array([belief.sample(rng) for _ in range(4000)])
    assert [np.mean(drawn[:, 1] == name) for name in (0, 1, 2)] == pytest.approx(masses, abs=0.03)
    below = quad(lambda u: sum(density(u, n) for n in (0.0, 1.0, 2.0)), 0.0, 0.25)[0]
    assert np.mean(drawn[:, 0] < 0.25) == pytest.approx(below, abs=0.03)
    assert set(Belief.around(SPACE, CENTRE).others(rng)[1] for _ in range(50)) == {0.0, 2.0}


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_the_belief_s_share_grows_with_the_rung(rung):
    optimizer = build_for("priorband", PROBLEM, budget=5)
    optimizer._bracket.rung = rung
    names = [optimizer.sample()["scaling"] for _ in range(3000)]
    uniform = 1 / (1 + 3**rung)
    expected = uniform / 3 + (1 - uniform) * (1 - WIDTH)
    assert names.count("lora") / len(names) == pytest.approx(expected, abs=0.03)


def test_a_belief_that_is_wrong_is_left():
    def outcome(trial, _):
        unit = SPACE.to_unit([trial.config])[0, 0]
        loss = (unit - 0.95) ** 2 + (trial.config["scaling"] != "x")
        return trial, Evaluation(metrics={"val_loss": loss, "far": loss}, cost_seconds=1.0)

    run = trials("priorband", PROBLEM, budget=300, outcome=outcome)
    early, late = (
        fmean(SPACE.to_unit([t.config])[0, 0] for t in part if t.resumes is None)
        for part in (run[:9], run[200:])
    )
    assert early < 0.7 < late
