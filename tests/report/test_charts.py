"""What interactive figures are drawn from is what was computed, in few bytes."""

import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpobench_llm.comparison.result import Band
from hpobench_llm.report.web.charts import _scale, _short, _steps, curves, scatter
from hpobench_llm.report.web.landscape import panels
from tests.report.test_page import LOSS, SCORE, configurations, facts

NUMBERS = st.floats(0, 1e6, allow_nan=False)


@settings(max_examples=50)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_steps_hold_the_whole_curve(points):
    band = Band(*(tuple(column) for column in zip(*points, strict=True)))
    steps = _steps(band)
    for place, values in enumerate(points):
        held = [step for step in steps if step[0] <= place][-1][1:]
        assert held == [_short(value) for value in values]
    assert all(a[1:] != b[1:] for a, b in pairwise(steps))


def test_a_flat_curve_is_one_step_and_a_straight_line_keeps_its_points():
    flat = tuple([1.0] * 500)
    assert len(_steps(Band(flat, flat, flat))) == 1
    gap = (1.0, float("nan"), 1.0, 2.0)
    chart = curves("t", "y", "x", range(4), {"a": Band(gap, gap, gap)})
    assert [point[0] for point in chart["series"][0]["over"][0]] == [0, 2, 3]
    json.dumps(chart, allow_nan=False)


def test_zero_lies_below_every_other_value_of_a_logarithmic_axis():
    scale = _scale(np.array([0.0, 0.01, 1.0]), 0.1)
    assert scale["domain"][0] < scale["floor"] < scale["lowest"] == 0.01
    assert _scale(np.array([0.01, 1.0]), None)["floor"] is None
    assert not _scale(np.zeros(3), None)["log"]


def test_a_panel_says_what_the_rows_say():
    frame = configurations()
    (rank, rate, targets) = panels(facts())
    assert [panel.name for panel in (rank, rate, targets)] == ["rank", "lr", "targets"]
    assert targets.levels == ("qv", "all")
    done = frame[frame["status"] == "ok"]
    for place, value in enumerate((1e-4, 1e-3, 1e-2)):
        here = done.loc[done["lr"] == value, "val_loss"]
        assert rate.lines["best"][place] == here.min()
        assert rate.lines["median"][place] == np.quantile(here, 0.5)
        lost = (frame["lr"] == value) & (frame["status"] != "ok")
        assert rate.missing[place] == lost.sum()


def test_a_panel_of_a_metric_that_is_maximized_has_its_best_on_top():
    for panel in panels(facts(metric=SCORE, score=LOSS)):
        best, good, bad = (
            np.array(panel.lines[name]) for name in ("best", "better quarter", "worse quarter")
        )
        assert (best >= good).all()
        assert (good >= bad).all()


def test_dots_are_configurations_that_ended_inside_the_axis():
    chart = scatter(facts())
    done = configurations().query("status == 'ok'")
    assert len(chart["points"][0]) == len(chart["colour"]["values"]) <= len(done)
    assert {mark["label"] for mark in chart["marks"]} == {
        "best validation loss", "best toy score", "untrained base",
    }  # fmt: skip
    assert scatter(facts(score=None)) is None
