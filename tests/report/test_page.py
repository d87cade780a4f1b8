"""The page is well-formed, self-contained, escaped and repeatable, whatever the study was."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.statistics import Comparison, compare_trajectories
from hpobench_llm.errors import UnknownNameError
from hpobench_llm.metrics import Metric
from hpobench_llm.report.compare import brought
from hpobench_llm.report.page import BenchmarkFacts, render, write_report
from hpobench_llm.report.summary import remarks, summarise
from hpobench_llm.space import Categorical, Float, Ordinal, Space

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0)
SCORE = Metric(name="score_toy", unit="accuracy", direction="maximize", worst=0.0)
SPACE = Space(
    (
        Ordinal("rank", (1, 2, 4), log=True),
        Ordinal("lr", (1e-4, 1e-3, 1e-2), log=True),
        Categorical("targets", ("qv", "all")),
    )
)
NASTY = "<script>alert('&\"$x_1$')</script>"


def configurations() -> pd.DataFrame:
    frame = pd.DataFrame(list(SPACE.configurations()))
    frame["val_loss"] = 1 + (np.log10(frame["lr"]) + 3) ** 2 + frame["rank"] / 8
    frame["score_toy"] = 0.5 - 0.01 * frame["rank"]
    frame["status"] = np.where(frame["lr"] * frame["rank"] > 0.03, "diverged", "ok")
    frame.loc[frame["status"] != "ok", ["val_loss", "score_toy"]] = np.nan
    return frame


def facts(name: str = "toy", **changes: Any) -> BenchmarkFacts:
    known: dict[str, Any] = {
        "name": name,
        "space": SPACE,
        "metric": LOSS,
        "score": SCORE,
        "configurations": configurations(),
        "base_values": {"val_loss": 2.5, "score_toy": 0.4},
        "provenance": {"table": name, "seeds": [0, 1], "fidelities": {"step": [1, 2]}},
    }
    return BenchmarkFacts(**(known | changes))


def comparison(
    optimizers: tuple[str, ...] = ("nomad", "random", "tpe-nni", "other"),
    n_seeds: int = 6,
    n_trials: int = 5,
    noise: float | None = 0.05,
    constant: float | None = None,
    benchmarks: tuple[str, ...] = ("toy",),
) -> Comparison:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [
            (
                benchmark,
                optimizer,
                seed,
                trial,
                "ok",
                rng.random() if constant is None else constant,
            )
            for benchmark in benchmarks
            for optimizer in optimizers
            for seed in range(n_seeds)
            for trial in range(n_trials)
        ],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss"],
    )
    best = float(frame["val_loss"].min())
    problems = {
        name: ComparedBenchmark(objectives=(LOSS,), optimum=best, noise=noise)
        for name in benchmarks
    }
    return compare_trajectories(frame, problems, resamples=50)


def page_of(*, title: str = "A study", **study: Any) -> str:
    return render(title=title, comparison=comparison(**study), benchmarks=[facts()])


def parse(page: str) -> ElementTree.Element:
    """Parse as XML: stricter than HTML, so every tag is closed and every text escaped."""
    without = re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)
    return ElementTree.fromstring(without.removeprefix("<!DOCTYPE html>"))


def charts_of(page: str) -> list[dict[str, Any]]:
    """Return what the page's interactive figures are drawn from."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    return [json.loads(text) for text in found]


@pytest.fixture
def no_vega(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpobench_llm.report.web.document.bundle", lambda: "")


@pytest.fixture(autouse=True)
def vega(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something short stand for the library; `test_browser.py` has the real one."""
    monkeypatch.setattr("hpobench_llm.report.web.document.bundle", lambda: "let vega = 1 < 2;")


class Links(HTMLParser):
    """Collects whatever a browser might fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        fetching = {"src", "href", "xlink:href", "srcset", "action", "data"}
        self.targets += [value or "" for name, value in attrs if name in fetching]


def check_fetches_nothing(page: str) -> set[str]:
    links = Links()
    links.feed(page)
    assert links.targets, "matplotlib's markers refer to their own definitions"
    assert all(target.startswith(("#", "data:")) for target in links.targets)
    assert not links.tags & {"link", "iframe", "object", "embed"}
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    return links.tags


def policy_of(page: str) -> str:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found
    return found[1].replace("&#39;", "'")


@pytest.mark.usefixtures("no_vega")
def test_without_vega_the_page_fetches_and_runs_nothing() -> None:
    page = page_of()
    check_fetches_nothing(page)
    assert policy_of(page).endswith("script-src 'none'")
    assert "<script>" not in page


def test_the_page_runs_the_scripts_that_its_policy_names_and_fetches_nothing() -> None:
    page = page_of()
    check_fetches_nothing(page)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 2
    sums = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in sums)
    assert policy_of(page) == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src " + allowed
    )


