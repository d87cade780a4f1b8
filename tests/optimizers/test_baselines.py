"""The baselines are what people do: the libraries' defaults, and a sweep of the learning rate."""

import math

import pytest

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.registry import build
from hpobench_llm.practice import default_configuration, strong_configuration, swept_axis
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=10.0)
SPACE = Space(
    (
        Ordinal("rank", (2, 4, 32), log=True),
        Ordinal("dropout", (0.1, 0.3)),
        Float("lr", 1e-4, 1e-1, log=True),
        Integer("batch_rows", 16, 64),
        Categorical("target_modules", ("all-linear", "attention", "mlp")),
        Ordinal("depth", (1, 2, 3)),
    )
)


def sweep(space, loss, name="lr-sweep", budget=50):
    optimizer = build(name, space=space, objectives=(LOSS,), budget=budget, seed=0)
    asked = []
    while (trial := optimizer.ask()) is not None:
        asked.append(trial.config)
        value = loss(trial.config)
        status = "ok" if math.isfinite(value) else "diverged"
        metrics = {"val_loss": value} if status == "ok" else {}
        optimizer.tell(trial, Evaluation(metrics=metrics, cost_seconds=1.0, status=status))
    return asked


def test_defaults_are_the_libraries_as_near_as_the_axes_have_them():
    assert default_configuration(SPACE) == {
        "rank": 4,  # 8 lies one octave from 4 and two from 32
        "dropout": 0.1,
        "lr": pytest.approx(1e-4),  # 5e-5 lies below
        "batch_rows": 16,
        "target_modules": "attention",
        "depth": 2,
    }
    assert strong_configuration(SPACE) == default_configuration(SPACE) | {"rank": 32}


def test_default_asks_once_and_ends():
    assert sweep(SPACE, lambda _: 1.0, "default") == [default_configuration(SPACE)]


@pytest.mark.parametrize("optimum", [1e-4, 3e-3, 2e-2, 1e-1])
@pytest.mark.parametrize("name", ["lr-sweep", "lr-sweep-large"])
def test_a_sweep_moves_one_axis_and_ends_near_the_optimum_of_a_bowl(name, optimum):
    asked = sweep(SPACE, lambda c: 1 + math.log(c["lr"] / optimum) ** 2, name)
    assert len(asked) <= 8
    assert all(c | {"lr": 0} == asked[0] | {"lr": 0} for c in asked)
    nearest = min(abs(math.log10(c["lr"] / optimum)) for c in asked)
    assert nearest <= 3 / 24  # a step of the finest values: an eighth of a decade


def test_a_sweep_of_levels_ends_where_the_best_has_both_neighbours_tried():
    space = Space((Ordinal("lr", (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), log=True),))
    asked = [c["lr"] for c in sweep(space, lambda c: abs(math.log10(c["lr"]) + 2))]
    assert asked[:4] == [1e-5, 1e-3, 1e-1, 10.0]
    assert {1e-3, 1e-2, 1e-1} <= {*asked}
    assert len(asked) == len({*asked}) < 7


def test_a_sweep_leaves_what_diverges():
    asked = sweep(SPACE, lambda c: math.inf if c["lr"] > 2e-3 else 3 - math.log10(c["lr"]))
    assert sum(c["lr"] > 2e-3 for c in asked) <= 5
    assert max(c["lr"] for c in asked if c["lr"] <= 2e-3) > 1e-3


def test_a_sweep_waits_for_what_runs_before_it_goes_finer():
    optimizer = build("lr-sweep", space=SPACE, objectives=(LOSS,), budget=50, seed=0)
    running = [optimizer.ask() for _ in range(4)]
    assert optimizer.ask() is None
    for trial in running:
        optimizer.tell(trial, Evaluation(metrics={"val_loss": 1.0}, cost_seconds=1.0))
    assert optimizer.ask() is not None


def test_the_swept_axis_is_the_learning_rate_or_the_first_logarithmic_one():
    assert swept_axis(SPACE).name == "lr"
    others = [d for d in SPACE if d.name != "lr"]
    assert swept_axis(Space((*reversed(others),))).name == "rank"
    assert swept_axis(Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))).name == "x"
