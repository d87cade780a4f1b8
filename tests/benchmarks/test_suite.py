"""A suite is tables of known sums; a study of one takes their objectives, and a change is seen."""

import json

import pytest

import hpobench_llm
from hpobench_llm.cli import main
from hpobench_llm.errors import IntegrityError, SpecError, UnknownNameError
from hpobench_llm.report.compare import compare
from hpobench_llm.spec import parse_spec, read_toml
from hpobench_llm.studies.checks import read_study
from hpobench_llm.studies.execution import run_study
from hpobench_llm.studies.results import read_trajectories
from hpobench_llm.studies.study import StudySpec
from hpobench_llm.studies.suites import expanded
from hpobench_llm.tables.table import Table

MEMBER = '[[problems]]\ntable = "{}"\nsha256 = "{}"\nobjective = "{}"\n'
HEAD = 'name = "pair"\nversion = "1.0"\ndescription = "Two."\n'
STUDY = 'name = "s"\ntitle = "S"\noptimizers = ["random", "lr-sweep"]\nseeds = 2\nbudget = 5\n'


@pytest.fixture
def pair(tmp_path, rows, seal_rows, monkeypatch):
    """Two tables in a folder of the user's own, and a suite of both."""
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    sums = {}
    for name, shift in (("one", 0.0), ("two", 0.5)):
        moved = rows.assign(val_loss=rows["val_loss"] + shift)
        folder = seal_rows(tmp_path / "tables" / name, moved, name=name)
        sums[name] = Table.load(folder).metadata.table_sha256
    text = HEAD + MEMBER.format("one", sums["one"], "val_loss")
    text += MEMBER.format("two", sums["two"], "score_toy")
    (tmp_path / "tables" / "suites").mkdir()
    path = tmp_path / "tables" / "suites" / "pair.toml"
    path.write_text(text)
    return path


def study(tmp_path, more):
    path = tmp_path / "s.toml"
    path.write_text(STUDY + more)
    return path


def spec_of(path):
    return parse_spec(expanded(read_toml(path), path), StudySpec, file=path)


def test_a_suite_opens_its_tables(pair):
    suite = hpobench_llm.suite("pair")
    assert (suite.name, suite.version, len(suite)) == ("pair", "1.0", 2)
    assert [benchmark.name for benchmark in suite] == ["one", "two"]
    assert suite.objectives == {"one": "val_loss", "two": "score_toy"}
    assert hpobench_llm.suite(pair) == suite


def test_every_shipped_suite_fits_its_tables():
    assert "lora" in hpobench_llm.list_suites()
    for name in hpobench_llm.list_suites():
        assert len(hpobench_llm.suite(name))


@pytest.mark.slow
def test_a_study_of_a_suite_optimizes_what_the_suite_says(pair, tmp_path):
    opened = read_study(study(tmp_path, 'benchmarks = "suite:pair"\n'))
    assert opened.spec.suite == "pair 1.0"
    outcome = run_study(opened, tmp_path / "out", processes=1)
    assert not outcome.failed
    header, frame = read_trajectories(tmp_path / "out")
    assert header.study == opened.spec
    assert frame.groupby("benchmark")["metric.val_loss"].count().to_dict()["two"] == 0
    assert frame.groupby("benchmark")["metric.score_toy"].count().to_dict()["one"] == 0
    result = compare(tmp_path / "out")
    metrics = {r.benchmark: r.metric for r in result.comparison.benchmarks}
    assert metrics == {"one": "val_loss", "two": "score_toy"}
    # The verdict over tasks stands first, and speaks of single runs by other metrics too.
    assert result.summary().startswith("over 2 tasks\n")
    page = result.report.read_text()
    assert page.index("Over 2 tasks") < page.index("This study compares")
    over = result.comparison.tasks
    assert over.tasks == ("one", "two")
    assert all(scale > 0 for scale in over.scales)
    single = {runs.metric: runs.benchmarks for runs in result.comparison.single_runs}
    assert single == {"objective": 2, "test_loss": 2, "score": 1}


def test_a_study_s_own_objective_goes_before_the_suite_s(pair, tmp_path):
    one = 'benchmarks = "suite:pair"\nobjective = {two = "test_loss"}\n'
    spec = spec_of(study(tmp_path, one))
    assert spec.objectives_of("one") == ("val_loss",)
    assert spec.objectives_of("two") == ("test_loss",)
    every = 'benchmarks = "suite:pair"\nobjective = "train_loss"\n'
    spec = spec_of(study(tmp_path, every))
    assert {spec.objectives_of(name) for name in spec.benchmarks} == {("train_loss",)}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('benchmarks = ["one"]\nobjective = {two = "val_loss"}\n', "`objective.two`: no such"),
        ('benchmarks = ["one"]\nobjective = {one = "val"}\n', "`objective`: one: unknown metric"),
        ('benchmarks = "one"\n', "an array is expected, got 'one'; one alone is"),
        ('benchmarks = ["one"]\nsuite = "pair"\n', "`suite`: unknown key"),
        ('benchmarks = "suite:pear"\n', "`benchmarks`: unknown suite 'pear'"),
        (
            'benchmarks = ["one"]\nobjective = {one = "val_loss"}\nobjectives = ["a", "b"]\n',
            "give one of both",
        ),
    ],
)
def test_a_wrong_objective_or_suite_is_named(pair, tmp_path, more, said):
    with pytest.raises((SpecError, UnknownNameError), match="(?s)" + said) as caught:
        read_study(study(tmp_path, more))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ('sha256 = "', 'sha256 = "0', IntegrityError, "`problems[0].sha256`: the suite was made"),
        ('"two"', '"tow"', SpecError, "`problems[1].table`: unknown table 'tow'; did you mean"),
        ("score_toy", "score", SpecError, "`problems[1].objective`"),
        ('"two"', '"one"', SpecError, "distinct"),
        ('name = "pair"', 'name = "other"', SpecError, "not the name of the file"),
    ],
)
def test_a_suite_with_a_changed_or_unknown_table_is_one_line(pair, old, new, error, said, capsys):
    text = pair.read_text()
    pair.write_text(text.replace(old, new, 1))
    with pytest.raises(error) as caught:
        hpobench_llm.suite("pair")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert main(["ls", "suites"]) == 2
    assert said in capsys.readouterr().err


def test_ls_shows_suites(pair, capsys):
    assert main(["ls", "suites", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["suites"]
    assert listed["pair"]["problems"] == {"one": "val_loss", "two": "score_toy"}
    assert main(["ls", "suites"]) == 0
    assert "pair  1.0: Two. one, two" in capsys.readouterr().out
