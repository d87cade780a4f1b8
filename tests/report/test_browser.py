"""A page with twelve optimizers in a real Chromium: controls, windows, light, dark and paper."""

import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.courses import courses
from hpobench_llm.comparison.statistics import Comparison, compare_trajectories
from hpobench_llm.metrics import Metric
from hpobench_llm.pareto import Scale
from hpobench_llm.report.overview import overview
from hpobench_llm.report.page import BenchmarkFacts, write_report
from hpobench_llm.report.table_page import write_table_page
from hpobench_llm.report.web.vega import bundle
from hpobench_llm.space import Categorical, Ordinal, Space
from tests.report.browser import Browser, axe, chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium is installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("vl_convert") is None,
        reason="the extra `page` (vl-convert-python) is not installed",
    ),
]

LOSS = Metric(name="val_loss", unit="nats per label token", direction="minimize", worst=9.0)
SCORE = Metric(name="score_toy", unit="accuracy", direction="maximize", worst=0.0)
SPACE = Space(
    (
        Ordinal("rank", (1, 2, 4), log=True),
        Ordinal("lr", (1e-4, 1e-3, 1e-2), log=True),
        Categorical("target_modules", ("q_proj,v_proj", "all")),
    )
)
OPTIMIZERS = (
    *("nomad", "random", "tpe-nni", "tpe-optuna", "cmaes", "de", "gp", "sobol", "grid", "bore"),
    *("regularized-evolution+stop-no-improve:10", "mine-of-a-name-that-is-rather-long"),
)
MINE = OPTIMIZERS[-1]
WINDOWS = [(width, dark) for width in (1280, 390) for dark in (False, True)]


