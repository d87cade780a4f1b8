"""Figures of quality and shapes of cost in closed form."""

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.surrogates.compare import compare, folds_of
from hpobench_llm.surrogates.models import FAMILIES, ModelFamily
from hpobench_llm.surrogates.quality import best_quarter, figures, probability_figures
from hpobench_llm.surrogates.resources import LEAST, ResourceShape, resources_of


def test_figures_in_closed_form():
    truth = np.array([1.0, 3.0, 4.0, 6.0, 9.0, 11.0])  # three cells of two seeds
    predicted = np.array([2.0, 2.0, 4.0, 4.0, 10.0, 10.0])
    cell = np.array([0, 0, 1, 1, 2, 2])
    held = {0.5: np.array([True, True, False, False, True, False])}
    found = figures(truth, predicted, cell, held)
    means = np.array([2.0, 5.0, 10.0])
    assert found["r2"] == pytest.approx(1 - (1 / 3) / means.var())
    assert found["kendall_tau"] == found["spearman"] == pytest.approx(1.0)
    assert found["mean_absolute_error"] == pytest.approx(1 / 3)
    assert found["seed_standard_deviation"] == pytest.approx(np.sqrt(2))
    assert found["r2_ceiling"] == found["r2"]  # seeds would allow 0.91, but more was reached
    assert found["kendall_tau_between_seeds"] == pytest.approx(1.0)
    assert found["coverage"] == {"0.5": 0.5}
    assert (found["runs"], found["cells"]) == (6, 3)


def test_a_figure_that_does_not_exist_is_none():
    found = figures(np.array([1.0]), np.array([2.0]), np.array([0]))
    assert found["r2"] is found["kendall_tau"] is found["seed_standard_deviation"] is None
    assert figures(np.zeros(0), np.zeros(0), np.zeros(0, dtype=int))["r2"] is None
    assert figures(np.ones(5), np.arange(5.0), np.arange(5))["kendall_tau"] is None


def test_a_perfect_prediction_does_not_pass_the_ceiling_by_much():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.normal(size=500), 2)
    runs = truth + rng.normal(0, 0.5, 1000)
    found = figures(runs, truth, np.repeat(np.arange(500), 2))
    assert found["r2"] == pytest.approx(found["r2_ceiling"], abs=0.03)


def test_a_prediction_without_skill_leaves_the_ceiling_to_the_seeds():
    truth = np.array([1.0, 3.0, 4.0, 6.0, 9.0, 11.0])
    found = figures(truth, np.full(6, 5.0), np.array([0, 0, 1, 1, 2, 2]))
    assert found["r2_ceiling"] == pytest.approx(1 - 2 * 0.5 / np.array([2.0, 5.0, 10.0]).var())


def test_the_ceiling_knows_that_good_runs_repeat_better_than_chaotic_ones():
    """A fifth is chaotic, and chaotic ones were repeated most: the others have no such noise."""
    rng = np.random.default_rng(0)
    cells = np.repeat(
        np.arange(1000), np.where(np.arange(1000) >= 800, 4, 1 + (np.arange(1000) < 60))
    )
    means = np.where(np.arange(1000) < 800, np.linspace(0, 1, 1000), np.linspace(4, 6, 1000))
    size = np.where(np.arange(1000) < 800, 0.01, 1.0)
    runs = means[cells] + size[cells] * rng.normal(size=len(cells))
    found = figures(runs, means[cells], cells)
    noise = 0.8 * 0.01**2 + 0.2 * 1.0 / 4
    spread = np.bincount(cells, runs) / np.bincount(cells)
    assert found["r2_ceiling"] == pytest.approx(1 - noise / spread.var(), abs=0.01)
    assert found["r2"] <= found["r2_ceiling"]


def test_the_best_quarter_is_judged_by_itself():
    truth = np.arange(40.0)
    predicted = truth.copy()
    predicted[:11] = truth[:11][::-1] + 2.0  # the best are turned round, and too high
    cell = np.arange(40)
    low = best_quarter(truth, predicted, cell, sign=1.0)
    assert (low["cells"], low["kendall_tau"]) == (10, pytest.approx(-1.0))
    assert low["bias"] == pytest.approx(3.0)
    high = best_quarter(truth, predicted, cell, sign=-1.0)  # of a score, the highest
    assert (high["kendall_tau"], high["r2"], high["bias"]) == (pytest.approx(1.0), 1.0, 0.0)


def test_probabilities_in_closed_form():
    found = probability_figures(np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.5, 0.5]))
    assert found["brier"] == pytest.approx(0.125)
    assert found["brier_of_the_share"] == pytest.approx(0.25)
    assert found["auc"] == pytest.approx(3.5 / 4)  # one tie
    assert probability_figures(np.zeros(3), np.zeros(3))["auc"] is None


