"""What a benchmark shows of itself: landscape, importance, curves, and itself in a few words."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import hpobench_llm
from hpobench_llm.benchmarks.importance import importance
from hpobench_llm.errors import ConfigurationError, NotMeasuredError, UnknownNameError
from hpobench_llm.metrics import Metric
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Ordinal, Space

LOSS = Metric(name="loss", unit="1", direction="minimize", worst=99.0)
SPACE = Space((Ordinal("a", (0, 1, 2)), Ordinal("b", (0, 1, 2, 3))))


def axes():
    return Figure().add_subplot()


@pytest.fixture
def small(table_folder):
    return hpobench_llm.load(table_folder)


def test_a_landscape_is_the_best_over_all_other_axes(small):
    shown = small.plot_landscape(x="lr", y="rank", ax=axes())
    (mesh,) = shown.collections
    answers = small.configurations().join(small.query_many(small.configurations()))
    answers.loc[answers["status"] != "ok", "val_loss"] = np.nan
    best = answers.pivot_table("val_loss", "rank", "lr", aggfunc="min", dropna=False)
    drawn = np.ma.filled(mesh.get_array(), np.nan).reshape(best.shape)
    np.testing.assert_allclose(drawn, best.to_numpy())
    assert (shown.get_xlabel(), shown.get_ylabel()) == ("learning rate", "rank")
    (star,) = [line for line in shown.get_lines() if line.get_label() == "best"]
    column, row = int(star.get_xdata()[0]), int(star.get_ydata()[0])
    assert drawn[row, column] == np.nanmin(drawn)
    up = small.plot_landscape("score_toy", x="lr", y="rank", ax=axes()).collections[0]
    assert np.nanmax(np.ma.filled(up.get_array(), np.nan)) == up.get_clim()[1]
    with pytest.raises(UnknownNameError, match="unknown axis 'lrr'; did you mean 'lr'"):
        small.plot_landscape(x="lrr")


def test_a_space_without_a_list_is_drawn_from_draws():
    sphere = hpobench_llm.load("toy-sphere")
    shown = sphere.plot_landscape(x="x", y="y", ax=axes())
    assert len(shown.collections[0].get_array().ravel()) == 16 * 16
    shares = sphere.importance()
    np.testing.assert_allclose(shares.to_numpy(), 1 / 3, atol=0.02)  # a sum of three like terms


def shares_of(losses, configs, space=SPACE):
    return importance("t", space, LOSS, configs, np.array(losses, dtype=float), lambda _: None)


def test_shares_of_a_sum_and_of_a_product_are_the_closed_forms():
    configs = list(SPACE.configurations())
    told = shares_of([3 * c["a"] for c in configs], configs)
    assert told.loc["a"].tolist() == pytest.approx([1, 1])
    assert told.loc["b"].tolist() == pytest.approx([0, 0])
    centred = [(c["a"] - 1) * (c["b"] - 1.5) for c in configs]
    told = shares_of(centred, configs)
    assert told["alone"].tolist() == pytest.approx([0, 0])
    assert told["total"].tolist() == pytest.approx([1, 1])
    failed = [np.nan if c["a"] == 2 else 0 for c in configs]
    assert shares_of(failed, configs).loc["a", "total"] == pytest.approx(1)


@pytest.mark.slow
def test_of_a_part_of_a_grid_a_forest_says_it():
    pytest.importorskip("sklearn")
    grid = Space((Ordinal("a", tuple(range(8))), Ordinal("b", tuple(range(8)))))
    configs = [c for c in grid.configurations() if (c["a"] + c["b"]) % 2]
    told = shares_of([c["a"] for c in configs], configs, grid)
    assert told.loc["a", "total"] > 0.9
    assert told.loc["b", "total"] < 0.1


def test_what_has_no_shares_says_so(small):
    configs = list(SPACE.configurations())
    with pytest.raises(NotMeasuredError, match="loss does not differ between 12 configurations"):
        shares_of([1] * len(configs), configs)
    shown = small.plot_importance(ax=axes())
    labels = [text.get_text() for text in shown.get_yticklabels()]
    assert labels == [
        "learning rate" if name == "lr" else name
        for name in small.importance().sort_values("total", kind="stable").index
    ]


def test_curves_are_of_all_configurations(small):
    shown = small.plot_curves(ax=axes())
    (thin,) = shown.collections
    assert len(thin.get_segments()) == len(small.configurations())
    lines = {line.get_label(): line for line in shown.get_lines()}
    best, _ = small.optimum("val_loss")
    levels = small.fidelities[0].values
    expected = [small.query(best, fidelity=level).metrics["val_loss"] for level in levels]
    assert lines["best at the end"].get_ydata() == pytest.approx(expected)
    assert lines["best at the end"].get_xdata() == pytest.approx(levels)
    # At 8 steps the score was not measured.
    segments = small.plot_curves("score_toy", ax=axes()).collections[0].get_segments()
    assert {float(x) for segment in segments for x in segment[:, 0]} == {0.0, 16.0}


def test_no_picture_trains(small, monkeypatch):
    monkeypatch.setattr(type(small), "kind", "live")
    for plot in (small.plot_landscape, small.plot_importance, small.plot_curves):
        with pytest.raises(ConfigurationError, match="small: a picture of a live benchmark would"):
            plot(ax=axes())


def test_everything_is_short_in_a_notebook(small):
    trajectory = replay("toy-bowl", "random", budget=30, seed=0)
    optimizers = hpobench_llm.list_optimizers()
    for shown in (small, hpobench_llm.load("toy-bowl"), trajectory):
        assert len(repr(shown)) < 120
        assert len(shown._repr_html_()) < 20_000
    assert repr(trajectory) == "<trajectory of random on toy-bowl, seed 0: 30 trials>"
    assert repr(optimizers).startswith(f"<{len(optimizers)} optimizers: ")
    assert small._repr_html_().count("<tr") >= len(small.space) + len(small.metrics)