def test_the_page_shows_every_part() -> None:
    root = parse(page_of())
    text = " ".join(root.itertext())
    assert len(root.findall(".//{http://www.w3.org/2000/svg}svg")) == 5
    for part in ("Final results", "Pairs on the final regret", "Provenance", "limits", "tpe-nni"):
        assert part in text


def test_names_are_escaped_everywhere() -> None:
    study = comparison(optimizers=("nomad", NASTY), benchmarks=(NASTY,))
    page = render(
        title=NASTY,
        comparison=study,
        benchmarks=[facts(NASTY, notes=(NASTY,), provenance={NASTY: NASTY})],
        provenance={NASTY: {NASTY: [NASTY]}},
        libraries={NASTY: NASTY},
    )
    parse(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert charts_of(page)[0]["rows"][0]["name"] in (NASTY, "nomad")


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    written = [
        write_report(
            tmp_path / name, title="A study", comparison=comparison(), benchmarks=[facts()]
        ).read_bytes()
        for name in ("one.html", "two.html")
    ]
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "study",
    [
        {"optimizers": ("nomad",)},
        {"optimizers": ("nomad", "random")},
        {"optimizers": tuple(f"optimizer-{i}" for i in range(9))},
        {"n_seeds": 1},
        {"n_trials": 1},
        {"n_seeds": 1, "n_trials": 1, "optimizers": ("nomad",)},
        {"constant": 0.5},
        {"constant": 0.5, "noise": None},
        {"noise": None},
        {"noise": 0.0},
    ],
)
def test_degenerate_studies_have_a_page(study: dict[str, Any]) -> None:
    check_drawings(page_of(**study))


@pytest.mark.parametrize(
    "changes",
    [
        {"configurations": configurations().head(1)},
        {"configurations": configurations().head(0)},
        {"configurations": configurations().assign(val_loss=np.nan)},
        {"configurations": configurations().assign(status="failed")},
        {"configurations": configurations().assign(val_loss=1.0, score_toy=0.5)},
        {"configurations": configurations().drop(columns=["status", "score_toy"]), "score": None},
        {"metric": SCORE, "score": LOSS},
        {"base_values": {}},
    ],
)
def test_degenerate_tables_have_a_page(changes: dict[str, Any]) -> None:
    page = render(title="A study", comparison=comparison(), benchmarks=[facts(**changes)])
    check_drawings(page)


def test_a_continuous_and_large_table_has_a_page() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": 10 ** rng.uniform(-5, -2, 3500), "x": rng.random(3500)})
    frame["val_loss"] = 1 + (np.log10(frame["lr"]) + 3.5) ** 2 + frame["x"]
    frame["score_toy"] = -frame["val_loss"]
    space = Space((Float("lr", 1e-5, 1e-2, log=True), Float("x", 0, 1)))
    page = render(
        title="A study",
        comparison=comparison(),
        benchmarks=[facts(space=space, configurations=frame)],
    )
    check_drawings(page)
    assert len(page) < 2_000_000


def check_drawings(page: str) -> None:
    root = parse(page)
    for drawing in root.iter("{http://www.w3.org/2000/svg}svg"):
        for element in drawing.iter():
            for name, value in element.attrib.items():
                if not name.endswith("href"):
                    assert not re.search(r"\b(nan|inf)\b", value), (element.tag, name, value)


