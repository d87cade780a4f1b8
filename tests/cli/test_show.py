"""`show` says what a table's rows say, in 80 columns or on a page; `ls` fits 80 columns."""

import json
import math
import re

import numpy as np
import pytest

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.cli import main
from hpobench_llm.report.overview import overview
from hpobench_llm.report.table_page import render
from hpobench_llm.report.terminal import WIDTH, lines
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.anova import between_share
from hpobench_llm.tables.card import card
from hpobench_llm.tables.table import Table
from tests.problems import FINITE, REAL, SHARE, STEP, points, table
from tests.report.test_page import charts_of, parse


def shown(capsys, *command):
    assert main(["show", *map(str, command)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def section(text, heading):
    """Return the lines below a heading, up to an empty one."""
    return re.search(rf"^{re.escape(heading)}.*?$\n(.*?)(?:\n\n|\Z)", text, re.M | re.S)[1]


def row(text, name):
    """Return the numbers beside a name."""
    line = re.search(rf"^\s*{re.escape(name)}\s(.*)$", text, re.M)[1]
    return [float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:e-?\d+)?", line)]


def test_what_was_measured(table_folder, capsys):
    text = shown(capsys, table_folder)
    assert "24 runs of 12 configurations (12 with 2 seeds), 72 rows" in text
    assert "dense: all 12 configurations of its grid" in text
    assert "in full     23 ok, 1 diverged" in text
    assert "step: 0, 8, 16 optimizer steps" in text
    assert "validation loss (nats per label token), to minimize" in text
    assert "lr             1e-4, 0.001, 0.01, 0.1" in text
    assert "none; hpobench-llm fit small makes one" in text


def test_landscape_and_curves_are_those_of_the_rows(table_folder, capsys):
    text = shown(capsys, table_folder)
    benchmark = TabularBenchmark(Table.load(table_folder))
    configs = benchmark.configurations()[["rank", "lr"]]
    for step in (0, 8, 16):
        answers = benchmark.query_many(configs, fidelity={"step": step})
        ok = answers["status"] == "ok"
        place = (0, 8, 16).index(step)
        for name, share in (("best", 0), ("median", 0.5), ("worse quarter", 0.75)):
            expected = float(np.quantile(answers["val_loss"][ok], share))
            told = row(section(text, "curves"), name)[place]
            assert told == pytest.approx(expected, rel=2e-3)
    full = configs.assign(loss=answers["val_loss"].where(ok))
    landscape = section(text, "landscape")
    by_rank = full.groupby("rank")["loss"]
    part = landscape[landscape.index("  rank") : landscape.index("  lr")]
    assert row(part, "best") == pytest.approx(by_rank.min().tolist(), rel=2e-3)
    assert row(part, "median") == pytest.approx(by_rank.median().tolist(), rel=2e-3)
    assert row(part, "missing") == [full["loss"].isna().sum()]


def test_importance_of_an_additive_surface_is_exact(tmp_path, capsys):
    """The loss is a sum of a term an axis: the shares are the terms' variances."""
    space = Space((Ordinal("one", (0, 1, 2)), Ordinal("other", (0, 1, 2, 3))))
    built = table(tmp_path / "t", space, list(space.configurations()), seeds=(0,))
    shares = overview(built.folder).shares
    terms = [np.var((np.linspace(0, 1, n) - 0.4) ** 2) for n in (3, 4)]
    assert shares == pytest.approx(
        {name: term / sum(terms) for name, term in zip(("one", "other"), terms, strict=True)}
    )
    told = section(shown(capsys, built.folder), "importance")
    assert row(told, "one") == pytest.approx([100 * shares["one"]], abs=0.06)


def test_importance_without_a_full_grid_is_that_of_each_axis_alone(tmp_path):
    """On an additive grid the share alone is the exact one; a row less hardly moves it."""
    space = Space((Ordinal("one", tuple(range(6))), Ordinal("other", tuple(range(7)))))
    configs = list(space.configurations())
    whole = overview(table(tmp_path / "whole", space, configs, seeds=(0,)).folder)
    sparse = overview(
        table(tmp_path / "sparse", space, configs[:17] + configs[18:], seeds=(0,)).folder
    )
    assert (whole.exact, sparse.exact) == (True, False)
    assert whole.surface.alone() == pytest.approx(whole.shares, abs=0.1)
    assert sparse.shares == pytest.approx(whole.shares, abs=0.15)


def test_an_axis_that_says_nothing_has_no_share():
    rng = np.random.default_rng(0)
    shares = [between_share(rng.integers(9, size=60), rng.normal(size=60)) for _ in range(200)]
    assert np.mean(shares) < 0.05
    assert between_share(np.array(["a", "a", "b", "b"]), np.array([0.0, 0, 1, 1])) == 1.0
    assert between_share(np.array([1.0, 1, 1]), np.array([0.0, 1, 2])) == 0.0


def test_a_sweep_of_a_sparse_table_takes_the_nearest_that_was_measured(tmp_path):
    space = Space((Ordinal("lr", (1e-4, 1e-3, 1e-2), log=True), Ordinal("rank", (4, 8, 16))))
    whole = list(space.configurations())
    configs = [config for config in whole if config["rank"] != 8]  # the default
    view = overview(table(tmp_path / "t", space, configs, seeds=(0,)).folder)
    assert view.practices[0].regret is not None
    assert view.practices[0].regret >= 0
    assert next(view.surface.practices()).regret is None
    assert view.surface.regret_of(whole, nearest=True) == 0.0


def test_expected_regret_is_what_random_search_gets(table_folder):
    """Closed form against draws, as `random` makes them."""
    view = overview(table_folder)
    surface = view.surface
    rng = np.random.default_rng(0)
    for trials, expected in view.random.items():
        drawn = rng.integers(len(surface.answers), size=(4000, trials))
        answers = drawn[np.arange(4000), surface.answers[drawn].argmin(axis=1)]
        regrets = surface.worth[answers] - surface.worth.min()
        spread = 4 * regrets.std() / math.sqrt(4000) + 1e-4
        assert abs(regrets.mean() - expected) <= spread
    assert list(view.random.values()) == sorted(view.random.values(), reverse=True)


def test_a_sweep_loses_what_its_best_value_loses(table_folder):
    view = overview(table_folder)
    sweep = view.practices[0]
    assert sweep.words.startswith("a sweep of lr over 4 values")
    # At the defaults the rank is 4 or 16, whichever is nearer to 8.
    worth = dict(zip(map(str, view.surface.configs), view.surface.worth, strict=True))
    best = min(worth.values())
    by_rank = [
        min(loss for config, loss in worth.items() if f"'rank': {rank}," in config) - best
        for rank in (4, 16)
    ]
    assert any(sweep.regret == pytest.approx(regret) for regret in by_rank)


def test_card_and_show_say_the_same(table_folder, capsys):
    text, written = shown(capsys, table_folder), card(Table.load(table_folder))
    for trials in (20, 50, 100):
        told = re.search(rf"([\d.]+) after {trials} trials", written)[1]
        assert f"random search, {trials} trials" in text
        assert row(text, f"random search, {trials} trials")[0] == pytest.approx(
            float(told), abs=1e-4
        )
    tau = re.search(r"- score_toy: ([+-][\d.]+)", written)[1]
    assert row(section(text, "scores against"), "score_toy")[0] == float(tau)


GRID = list(FINITE.configurations())
ODD = {
    "one": (FINITE, list(FINITE.configurations())[:1], {}),
    "sparse": (FINITE, GRID[::2], {}),
    "real": (REAL, points(REAL, 40), {"fidelities": ()}),
    "two": (FINITE, list(FINITE.configurations()), {"fidelities": (STEP, SHARE)}),
    "seed": (FINITE, list(FINITE.configurations()), {"seeds": (0,), "costs": False}),
    "ragged": (FINITE, GRID[:6], {"keep": lambda n, s, _: s == 0 or n < 2}),
    "part": (FINITE, GRID[:6], {"keep": lambda n, _, level: n < 3 or level[0] < 4}),
}


@pytest.mark.parametrize("shape", ODD)
def test_tables_of_any_shape_are_shown(shape, tmp_path, monkeypatch):
    monkeypatch.setattr("hpobench_llm.report.web.document.bundle", lambda: "0;")
    space, configs, more = ODD[shape]
    view = overview(table(tmp_path / "t", space, configs, **more).folder)
    text = lines(view)
    assert max(map(len, text)) <= WIDTH
    assert not any(re.search(r"\bnan\b", line) for line in text)
    page = render(view)
    assert not re.search(r"\bnan\b", " ".join(parse(page).itertext()))
    kinds = [chart["kind"] for chart in charts_of(page)]
    assert ("curves" in kinds) == (shape != "real")


def test_long_and_nasty_names_stay_inside(tmp_path, capsys):
    long = "a_name_of_an_axis_that_nobody_would_ever_want_to_read_on_any_terminal_at_all_" * 2
    values = tuple(float(f"1e{power}") for power in range(-9, 9))
    space = Space((Ordinal(long, values, log=True), Ordinal("b", (1, 2))))
    folder = table(tmp_path / "t", space, list(space.configurations())).folder
    assert max(map(len, shown(capsys, folder).splitlines())) <= WIDTH


def test_a_page_is_written_whole_or_the_reason_is_said(
    table_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("hpobench_llm.report.web.document.bundle", lambda: "0;")
    page = tmp_path / "new" / "page.html"
    assert shown(capsys, table_folder, "--html", page) == f"{page}\n"
    headings = ["".join(h.itertext()) for h in parse(page.read_text()).iter("h2")]
    assert headings == [
        *("Axes", "Landscape", "Importance", "Curves", "Loss against scores"),
        *("Noise and expected regret", "Surrogate"),
    ]
    (tmp_path / "file").write_text("")
    assert main(["show", str(table_folder), "--html", str(tmp_path / "file" / "page.html")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["show", "lora-nana"]) == 2
    assert "'lora-nana'; did you mean 'lora-nano'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_table_and_its_surrogate(capsys):
    text = shown(capsys, "lora-nano")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert re.search(r"surrogate +lora-nano: R² 0\.\d\d and Kendall's tau 0\.\d\d", text)
    assert "passed its ranking check" in " ".join(text.split())
    assert "score_lambada:" in text  # without signal, so it is not compared
    assert "score_lambada " not in section(text, "scores against")


def test_ls_says_what_a_table_is_in_80_columns(table_folder, tmp_path, monkeypatch, capsys):
    long = (
        tmp_path
        / "a-table-of-a-name-that-is-really-far-too-long-to-stand-in-one-column-of-any-list"
    )
    table_folder.rename(long)
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["ls", "benchmarks"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert (
        "table 0.0.1; 24 runs of 12 configurations, dense; fidelities: 3 step; metrics: val_loss "
        "and 3 more; axes: rank, lr" in flat
    )
    assert re.search(r"lora-nano table [\d.]+, surrogate; 1951 runs of 1536 configurations", flat)
    assert main(["ls", "benchmarks", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["benchmarks"]
    assert listed["lora-nano"]["kinds"] == ["table", "surrogate"]
    assert listed[long.name]["fidelities"] == {"step": [0, 8, 16]}


def test_wrappers_and_optimizers_fit_too(monkeypatch, capsys):
    from hpobench_llm.optimizers import listing

    monkeypatch.setenv("COLUMNS", "80")
    assert main(["ls", "wrappers"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert max(map(len, listing.lines(listing.columns(), 80))) <= 80
