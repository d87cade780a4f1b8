"""Rules that end a search: when, and that nothing else changes."""

from contextlib import closing

import numpy as np
import pytest

from hpobench_llm.benchmarks.toy import toy_bowl, toy_sphere
from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.registry import build
from hpobench_llm.optimizers.stopping.by_model import Outlook, StopEi, StopPi, regret_bound
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Float, Ordinal, Space

LOSS = Metric(name="val_loss", unit="1", direction="minimize", worst=99.0)
FAR = Metric(name="far", unit="1", direction="minimize", worst=99.0)
LINE = Space((Float("x", -1.0, 1.0), Float("y", -1.0, 1.0)))
BY_MODEL = ["stop-regret-bound:0.5", "stop-ei", "stop-pi"]


def made(name, *, space=LINE, budget=100, seed=0, objectives=(LOSS,), **arguments):
    return build(name, space=space, objectives=objectives, budget=budget, seed=seed, **arguments)


def told(*losses, status="ok"):
    metrics = dict(zip(("val_loss", "far"), losses, strict=False)) if status == "ok" else {}
    return Evaluation(metrics=metrics, cost_seconds=1.0, status=status)


def bowl(config, scale=1.0):
    return told(scale * ((config["x"] - 0.3) ** 2 + (config["y"] + 0.2) ** 2))


def run(name, outcome=bowl, **arguments):
    """Return the trials until the end."""
    with closing(made(name, **arguments)) as optimizer:
        found = []
        while (trial := optimizer.ask()) is not None:
            optimizer.tell(trial, outcome(trial.config))
            found.append(trial)
        assert optimizer.ask() is None
        return found


def length(losses, name="random+stop-no-improve:3", **arguments):
    """Return how many trials are asked for where these are their losses."""
    outcomes = iter(losses)
    return len(run(name, lambda _: next(outcomes), budget=len(losses), **arguments))


def test_it_stops_after_trials_without_improvement():
    falling = [told(float(10 - n)) for n in range(10)]
    assert length(falling) == 10
    assert length([told(1.0), *falling]) == 4
    assert length([told(5.0), told(6.0), told(6.0), told(4.0), *[told(4.0)] * 9]) == 7


def test_a_failed_or_infeasible_trial_is_no_improvement():
    failed = told(status="diverged")
    infeasible = Evaluation(
        metrics={"val_loss": 0.0}, cost_seconds=1.0, constraints={"memory": 1.0}
    )
    assert length([failed] * 9) == 3
    assert length([told(5.0), failed, infeasible, told(4.0), *[infeasible] * 5]) == 7


def test_in_several_objectives_whatever_is_not_dominated_improves():
    several = {"name": "random+stop-no-improve:2", "objectives": (LOSS, FAR)}
    assert length([told(float(n), -float(n)) for n in range(9)], **several) == 9
    assert length([told(1.0, 1.0), *[told(1.0, 2.0)] * 5], **several) == 3
    assert length([told(1.0, 2.0), told(0.0, 3.0), *[told(1.0, 2.0)] * 5], **several) == 4


def test_what_runs_is_told_and_nothing_more_asked_for():
    with closing(made("random+stop-no-improve:2")) as optimizer:
        running = [optimizer.ask() for _ in range(6)]
        for trial in running[:3]:
            optimizer.tell(trial, told(1.0))
        assert optimizer.ask() is None
        optimizer.tell(running[3], told(0.0))  # an improvement, but too late
        assert optimizer.ask() is None
        for trial in running[4:]:
            optimizer.tell(trial, told(1.0))
        with pytest.raises(OptimizerError, match="trial 0 is not running"):
            optimizer.tell(running[0], told(1.0))


@pytest.mark.parametrize("inner", ["tpe-optuna", "asha", "de", "gp"])
def test_a_rule_that_is_not_met_changes_nothing(inner):
    design = [{"rank": 4, "lr": 1e-3, "dropout": 0.1}, {"rank": 1, "lr": 1e-4, "dropout": 0.0}]
    arguments = {"budget": 25, "seed": 3, "workers": 3, "initial": design}
    plain = replay("toy-bowl", inner, **arguments).to_frame()
    ruled = replay("toy-bowl", f"{inner}+stop-no-improve:1000", **arguments).to_frame()
    apart = ["optimizer", "optimizer_seconds"]
    assert plain.drop(columns=apart).equals(ruled.drop(columns=apart))


@pytest.mark.parametrize("rule", ["stop-regret-bound:0.05", "stop-ei"])
def test_a_rule_by_model_stops_a_search_that_has_found_its_goal(rule):
    found = run(f"gp+{rule}", budget=60)
    assert 10 <= len(found) < 60
    best = min(bowl(trial.config).metrics["val_loss"] for trial in found)
    assert best < 0.02