def test_a_product_of_rate_and_shape_is_found_again():
    rates = np.array([2.0, 5.0, 1.0, 3.0])
    steps = (0, 4, 8, 32)
    axis = Fidelity(name="step", unit="", values=steps)
    frame = pd.DataFrame([{"train_seconds": r * s, "step": s} for r in rates for s in steps])
    levels = frame[["step"]].to_numpy(dtype=float)
    found = resources_of(frame, (axis,), levels, np.repeat(np.arange(4), 4))
    (shape,) = found.shapes
    assert np.exp(found.rates[:, 0]) == pytest.approx(rates * 32)
    assert [shape.at((s,)) for s in (4, 6, 32)] == pytest.approx([4 / 32, 6 / 32, 1.0])
    assert shape.at((0,)) == LEAST
    assert ResourceShape.from_json(shape.to_json()) == shape


def test_a_column_that_is_not_there_or_empty_is_left_out():
    frame = pd.DataFrame({"eval_seconds": [np.nan, np.nan], "tokens_seen": [5, 10]})
    found = resources_of(frame, (), np.zeros((2, 0)), np.arange(2))
    assert [shape.name for shape in found.shapes] == ["tokens_seen"]
    assert np.exp(found.rates[:, 0]) == pytest.approx([5.0, 10.0])
    nothing = resources_of(frame[["eval_seconds"]], (), np.zeros((2, 0)), np.arange(2))
    assert nothing.shapes == ()
    assert nothing.rates.shape == (2, 0)


def test_the_cheapest_family_that_is_as_good_wins():
    rng = np.random.default_rng(0)
    x = rng.random((60, 2))
    y = np.column_stack([x[:, 0] + rng.normal(0, 0.1, 60), np.sin(25 * x[:, 0])])
    families = [FAMILIES["ridge"], FAMILIES["process"]]
    found = compare(
        x,
        y,
        np.full(y.shape, True),
        np.arange(60),
        folds_of(60, 5, 0),
        names=("noisy", "wave"),
        full=np.full(60, True),
        seed=0,
        families=families,
    )
    assert found.winners == ("ridge", "process")
    assert found.errors[1]["process"] < 0.5 < found.errors[1]["ridge"]
    held = folds_of(60, 5, 0)
    assert sorted(np.bincount(held)) == [12] * 5


def test_a_column_that_cannot_be_held_out_is_named():
    use = np.full((10, 2), True)
    use[2:, 1] = False  # measured of the two configurations of the first fold alone
    with pytest.raises(ConfigurationError, match=r"^rare: measured of 2 configurations, all of t"):
        compare(
            np.arange(10.0)[:, None],
            np.ones((10, 2)),
            use,
            np.arange(10),
            np.repeat(np.arange(5), 2),
            names=("common", "rare"),
            full=np.full(10, True),
            seed=0,
        )


class PerStep:
    """Answers the mean at each step; a fine one the neighbour's in full, and is 0.1 off before."""

    def __init__(self, features, targets, fine):
        self.features, self.targets, self.fine = features, targets, fine

    def predict(self, features):
        answers = []
        for x, step in features:
            there = self.features[:, 1] == step
            answer = self.targets[there].mean(axis=0)
            if self.fine and step == 1.0:
                near = np.abs(self.features[there, 0] - x).argmin()
                answer = self.targets[there][near]
            answers.append(answer + (0.1 if self.fine and step < 1.0 else 0.0))
        return np.array(answers)


def test_a_family_is_chosen_by_what_it_does_in_full_too():
    """A curve that all share hides a wave in full, which one family follows and the other not."""
    x, step = np.repeat(np.linspace(0, 1, 60), 10), np.tile(np.linspace(0, 1, 10), 60)
    full = step == 1.0
    y = (3.0 * step + np.where(full, 0.2 * np.sin(12 * x), 0.0))[:, None]
    families = [
        ModelFamily(name, "", lambda f, t, _, fine=fine: PerStep(f, t, fine), None, "numpy")
        for name, fine in (("rough", False), ("fine", True))
    ]
    found = compare(
        np.column_stack([x, step]),
        y,
        np.full(y.shape, True),
        np.repeat(np.arange(60), 10),
        folds_of(60, 5, 0),
        names=("loss",),
        full=full,
        seed=0,
        families=families,
    )
    assert found.winners == ("fine",)  # although over all rows the rough one errs less
    wrong = (found.predicted - y) ** 2
    assert wrong.mean() > (y[full] - y[full].mean()).var() / 10