def test_runs_that_did_not_finish_are_counted() -> None:
    text = " ".join(parse(page_of()).itertext())
    lost = int((configurations()["status"] != "ok").sum())
    assert f"{lost} configurations that diverged, failed or lack a value" in text
    assert f"no value: {lost}" in text


def test_what_holds_over_tasks_stands_before_what_holds_of_these_benchmarks() -> None:
    study = comparison(benchmarks=("toy", "second"))
    root = parse(render(title="A study", comparison=study, benchmarks=[facts()]))
    headings = ["".join(h.itertext()) for h in root.iter("h2")]
    assert headings[:5] == [
        "Over tasks",
        "What a single run each would have said",
        "With these benchmarks given",
        "second",
        "toy",
    ]
    assert "Mean rank over tasks" in [part.get("aria-label") for part in root.iter()]


def test_unknown_facts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="benchmark 'tos'; did you mean 'toy'"):
        render(title="A study", comparison=comparison(), benchmarks=[facts("tos")])
    with pytest.raises(ValueError, match="without val_loss"):
        facts(configurations=configurations().drop(columns="val_loss"))


def ladder(**losses: float) -> Comparison:
    """Return a study of ten seeds in which each optimizer always ends on its loss."""
    frame = pd.DataFrame(
        [
            ("toy", optimizer, seed, 0, "ok", loss)
            for optimizer, loss in losses.items()
            for seed in range(10)
        ],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss"],
    )
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0, noise=0.5)
    return compare_trajectories(frame, {"toy": problem}, resamples=50)


def test_the_summary_says_who_wins_and_what_is_a_tie() -> None:
    words = summarise(ladder(a=1.0, b=1.25, c=1.25))
    assert "a has the lowest mean final rank, 1.00" in words
    assert "a beats b and c" in words
    sentence = "Kruskal and Wallis's test over all optimizers: chi-square 29, p < 0.001."
    assert sentence in words
    page = "".join(parse(render(title="t", comparison=ladder(a=1.0, b=1.25, c=1.25))).itertext())
    assert page.count(sentence) == 2  # in its first paragraph and below the pairs
    assert "Not told apart, so a tie: b and c." in words
    assert "within the noise between configurations at one seed, 0.5 nats" in words
    assert "100 % of its seeds ended within this noise of the optimum." in words


def test_the_summary_calls_a_tie_a_tie() -> None:
    words = summarise(ladder(a=1.0, b=1.0))
    assert "a and b share the lowest mean final rank, 1.50" in words
    assert "it is a tie" in words


def test_the_summary_of_one_optimizer_compares_nothing() -> None:
    assert "nothing to compare" in summarise(ladder(a=1.0))


def test_remarks_warn_of_small_differences_and_few_seeds() -> None:
    close = ladder(a=1.0, b=1.25)
    told = remarks(close.benchmarks[0], close)
    assert any("less than the noise between configurations at one seed" in r for r in told)
    few = comparison(n_seeds=3)
    assert any("more seeds are needed" in r for r in remarks(few.benchmarks[0], few))


@pytest.mark.slow
def test_forty_optimizers_have_a_short_first_paragraph() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [
            (f"benchmark-{b}", f"optimizer-{i}+warm-start:3", seed, 0, "ok", i // 8 + rng.random())
            for b in range(2)
            for i in range(40)
            for seed in range(10)
        ],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss"],
    )
    problems = {
        f"benchmark-{b}": ComparedBenchmark(objectives=(LOSS,), optimum=0.0) for b in range(2)
    }
    words = summarise(compare_trajectories(frame, problems, resamples=5))
    assert len(words) < 1500
    assert "This study compares 40 optimizers on benchmark-0 and benchmark-1, with" in words
    assert re.search(r"\d+ of 780 pairs differ significantly", words)
    assert re.search(r"beats optimizer-.* and \d+ more\.", words)


