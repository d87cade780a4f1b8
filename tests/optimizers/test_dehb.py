"""`dehb` asks for what the library asks for, at our rungs."""

import numpy as np
import pytest

pytest.importorskip("dehb")

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers.encoding import decode, encode
from hpobench_llm.optimizers.multi_fidelity.dehb import _QuietDehb
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Float, Space

SPACE = Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))
STEPS = (Fidelity(name="step", unit="steps", values=(0, 8, 16, 32, 64, 128)),)


def made(budget=60, seed=0, **kwargs):
    objectives = [toy_sphere().metrics["val_loss"]]
    return build(
        "dehb",
        space=SPACE,
        objectives=objectives,
        fidelities=STEPS,
        budget=budget,
        seed=seed,
        **kwargs,
    )


def loss(x, y, step):
    return (x - 0.3) ** 2 + (y - 0.6) ** 2 + 1.0 / step


def evaluation(value):
    return Evaluation(metrics={"val_loss": value}, cost_seconds=1.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_trials_are_those_of_the_library_s_own_loop(seed):
    ours = made(seed=seed)
    theirs = _QuietDehb(
        dimensions=2,
        min_fidelity=14,
        max_fidelity=128,
        eta=3,
        seed=seed,
        n_workers=1,
        save_freq="end",
    )
    rungs = dict(zip(theirs.fidelities, (8, 32, 128), strict=True))
    while (trial := ours.ask()) is not None:
        job = theirs.ask()
        step = rungs[job["fidelity"]]
        assert trial.fidelity == {"step": step}
        assert encode(SPACE, trial.config) == pytest.approx(job["config"], abs=1e-12)
        value = loss(**trial.config, step=step)
        ours.tell(trial, evaluation(value))
        theirs.tell(job, {"fitness": value, "cost": 0.0})
        theirs.clean_inactive_brackets()


def test_what_is_promoted_goes_on_from_its_run_on_the_rung_below():
    solver, runs = made(), {}
    resumed = 0
    while (trial := solver.ask()) is not None:
        if trial.resumes is not None:
            before = runs[trial.resumes]
            assert before.config == trial.config
            assert before.fidelity["step"] < trial.fidelity["step"]
            resumed += 1
        runs[trial.number] = trial
        solver.tell(trial, evaluation(loss(**trial.config, step=trial.fidelity["step"])))
    assert resumed >= 5


def test_an_initial_design_is_in_the_population_in_full():
    design = [decode(SPACE, point) for point in ((0.3, 0.6), (0.9, 0.9), (0.31, 0.61), (0.5, 0.5))]
    solver = made(initial=design)
    for _ in design:
        trial = solver.ask()
        solver.tell(trial, evaluation(loss(**trial.config, step=128)))
    full = solver._dehb.de[solver._dehb.fidelities[-1]]
    places = np.argsort(full.fitness)[:3]
    wanted = [encode(SPACE, design[index]) for index in (0, 2, 3)]
    assert full.population[places] == pytest.approx(np.array(wanted))


def test_nothing_is_written_or_printed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    solver = made(budget=12)
    while (trial := solver.ask()) is not None:
        solver.tell(trial, evaluation(loss(**trial.config, step=trial.fidelity["step"])))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
