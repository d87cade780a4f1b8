"""Pictures of a result on anybody's axes: what they show, in whose style, and as files."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from hpobench_llm.cli import main
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.statistics import compare_trajectories
from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.pareto import Scale
from hpobench_llm.report.comparison_figures import attained_fronts
from hpobench_llm.report.figures import FORMATS, write_figures
from hpobench_llm.report.looks import looks
from hpobench_llm.report.study_result import Result
from hpobench_llm.report.web import charts
from hpobench_llm.tables.baselines import Baseline
from tests.report.test_page import LOSS, NASTY, SCORE, comparison


def result(tmp_path, **changes):
    return Result(comparison(**changes), tmp_path / "report.html", pd.DataFrame({"metric.a": [1]}))


def two_objectives(tmp_path, **more):
    rng = np.random.default_rng(0)
    rows = [
        ("toy", name, seed, trial, "ok", rng.random(), rng.random())
        for name in ("a", "b")
        for seed in range(3)
        for trial in range(4)
    ]
    columns = ["benchmark", "optimizer", "seed", "trial", "status", "val_loss", "score_toy"]
    frame = pd.DataFrame(rows, columns=columns)
    front = np.array([[0.0, -1.0], [0.5, -1.5]])
    scale = Scale.of(front, [9.0, 0.0])
    problem = ComparedBenchmark(
        objectives=(LOSS, SCORE), optimum=scale.hypervolume(front), front=front, scale=scale,
        **more,
    )  # fmt: skip
    compared = compare_trajectories(frame, {"toy": problem}, resamples=50)
    return Result(compared, tmp_path / "report.html", frame)


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_curves_are_the_comparisons_in_the_style_that_is_set(tmp_path):
    one = result(tmp_path)
    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 3.5, "font.size": 5}):
        axes = Figure().add_subplot()
        assert one.plot_regret(ax=axes) is axes
        assert axes.xaxis.label.get_size() == 5
    assert dict(mpl.rcParams) == before
    for standing in one.comparison.benchmarks[0].standings:
        line = lines_of(axes)[standing.optimizer]
        assert tuple(line.get_ydata()) == standing.regret.value
        assert line.get_linewidth() == 3.5
        assert (
            line.get_color()
            == looks(["nomad", "random", "tpe-nni", "other"])[standing.optimizer][0]
        )
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "median simple regret (nats)"
    ranks = one.plot_ranks(ax=Figure().add_subplot())
    for ranked in one.comparison.ranking:
        assert tuple(lines_of(ranks)[ranked.optimizer].get_ydata()) == ranked.rank.value


def test_without_axes_a_new_figure_is_made(tmp_path):
    axes = result(tmp_path).plot_ranks()
    assert axes.figure.number in pyplot.get_fignums()
    pyplot.close(axes.figure)


def test_the_critical_difference_shows_ranks_and_joins_what_is_not_told_apart(tmp_path):
    one = result(tmp_path, n_seeds=12)
    axes = one.plot_critical_difference(ax=Figure().add_subplot())
    ranks = {r.optimizer: r.rank.last.value for r in one.comparison.ranking}
    names = [text.get_text() for text in axes.texts]
    assert sorted(names) == sorted(ranks)
    elbows = [line for line in axes.get_lines() if len(line.get_xdata()) == 3]
    assert sorted(line.get_xdata()[0] for line in elbows) == sorted(ranks.values())
    apart = {(p.first, p.second) for p in one.comparison.pairs if p.verdict != "tie"}
    bars = [line for line in axes.get_lines() if len(line.get_xdata()) == 2]
    for bar in bars:
        low, high = bar.get_xdata()
        joined = [name for name, rank in ranks.items() if low <= rank <= high]
        assert len(joined) > 1
        assert not any((a, b) in apart for a in joined for b in joined)
    several = result(tmp_path, benchmarks=("a", "b", "c"))
    axes = several.plot_critical_difference(ax=Figure().add_subplot())
    assert axes.get_xlabel() == "mean rank over 3 tasks (1 is best)"


def test_fronts_are_drawn_of_two_objectives(tmp_path):
    both = two_objectives(tmp_path)
    axes = both.plot_pareto(ax=Figure().add_subplot())
    assert {"a", "b", "Pareto front"} <= lines_of(axes).keys()
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "validation loss (nats)",
        "toy score (accuracy)",
    )
    with pytest.raises(ConfigurationError, match="of two objectives, and the study has val_loss"):
        result(tmp_path).plot_pareto()


def test_baselines_are_marked_beside_the_fronts(tmp_path):
    values = [(0.2, 0.4), (0.9, 0.7), (40.0, 0.5)]
    baselines = [
        Baseline(method="cut", what="", values={"val_loss": x, "score_toy": y}) for x, y in values
    ]
    lacking = Baseline(method="other", what="", values={"val_loss": 0.1})
    both = two_objectives(tmp_path, baselines=(*baselines, lacking))
    (one,) = both.comparison.benchmarks
    assert [(b.method, list(b.points)) for b in one.baselines] == [("cut", values)]
    axes = both.plot_pareto(ax=Figure().add_subplot())
    drawn = lines_of(axes)["cut"]
    low, high = axes.get_xlim()
    assert list(zip(*drawn.get_data(), strict=True))[:2] == values[:2]
    assert all(low <= x <= high < 40 for x in drawn.get_xdata())  # the last one at the edge
    picture = attained_fronts(one)
    assert ">cut<" in picture.svg
    assert "Marks are baselines, no configurations of the space: cut (squares)" in picture.caption
    assert "1 mark at the edge" in picture.caption
    (marks,) = charts.fronts(one)["baselines"]
    assert (marks["name"], marks["shape"], len(marks["points"])) == ("cut", "square", 3)
    assert charts.fronts(two_objectives(tmp_path).comparison.benchmarks[0])["baselines"] == []


def test_of_several_benchmarks_one_is_named(tmp_path):
    several = result(tmp_path, benchmarks=("a", "b"))
    with pytest.raises(ConfigurationError, match="several benchmarks, so name one: a, b"):
        several.plot_regret()
    with pytest.raises(UnknownNameError, match="unknown benchmark 'c'"):
        several.plot_regret("c")
    assert several.plot_regret("b", ax=Figure().add_subplot()).lines


def test_a_result_is_short_and_its_frames_are_its_numbers(tmp_path):
    one = result(tmp_path, benchmarks=("a", NASTY))
    assert len(repr(one)) < 200
    assert len(repr(one.comparison)) < 200
    assert "<script" not in one._repr_html_()
    first = one.comparison.ranking[0]
    assert one.ranking.index[0] == first.optimizer
    assert one.ranking["mean_rank"].iloc[0] == first.rank.last.value
    standing = one.comparison.benchmarks[0].standings[0]
    row = one.standings.loc[one.comparison.benchmarks[0].benchmark, standing.optimizer]
    assert row["regret"] == standing.regret.last.value
    assert list(one.to_frame().columns) == ["a"]


@pytest.mark.slow
def test_figures_hold_their_fonts_and_are_the_same_again(tmp_path):
    both = two_objectives(tmp_path)
    files = write_figures(both, tmp_path / "one")
    names = ("critical-difference", "ranks", "regret-toy", "pareto-toy")
    assert [file.name for file in files] == [f"{n}.{kind}" for n in names for kind in FORMATS]
    again = write_figures(both, tmp_path / "two")
    for one, other in zip(files, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    pdf = files[0].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = (tmp_path / "one" / "ranks.svg").read_text()
    ElementTree.fromstring(svg)
    assert "mean rank (1 is best)" in svg
    families = set(re.findall(r"font-family:'([^']+)'", svg))
    assert families
    for family in re.findall(r"font: [^;\"]*?'([^']+)'", svg):
        assert family in families


def test_a_folder_that_cannot_be_written_is_one_line_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    problems = ("is a file; a folder is expected", "no folder that can be written: Not a dir")
    for folder, problem in zip(
        (tmp_path / "file", tmp_path / "file" / "in"), problems, strict=True
    ):
        assert main(["compare", str(tmp_path / "none"), "--figures", str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"error: --figures {folder}: {problem}" in said