@pytest.mark.parametrize("rule", ["stop-regret-bound", "stop-ei", "stop-pi"])
def test_a_larger_threshold_never_stops_later(rule):
    lengths = [len(run(f"random+{rule}:{eps}", budget=30)) for eps in (1e-4, 1e-2, 0.1, 0.5, 5.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1] == 10


def test_scaling_losses_and_threshold_together_changes_nothing():
    def gains(scale):
        with closing(made(f"random+stop-regret-bound:{scale / 32}")) as optimizer:
            for _ in range(25):
                trial = optimizer.ask()
                if trial is None:
                    break
                optimizer.tell(trial, bowl(trial.config, scale))
            return optimizer.gains

    one, other = gains(1.0), gains(1024.0)
    assert len(one) == len(other) > 1
    assert np.array(other) == pytest.approx(1024 * np.array(one), rel=1e-6)


def test_the_regret_bound_in_closed_form():
    outlook = Outlook(
        known_mean=np.array([1.0, 0.5]),
        known_deviation=np.array([0.1, 0.4]),
        mean=np.array([0.6, 2.0]),
        deviation=np.array([0.5, 1.0]),
        scale=3.0,
        trials=2,
    )
    # Upper: 1.2 and 1.3; lower: 0.8, -0.3, -0.4 and 0.
    assert regret_bound(outlook, 2.0) == pytest.approx(1.6)
    assert regret_bound(outlook, 0.0) == 0.0
    rng = np.random.default_rng(0)
    for _ in range(50):
        means, deviations = rng.standard_normal((2, 4)), rng.random((2, 4))
        drawn = Outlook(means[0], deviations[0], means[1], deviations[1], 1.0, 4)
        assert regret_bound(drawn, rng.random()) >= 0


def test_expected_and_probable_improvement_in_closed_form():
    none = np.array([])
    at_best = Outlook(np.array([0.0, 1.0]), none, np.array([0.0, 5.0]), np.ones(2), 1.0, 2)
    assert StopEi.gain(None, at_best) == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert StopPi.gain(None, at_best) == pytest.approx(0.5)
    all_evaluated = Outlook(np.array([0.0]), none, none, none, 1.0, 2)
    assert StopEi.gain(None, all_evaluated) == StopPi.gain(None, all_evaluated) == 0.0


@pytest.mark.parametrize("rule", BY_MODEL)
def test_nothing_is_left_to_gain_where_all_is_evaluated(rule):
    space = Space((Ordinal("x", tuple(range(12))),))
    with closing(made(f"grid+{rule}", space=space)) as optimizer:
        asked = 0
        while (trial := optimizer.ask()) is not None:
            optimizer.tell(trial, told(float(trial.config["x"])))
            asked += 1
        assert 10 <= asked <= 12


@pytest.mark.parametrize("rule", BY_MODEL)
def test_equal_losses_and_failures_are_survived(rule):
    assert len(run(f"random+{rule}", lambda _: told(1.0), budget=15)) >= 10
    failed = told(status="out_of_memory")
    assert len(run(f"random+{rule}", lambda _: failed, budget=15)) >= 10
    mixed = run(f"random+{rule}", lambda c: failed if c["x"] > 0 else bowl(c), budget=15)
    assert len(mixed) >= 10


def test_trials_in_part_do_not_count_for_a_model():
    frame = replay("toy-bowl", "asha+stop-pi:0.9", budget=200, seed=0).to_frame()
    full = frame["step"] == toy_bowl().fidelities[0].full
    assert len(frame) < 200
    assert full.sum() >= 10


def test_a_model_takes_one_objective():
    with pytest.raises(OptimizerError, match="StopEi takes one objective, got: val_loss, far"):
        made("random+stop-ei", objectives=(LOSS, FAR))


@pytest.mark.slow
def test_regret_and_time_that_stopping_costs():
    """Relative change of the loss and of the time: 0 without a stop, and never a better loss."""
    sphere = toy_sphere()

    def best_and_time(name):
        frame = replay(sphere, name, budget=40, seed=1).to_frame()
        return frame["val_loss"].min(), frame["finished_seconds"].max()

    full, stopped, never = (
        best_and_time(n) for n in ("gp", "gp+stop-ei:0.05", "gp+stop-ei:1e-300")
    )
    assert never == full
    assert stopped[0] >= full[0]
    assert (full[1] - stopped[1]) / full[1] > 0.2