def study() -> tuple[pd.DataFrame, dict[str, ComparedBenchmark], Comparison]:
    rng = np.random.default_rng(0)
    rows = [
        (
            benchmark,
            optimizer,
            seed,
            trial,
            "ok",
            1 + place / 30 + rng.random(),
            trial * 2.0 + 2,
            64,
        )
        for benchmark in ("toy", "second-of-a-longer-name")
        for place, optimizer in enumerate(OPTIMIZERS)
        for seed in range(6)
        for trial in range(12)
    ]
    names = ["benchmark", "optimizer", "seed", "trial", "status", "val_loss"]
    frame = pd.DataFrame(rows, columns=[*names, "finished_seconds", "tokens"])
    frame["cost_seconds"] = 2.0
    problems = {
        str(name): ComparedBenchmark(
            objectives=(LOSS,), optimum=float(part["val_loss"].min()), noise=0.05
        )
        for name, part in frame.groupby("benchmark")
    }
    return frame, problems, compare_trajectories(frame, problems, resamples=50)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return study()[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame, problems, comparison = study()
    table = pd.DataFrame(list(SPACE.configurations()))
    table["val_loss"] = 1 + (np.log10(table["lr"]) + 3) ** 2 + table["rank"] / 8
    table["score_toy"] = 0.5 - 0.01 * table["rank"]
    table["status"] = np.where(table["lr"] * table["rank"] > 0.03, "diverged", "ok")
    table.loc[table["status"] != "ok", ["val_loss", "score_toy"]] = np.nan
    facts = BenchmarkFacts(
        name="toy", space=SPACE, metric=LOSS, score=SCORE, configurations=table,
        base_values={"val_loss": 2.5, "score_toy": 0.4}, provenance={"sum": "f00d" * 40},
    )  # fmt: skip
    return write_report(
        tmp_path_factory.mktemp("page") / "report.html",
        title="Twelve optimizers",
        comparison=comparison,
        benchmarks=[facts],
        libraries={name: "optuna 5.0.0" for name in OPTIMIZERS},
        courses=courses(frame, problems, comparison),
        mine=[MINE],
        provenance={"study": {"name": "toy"}, "text": "one\n" + "long " * 60},
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(shared: Browser, report: Path) -> Iterator[Browser]:
    shared.problems.clear()
    shared.requests.clear()
    shared.see(1280, 900)
    shared.open(report)
    yield shared
    assert shared.problems == []
    assert {r for r in shared.requests if not r.startswith("data:")} <= {report.as_uri()}


@pytest.fixture(scope="module")
def axe_source() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe (axe-playwright-python) is not installed")
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def test_the_library_can_stand_inside_a_page():
    assert "</script" not in bundle().lower()
    assert "<!--" not in bundle()


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_any_window_holds_the_page(browser, report, width, dark):
    browser.see(width, 900, dark=dark)
    browser.open(report)
    browser.draw_all()
    assert browser.run("document.documentElement.scrollWidth") <= width
    text = """[...document.querySelectorAll('.plot svg text, .live *, main p, td, th, li, dd')]
        .filter(node => node.textContent.trim() && node.getClientRects().length)"""
    smallest = browser.run(
        f"Math.min(...{text}.map(node => {{const svg = node.ownerSVGElement;"
        "const ratio = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;"
        "return parseFloat(getComputedStyle(node).fontSize) * ratio}))"
    )
    assert smallest >= 11
    outside = """[...document.querySelectorAll('.plot svg')].flatMap(svg => {
        const edge = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(node => node.textContent
          && getComputedStyle(node).opacity !== '0').filter(node => {
          const box = node.getBoundingClientRect();
          return box.left < edge.left - 1 || box.right > edge.right + 1
            || box.top < edge.top - 1 || box.bottom > edge.bottom + 1;
        }).map(node => node.textContent)})"""
    assert browser.run(outside) == []
    shown = browser.run(
        "getComputedStyle(document.querySelector('.plot svg .role-axis-label text')).fill"
    )
    bright = np.mean([int(part) for part in re.findall(r"\d+", shown)[:3]])
    assert (bright > 128) == dark


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_axe_finds_nothing(browser, report, axe_source, width, dark):
    browser.see(width, 900, dark=dark)
    browser.open(report)
    browser.draw_all()
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert axe(browser, axe_source) == []


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_the_page_of_a_table(shared, axe_source, tmp_path, width, dark):
    page = write_table_page(tmp_path / "show.html", overview("lora-nano"))
    shared.problems.clear()
    shared.see(width, 900, dark=dark)
    shared.open(page)
    shared.draw_all()
    kinds = shared.run("page.figures.map(figure => figure.data.kind)")
    assert kinds == ["landscape", "curves", "scatter"]
    assert shared.run("document.documentElement.scrollWidth") <= width
    assert axe(shared, axe_source) == []
    assert shared.problems == []
    assert cut_on_paper(shared) == []


def test_fronts_answer_too(shared, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [
            ("toy", optimizer, seed, trial, "ok", rng.random() + place / 9, rng.random())
            for place, optimizer in enumerate(OPTIMIZERS[:4])
            for seed in range(3)
            for trial in range(9)
        ],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss", "score_toy"],
    )
    points = np.array([[0.0, -1.0], [0.3, -1.1]])
    scale = Scale.of(points, [9.0, 0.0])
    problem = ComparedBenchmark(
        objectives=(LOSS, SCORE), optimum=scale.hypervolume(points), front=points, scale=scale
    )
    comparison = compare_trajectories(frame, {"toy": problem}, resamples=20)
    page = write_report(tmp_path / "page.html", title="Two objectives", comparison=comparison)
    shared.problems.clear()
    shared.see(390, 900)
    shared.open(page)
    shared.draw_all()
    assert "fronts" in shared.run("page.figures.map(figure => figure.data.kind)")
    place = shared.run(
        "(() => {const f = page.figures.find(f => f.data.kind === 'fronts');"
        "f.node.scrollIntoView({block: 'center'});"
        "const box = f.plot.querySelector('.mark-symbol path').getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]})()"
    )
    shared.point(*place)
    shared.wait("/Pareto front/.test(document.querySelector('.hint').textContent)")
    shared.run(f"toggle({OPTIMIZERS[0]!r})")
    shared.settle()
    assert shared.problems == []


def test_axe_finds_what_is_wrong(browser, axe_source):
    browser.run("document.querySelector('main').append(document.createElement('button'))")
    assert any(line.startswith("button-name") for line in axe(browser, axe_source))


def drawn(browser: Browser) -> list[int]:
    """Return how many optimizers each figure with a legend draws."""
    return browser.run(
        "page.figures.filter(f => f.names.length).map(f => f.plot.querySelectorAll("
        "f.data.kind === 'ranks' ? '.mark-symbol.role-mark path' : '.mark-line path').length)"
    )


def test_a_legend_hides_and_shows_in_every_figure(browser):
    browser.draw_all()
    before = drawn(browser)
    assert set(before) == {12}
    button = f'.legend [data-name="{OPTIMIZERS[0]}"]'
    browser.run(f"document.querySelector('{button}').click()")
    browser.settle()
    assert set(drawn(browser)) == {11}
    pressed = f"[...document.querySelectorAll('{button}')].map(b => b.ariaPressed)"
    assert set(browser.run(pressed)) == {"false"}
    browser.run(f"document.querySelector('{button}').focus()")
    browser.press("Enter")
    browser.settle()
    assert drawn(browser) == before
    browser.run(f"document.querySelector('{button}').click()")
    browser.run("document.querySelector('.legend .all').click()")
    browser.settle()
    assert drawn(browser) == before


def test_bands_are_drawn_where_they_can_be_told_apart(browser):
    browser.draw_all()
    names = json.dumps(OPTIMIZERS[6:])
    opacity = (
        "[...document.querySelectorAll('.mark-area path')].map(a => "
        "+a.getAttribute('fill-opacity'))"
    )
    assert set(browser.run(opacity)) == {0}
    notes = "[...document.querySelectorAll('.note')].map(note => note.hidden)"
    assert set(browser.run(notes)) == {False}
    browser.run(f"{names}.forEach(name => page.hidden.add(name)); redraw()")
    browser.settle()
    assert min(browser.run(opacity)) > 0
    assert set(browser.run(notes)) == {True}


def test_regret_over_other_axes(browser, comparison):
    browser.draw_all()
    titles = "[...document.querySelectorAll('.plot .role-axis-title')].map(t => t.textContent)"
    assert browser.run(titles).count("simulated seconds") == 0
    choice = "document.querySelector('.axes input[value=\"simulated seconds\"]')"
    browser.run(f"{choice}.click()")
    browser.wait("page.figures.filter(f => f.axis).length === 2")
    browser.settle()
    assert browser.run(titles).count("simulated seconds") == len(comparison.benchmarks)
    assert browser.run("document.querySelectorAll('.axes input:checked').length") == 2
    grid = browser.run("page.figures.find(f => f.axis).data.axes[1].grid")
    assert grid[-1] == 24.0  # twelve trials of two seconds


def test_values_are_read_where_the_pointer_is(browser, comparison):
    browser.draw_all()
    place = browser.run(
        "(() => {const f = page.figures.find(f => f.data.title.startsWith('Regret'));"
        "f.node.scrollIntoView({block: 'center'}); const box = f.plot.getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]})()"
    )
    browser.point(*place)
    browser.wait("document.querySelector('.values:not([hidden])') !== null")
    figure = "page.figures.find(f => f.point !== null)"
    point = browser.run(f"{figure}.point")
    rows = browser.run(
        f"[...{figure}.table.querySelectorAll('div')].map(d => [d.querySelector('span')"
        ".textContent, parseFloat(d.querySelector('b').textContent)])"
    )
    result = comparison.benchmarks[0]
    expected = {s.optimizer: s.regret.value[point] for s in result.standings}
    assert [value for _, value in rows] == sorted(value for _, value in rows)
    assert dict(rows) == pytest.approx(expected, rel=5e-3)
    browser.point(2, 2)
    browser.wait("document.querySelector('.values:not([hidden])') === null")


def test_values_are_read_with_the_keyboard(browser):
    browser.draw_all()
    browser.run("document.querySelector('.reader input').focus()")
    browser.press("ArrowLeft")
    browser.wait("document.querySelector('.values:not([hidden])') !== null")
    said = browser.run("document.querySelector('.reader input').getAttribute('aria-valuetext')")
    assert re.match(r"1\d trials: \S+ [\d.]+, \S+ [\d.]+, \S+ [\d.]+$", said)


def test_a_dot_says_what_it_is(browser):
    browser.draw_all()
    place = browser.run(
        "(() => {const f = page.figures.find(f => f.data.kind === 'ranks');"
        "f.node.scrollIntoView({block: 'center'});"
        "const box = f.plot.querySelector('.mark-symbol path').getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]})()"
    )
    browser.point(*place)
    browser.wait("!document.querySelector('.hint').hidden")
    best = browser.run("page.figures[0].data.rows[0].name")
    assert browser.run("document.querySelector('.hint').textContent").startswith(best)


def test_tables_sort_by_their_numbers(browser):
    table = (
        "[...document.querySelectorAll('table')].find(t => /Final results/.test(t.textContent))"
    )
    for column, kind in ((1, "ascending"), (1, "descending"), (2, "ascending")):
        browser.run(f"{table}.tHead.rows[0].cells[{column}].querySelector('button').click()")
        state = f"{table}.tHead.rows[0].cells[{column}].getAttribute('aria-sort')"
        assert browser.run(state) == kind
        cells = browser.run(
            f"[...{table}.tBodies[0].rows].map(row => row.cells[{column}].textContent)"
        )
        values = [float(cell.split()[0]) for cell in cells]
        assert values == sorted(values, reverse=kind == "descending")
    assert browser.run(f"{table}.querySelectorAll('[aria-sort]').length") == 1


def test_figures_are_drawn_as_the_reader_comes_near(browser):
    browser.wait("page.figures[0].node.dataset.drawn")
    assert not browser.run("page.figures[page.figures.length - 1].live")
    browser.run("document.querySelector('.contents li:last-child a').click()")
    browser.wait("page.figures.some(f => f.data.kind === 'landscape' && f.node.dataset.drawn)")


def cut_on_paper(browser: Browser) -> list[str]:
    """Return what is wider than A4 less two margins of 14 mm."""
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    browser.see(688, 1000, paper=True)
    inside = """[...document.querySelectorAll('main *')].filter(node => !node.closest('svg') &&
        node.getClientRects().length && node.scrollWidth > 690)"""
    wide = """[...document.querySelectorAll('table, svg')].filter(node =>
        node.getBoundingClientRect().right > 690)"""
    return browser.run(f"[...{inside}, ...{wide}].map(node => node.outerHTML.slice(0, 100))")


@pytest.mark.parametrize("drawn", [True, False])
def test_no_column_is_cut_on_paper(browser, tmp_path, drawn):
    if drawn:
        browser.draw_all()
    assert cut_on_paper(browser) == []
    assert browser.pdf(tmp_path / "page.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("width", [1280, 390])
def test_drawings_stand_where_scripts_are_off(report, tmp_path, width):
    with Browser(tmp_path / "profile", scripts=False) as browser:
        browser.see(width, 900)
        copy = shutil.copy(report, tmp_path / "still.html")
        browser.open(Path(copy))
        nodes = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]

        def count(selector: str) -> int:
            found = browser.call("DOM.querySelectorAll", nodeId=nodes, selector=selector)
            return len(found["nodeIds"])

        assert count(".still > svg") == count("figure")
        assert count(".live") == 0
        first = browser.call("DOM.querySelector", nodeId=nodes, selector=".still > svg")
        box = browser.call("DOM.getBoxModel", nodeId=first["nodeId"])["model"]
        # Of its 619 points a text has 7 or more.
        assert 7 * box["width"] / 619.2 >= 11 or width == 1280
        assert browser.problems == []