@pytest.mark.parametrize("known", [True, False])
def test_where_results_stand_it_says_on_what(known: bool) -> None:
    frame = pd.DataFrame(
        [("toy", o, seed, 0, "ok", 1.0) for o in ("a", "b") for seed in range(3)],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss"],
    )
    told = {"kind": "surrogate of lora 1.0", "ranking check": "passed: tau <1>", "sha256": "f00"}
    problem = ComparedBenchmark(
        objectives=(LOSS,), optimum=1.0, optimum_known=known, noise=0.25, identity=told
    )
    study = compare_trajectories(frame, {"toy": problem}, resamples=9)
    page = render(title="A study", comparison=study)
    text = " ".join(" ".join(parse(page).itertext()).split())
    assert "surrogate of lora 1.0; ranking check passed: tau <1>; sha256 f00. Objective" in text
    assert ("Seeds within noise of the optimum" in text) == known
    assert ("Seeds within noise of the best known" in text) == (not known)
    assert ("known optimum" in text) == known
    assert ("Best known 1; noise between" in text) == (not known)
    assert study.to_json()["benchmarks"][0]["identity"] == told


def test_ties_are_grouped() -> None:
    frame = pd.DataFrame(
        [
            ("toy", optimizer, seed, 0, "ok", 1.0 + level + 0.4 * rng.random())
            for rng in [np.random.default_rng(1)]
            for optimizer, level in (("a", 0), ("b", 0.1), ("c", 0.1), ("d", 0.6))
            for seed in range(8)
        ],
        columns=["benchmark", "optimizer", "seed", "trial", "status", "val_loss"],
    )
    problem = ComparedBenchmark(objectives=(LOSS,), optimum=1.0, noise=0.5)
    study = compare_trajectories(frame, {"toy": problem}, resamples=50)
    ties = {frozenset((p.first, p.second)) for p in study.pairs if p.verdict == "tie"}
    sentence = re.search(r"Not told apart, so (a tie|ties): ([^.]*)\.", summarise(study))
    assert sentence
    groups = [set(re.split(", | and ", part)) for part in sentence[2].split("; ")]
    assert {frozenset(p) for g in groups for p in combinations(sorted(g), 2)} == ties
    assert len(groups) < len(ties)


def test_ones_own_method_is_marked_and_others_are_not() -> None:
    page = render(title="A study", comparison=comparison(), mine=("other",))
    marked = [row for row in parse(page).iter("tr") if row.get("class") == "mine"]
    assert marked
    assert all("other" in "".join(row.itertext()) for row in marked)
    looks = re.search(r'id="looks">(.*?)</script>', page)
    assert looks
    assert {n for n, look in json.loads(looks[1]).items() if look["mine"]} == {"other"}
    with pytest.raises(UnknownNameError, match="'otter'; did you mean 'other'"):
        render(title="A study", comparison=comparison(), mine=("otter",))


def test_methods_of_other_packages_are_marked_without_being_asked() -> None:
    names = ["random", "tpe-optuna+warm-start:3", "their-method", "their-method+stop-ei"]
    assert brought(pd.DataFrame({"optimizer": [*names, *names]})) == names[2:]


def test_the_contents_lead_to_every_part() -> None:
    root = parse(page_of(benchmarks=("toy", "second")))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [link.get("href") for link in root.iter("a")]
    headings = [heading.get("id") for heading in root.iter("h2")]
    assert links == [f"#{heading}" for heading in headings]


@pytest.mark.slow
def test_the_critical_difference_picture_stands_first() -> None:
    for benchmarks in (("toy",), ("toy", "second")):
        page = page_of(benchmarks=benchmarks)
        chart = charts_of(page)[0]
        assert chart["kind"] == "ranks"
        assert page.index("<figure") < page.index("<h2")
        order = [row["name"] for row in chart["rows"]]
        values = [row["value"][0] for row in chart["rows"]]
        assert values == sorted(values)
        for group in chart["groups"]:
            first = order.index(group[0])
            assert order[first : first + len(group)] == group


def test_no_text_is_left_in_tex() -> None:
    frame = configurations()
    frame["lr"] = np.geomspace(1e-6, 1e-1, len(frame))
    axes = (SPACE.dimensions[0], Float("lr", 1e-6, 1e-1, log=True), SPACE.dimensions[2])
    table = facts(space=Space(axes), configurations=frame)
    page = render(title="A study", comparison=comparison(), benchmarks=[table])
    assert "mathdefault" not in page
