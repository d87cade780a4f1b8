"""Studies: every key of the file is checked and obeyed, and equal studies give equal bytes."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpobench_llm.benchmarks.toy import toy_bowl
from hpobench_llm.errors import (
    IntegrityError,
    PoorSurrogateError,
    SpecError,
    UnknownNameError,
)
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers import catalogue
from hpobench_llm.replaying.columns import short_names
from hpobench_llm.report.compare import compare
from hpobench_llm.space import Categorical, Ordinal, Space
from hpobench_llm.spec import read_spec
from hpobench_llm.studies.checks import read_study
from hpobench_llm.studies.execution import run_study
from hpobench_llm.studies.header import StudyHeader
from hpobench_llm.studies.parts import Parts
from hpobench_llm.studies.results import read_trajectories
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import StudySpec
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.problems import FINITE, table
from tests.studies.test_faults import run, write

SPEC = """
name = "toys"
title = "Toys"
benchmarks = ["toy-bowl"]
optimizers = ["random", "tpe-optuna"]
seeds = 4
budget = 6
"""


def results(out):
    """Return a study's header and its trials with short names."""
    header, frame = read_trajectories(out)
    return header, frame.rename(columns=short_names(frame.columns))


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "toys.toml"
    path.write_text(SPEC)
    return path


@pytest.mark.slow
def test_every_replay_is_there_once_and_a_second_start_does_nothing(spec_file, tmp_path):
    study = read_study(spec_file)
    outcome = run_study(study, tmp_path / "out", processes=2)
    assert (outcome.ran, outcome.failed) == (8, {})
    header, frame = results(tmp_path / "out")
    counts = frame.groupby(["optimizer", "seed"]).size()
    assert len(counts) == 8
    assert (counts == 6).all()
    assert header.study.budget == 6
    assert not (tmp_path / "out" / "parts").exists()
    before = (tmp_path / "out" / "trajectories.parquet").read_bytes()
    assert run_study(study, tmp_path / "out").ran == 0
    assert (tmp_path / "out" / "trajectories.parquet").read_bytes() == before


@pytest.mark.slow
def test_runs_give_one_file_whatever_the_number_of_processes(tmp_path):
    path = tmp_path / "rungs.toml"
    text = SPEC.replace('"random", "tpe-optuna"', '"random", "tpe-optuna", "asha", "de"')
    path.write_text(text.replace("budget = 6", "budget = {step = 200}\nworkers = 3\ninitial = 3"))
    study = read_study(path)
    contents = set()
    for number, count in enumerate((1, 2, 3)):
        out = tmp_path / str(number)
        assert run_study(study, out, processes=count).ran == 16
        contents.add((out / "trajectories.parquet").read_bytes())
    assert len(contents) == 1


@pytest.mark.slow
def test_another_study_in_the_folder_is_refused(spec_file, tmp_path):
    run_study(read_study(spec_file), tmp_path / "out", processes=2)
    spec_file.write_text(SPEC.replace("budget = 6", "budget = 5"))
    with pytest.raises(SpecError, match="`budget`: the folder holds replays of 6 eval"):
        run_study(read_study(spec_file), tmp_path / "out")


def frame_of(tmp_path, *lines, old="budget = 6", optimizers='["random", "tpe-optuna"]'):
    path = tmp_path / "study.toml"
    text = SPEC.replace('["random", "tpe-optuna"]', optimizers).replace("seeds = 4", "seeds = 2")
    path.write_text(text.replace(old, "\n".join(lines)))
    run_study(read_study(path), tmp_path / "out", processes=1)
    return results(tmp_path / "out")[1]


@pytest.mark.slow
def test_all_begin_with_the_same_design(tmp_path):
    frame = frame_of(
        tmp_path, "budget = 6", "initial = 4", optimizers='["random", "tpe-optuna", "asha"]'
    )
    first = frame[frame["trial"] < 4].sort_values("trial")
    assert (first["step"] == 8).all()
    designs = {
        (optimizer, seed): tuple(rows["config_id"])
        for (optimizer, seed), rows in first.groupby(["optimizer", "seed"])
    }
    for seed in (0, 1):
        assert len({design for (_, s), design in designs.items() if s == seed}) == 1
        assert len(set(designs["random", seed])) == 4
    assert designs["random", 0] != designs["random", 1]


@pytest.mark.slow
def test_the_rules_of_a_study_reach_its_replays(tmp_path):
    frame = frame_of(
        tmp_path,
        "budget = {seconds = 50}",
        'objectives = ["val_loss", "score_toy"]',
        "workers = 2",
        'checkpoint_seconds = "none"',
        optimizers='["moasha"]',
    )
    assert frame["finished_seconds"].max() <= 50
    assert set(frame["worker"]) == {0, 1}
    assert frame[["val_loss", "score_toy"]].notna().all().all()
    resumed = frame[frame["resumes"].notna()]
    assert len(resumed) > 0
    assert (resumed["cost_seconds"] == resumed["step"]).all()  # from the beginning, each time


@pytest.mark.slow
def test_the_optimizers_own_seconds_may_be_counted(tmp_path):
    frame = frame_of(tmp_path, "budget = 6", "count_optimizer_seconds = true")
    ends = frame.groupby(["optimizer", "seed"])["finished_seconds"].max()
    assert (ends > 48).all()


@pytest.mark.slow
def test_constraints_are_given_to_all_and_recorded(tmp_path, monkeypatch, rows, seal_rows):
    seal_rows(tmp_path / "tables" / "small", rows)
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    path = tmp_path / "study.toml"
    text = SPEC.replace("toy-bowl", "small").replace("budget = 6", "budget = 12")
    path.write_text(f"{text}\n[constraints]\ntest_loss = 5.0\n")
    run_study(read_study(path), tmp_path / "out", processes=1)
    frame = results(tmp_path / "out")[1]
    ok = frame["status"] == "ok"
    loss = frame["val_loss"] + 0.1
    assert (frame["constraint_test_loss"] - (loss - 5.0))[ok].abs().max() < 1e-9
    assert {True, False} == set(frame["constraint_test_loss"] > 0)
    path.write_text(f"{text}\n[constraints]\ntest_los = 5.0\n")
    with pytest.raises(SpecError, match=r"`constraints`: .*'test_los'; did you mean 'test_loss'"):
        read_study(path)


@pytest.mark.slow
def test_a_seed_of_the_table_answers_and_is_shown(tmp_path, monkeypatch, rows, seal_rows):
    seal_rows(tmp_path / "tables" / "small", rows)
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    path = tmp_path / "study.toml"
    text = SPEC.replace("toy-bowl", "small").replace("seeds = 4", "seeds = 2\ninitial = 2")
    losses = {}
    for seed in (0, 1):
        path.write_text(f"{text}table_seed = {seed}\n")
        out = tmp_path / f"out{seed}"
        run_study(read_study(path), out, processes=2)
        header, frame = results(out)
        assert header.study.table_seed == seed
        first = frame[frame["trial"] < 2].set_index(["optimizer", "seed", "trial"])
        losses[seed] = first["val_loss"]
    ok = losses[0].notna() & losses[1].notna()
    assert (losses[1] - losses[0])[ok].to_numpy() == pytest.approx(0.01)
    assert "answers of table seed 1" in compare(out).summary()
    assert "table_seed 1" in (out / "report.html").read_text()
    path.write_text(f"{text}table_seed = 7\n")
    with pytest.raises(SpecError, match="small: seed 7 was not measured"):
        read_study(path)


def test_a_budget_in_tokens_that_are_not_known_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    table(tmp_path / "tables" / "free", FINITE, list(FINITE.configurations()), costs=False)
    path = tmp_path / "study.toml"
    path.write_text(SPEC.replace("toy-bowl", "free").replace("= 6", "= {tokens = 100}"))
    with pytest.raises(SpecError, match="`budget`: problem does not know the tokens of "):
        read_study(path)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ('"random"', '"radnom"', UnknownNameError, "`optimizers`: unknown optimizer 'radnom'"),
        ('"toy-bowl"', '"toy-bawl"', UnknownNameError, "`benchmarks`: unknown benchmark"),
        ("seeds = 4", "seeds = 0", SpecError, "`seeds` must be at least 1, got 0"),
        ("seeds = 4", 'seeds = "4"', SpecError, "`seeds`: expected an integer, got '4'"),
        ("budget = 6", "bugdet = 6", SpecError, "`bugdet`: unknown key; did you mean 'budget'"),
        ("budget = 6", "budget = 0", SpecError, "`budget`: a whole number of at least 1, got 0"),
        ("budget = 6", "budget = {seconds = 0}", SpecError, "`budget`: more than 0 seconds"),
        ("budget = 6", "budget = {epoch = 3}", SpecError, "unknown unit 'epoch'; known: eval"),
        ("budget = 6", "budget = {step = 3, tokens = 2}", SpecError, "`budget`: one unit is"),
        ("budget = 6", 'budget = "6"', SpecError, "`budget`: expected an integer or "),
        ("seeds = 4", "seeds = 4\nworkers = 0", SpecError, "`workers` must be at least 1, got 0"),
        ("seeds = 4", "seeds = 4\ninitial = -1", SpecError, "`initial` must be at least 0"),
        (
            "seeds = 4",
            "seeds = 4\ninitial = 5000",
            SpecError,
            "`initial`: 5000 different configurations are wanted, and 1000 draws",
        ),
        (
            "budget = 6",
            'budget = 6\nobjective = "x"',
            UnknownNameError,
            "`objective` or `objectives`: toy-bowl: unknown metric 'x'",
        ),
        (
            "budget = 6",
            'budget = 6\nobjectiv = "x"',
            SpecError,
            "`objectiv`: unknown key; did you mean 'objectives' or 'objective'?",
        ),
        (
            "budget = 6",
            'budget = 6\nobjectives = ["val_los"]',
            UnknownNameError,
            "unknown metric 'val_los'; did you mean 'val_loss'",
        ),
        (
            "budget = 6",
            'budget = 6\nobjective = "val_loss"\nobjectives = ["test_loss"]',
            SpecError,
            "give one of the two",
        ),
        (
            "budget = 6",
            'budget = 6\nobjectives = ["val_loss", "score_toy"]',
            SpecError,
            "`optimizers`: tpe-optuna takes one objective, and `objectives` has 2",
        ),
        (
            "seeds = 4",
            'seeds = 4\ncheckpoint_seconds = "never"',
            SpecError,
            "`checkpoint_seconds`: expected a number or 'none', got 'never'",
        ),
        ("seeds = 4", "seeds = 4\ntimeout_seconds = 0", SpecError, "`timeout_seconds` must be"),
        ("seeds = 4", "seeds = 4\ntimeout_seconds = -1", SpecError, "`timeout_seconds` must be"),
        ("seeds = 4", "seeds = 4\ntimeout_seconds = inf", SpecError, 'or "none", got inf'),
        (
            "seeds = 4",
            'seeds = 4\nsources = ["toy-spere"]',
            UnknownNameError,
            "`sources`: unknown benchmark 'toy-spere'; did you mean 'toy-sphere'",
        ),
        ("seeds = 4", 'seeds = 4\nsources = "other"', SpecError, "`sources`: expected "),
        (
            "budget = 6",
            'budget = 6\nkind = "tabel"',
            SpecError,
            "kind 'tabel'; did you mean 'table'",
        ),
        ("budget = 6", "budget = 6\nkind = 3", SpecError, "`kind`: expected"),
        (
            "budget = 6",
            'budget = 6\nkind = {toy-bawl = "table"}',
            SpecError,
            "`kind.toy-bawl`: no such benchmark; did you mean 'toy-bowl'",
        ),
        (
            "budget = 6",
            'budget = 6\nkind = "surrogate"',
            UnknownNameError,
            "`benchmarks`: unknown surrogate 'toy-bowl'",
        ),
        (
            '["random", "tpe-optuna"]',
            "[]",
            SpecError,
            "`optimizers` must be distinct and not empty",
        ),
    ],
)
def test_a_bad_study_is_named(tmp_path, old, new, error, words):
    path = tmp_path / "bad.toml"
    path.write_text(SPEC.replace(old, new))
    with pytest.raises(error) as caught:
        read_study(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_method_that_trains_in_part_needs_an_axis(tmp_path, monkeypatch):
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    configs = list(FINITE.configurations())
    table(tmp_path / "tables" / "flat", FINITE, configs, fidelities=())
    whole = (Fidelity(name="step", unit="", values=(4,)),)
    table(tmp_path / "tables" / "whole", FINITE, configs, fidelities=whole)
    path = tmp_path / "study.toml"
    for name, words in (
        ("flat", "asha trains in part, and problem has no fidelity axis; leave one of the two"),
        ("whole", "asha on whole: Asha is a multi-fidelity method, and this benchmark has no"),
    ):
        path.write_text(SPEC.replace("toy-bowl", name).replace('"random"', '"asha"'))
        with pytest.raises(SpecError) as caught:
            read_study(path)
        assert f"{path}: `optimizers`: {words}" in str(caught.value)


def test_axes_of_one_name_have_to_be_of_one_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    for name, axis in (
        ("words", Categorical("target", ("q", "v"))),
        ("counts", Ordinal("target", (1, 2))),
    ):
        made = table(
            tmp_path / "made" / name, Space((axis,)), [{"target": v} for v in axis.values]
        )
        Table.write(tmp_path / "tables" / name, replace(made.metadata, name=name), made.frame)
    path = tmp_path / "study.toml"
    path.write_text(SPEC.replace('["toy-bowl"]', '["words", "counts"]'))
    with pytest.raises(SpecError, match="`target` is text in words and numbers in counts"):
        read_study(path)


@pytest.mark.slow
def test_a_method_that_transfers_needs_sources(tmp_path, monkeypatch):
    learns = replace(catalogue.ENTRIES["random"], transfer=True)
    monkeypatch.setitem(catalogue.ENTRIES, "random", learns)
    path = tmp_path / "study.toml"
    for line in ("", 'sources = "others"\n', 'sources = ["toy-bowl"]\n'):
        path.write_text(line + SPEC)
        with pytest.raises(SpecError, match="`sources`: random learns from related tasks, and"):
            read_study(path)
    path.write_text('sources = "earlier"\n' + SPEC)
    with pytest.raises(SpecError, match='"earlier" needs two `benchmarks` or more, oldest first'):
        read_study(path)
    path.write_text('sources = ["toy-bowl", "toy-sphere"]\n' + SPEC)
    assert read_study(path).spec.sources_of("toy-bowl") == ["toy-sphere"]


@pytest.mark.slow
def test_methods_that_transfer_are_given_the_other_benchmarks(tmp_path, rows, seal_rows):
    for name in ("first", "second", "third"):
        seal_rows(tmp_path / "tables" / name, rows, name=name)
    path, data = write(tmp_path, "learns", "random"), {"HPOBENCH_LLM_DATA": str(tmp_path)}
    text = path.read_text().replace('["toy-bowl"]', '["first", "second"]')
    for number, (sources, given) in enumerate(
        {
            '"others"': {"first": "second 12", "second": "first 12"},
            '["third", "first"]': {"first": "third 12", "second": "third 12, first 12"},
            '"earlier"': {"second": "first 12"},
        }.items()
    ):
        path.write_text(f"{text}\nsources = {sources}\n")
        done = run(path, tmp_path / str(number), processes=1, **data)
        assert done.returncode == 0, done.stderr
        header, frame = results(tmp_path / str(number))
        learns = frame[frame["optimizer"] == "learns"]
        assert dict(zip(learns["benchmark"], learns["liar"], strict=True)) == given
        assert set(frame["liar"][frame["optimizer"] == "random"]) == {"none"}
        assert len(header.tables) == 2 + ("third" in sources)
    path.write_text(f'{text}\nsources = ["toy-sphere"]\n')
    done = run(path, tmp_path / "unlike", processes=1, **data)
    assert done.returncode == 2
    assert "`optimizers`: learns on first: the source toy-sphere of first: " in done.stderr


@pytest.mark.slow
def test_a_header_holds_the_whole_study(spec_file, tmp_path):
    study = read_study(spec_file)
    run_study(study, tmp_path / "out", processes=2)
    header = StudyHeader.read(tmp_path / "out" / "study.json")
    assert header.study == study.spec
    assert header.study.objectives == ("val_loss",)
    assert header.benchmarks["toy-bowl"].space == toy_bowl().space
    assert header.benchmarks["toy-bowl"].metrics == toy_bowl().metrics


def test_any_name_of_an_optimizer_makes_a_file(tmp_path):
    names = ["tpe-optuna+stop-no-improve:30", "tpe-optuna+stop-no-improve%3A30", "a/../b", "a-1"]
    text = SPEC.replace('["random", "tpe-optuna"]', str(names)).replace("seeds = 4", "seeds = 12")
    (tmp_path / "s.toml").write_text(text)
    spec = read_spec(tmp_path / "s.toml", StudySpec)
    kept = Parts(tmp_path / "parts", spec, "", {})
    files = {kept.path(cell) for cell in spec.cells()}
    assert len(files) == 48
    assert {path.parent for path in files} == {tmp_path / "parts"}
    assert not [path for path in files if set(path.name) & set("+:/\\")]


@pytest.mark.slow
def test_the_same_study_runs_on_table_and_surrogate(tmp_path, monkeypatch, rows, seal_rows, quick):
    folder = seal_rows(tmp_path / "tables" / "small", rows)
    fit(Table.load(folder), folds=2).write(tmp_path / "surrogates" / "small")
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    text = SPEC.replace('["toy-bowl"]', '["small", "toy-bowl"]').replace("seeds = 4", "seeds = 2")
    path = tmp_path / "study.toml"
    found = {}
    path.write_text(f'{text}kind = {{small = "surrogate"}}\n')
    with pytest.raises(PoorSurrogateError, match="ranking check"):
        read_study(path)
    for kind in ('"table"', '{small = "surrogate"}'):
        path.write_text(f"{text}kind = {kind}\nallow_poor = true\n")
        out = tmp_path / str(len(found))
        run_study(read_study(path), out, processes=2)
        frame = results(out)[1]
        found[kind] = frame[frame["benchmark"] == "small"]
        result = compare(out)
        assert len(result.comparison.benchmarks) == 2
    on_table, on_surrogate = found.values()
    grid = set(rows["lr"])
    assert set(on_table["lr"]) <= grid
    assert not set(on_surrogate["lr"]) <= grid


@pytest.mark.slow
def test_a_table_is_opened_once_a_process(tmp_path, monkeypatch, rows, seal_rows):
    for name in ("first", "second"):
        seal_rows(tmp_path / "tables" / name, rows, name=name)
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    load, opened = Table.load, []

    def counted(folder):
        opened.append(folder.name)
        return load(folder)

    monkeypatch.setattr(Table, "load", counted)
    path, out = tmp_path / "study.toml", tmp_path / "out"
    text = SPEC.replace('["toy-bowl"]', '["first"]').replace("seeds = 4", "seeds = 2")
    path.write_text(f'{text}sources = ["second"]\n')
    study = read_study(path)
    run_study(study, out, processes=2)
    assert opened == ["first", "second"]  # what checked the study also wrote its folder
    worker = Runner(study.spec)
    for cell in study.spec.cells():
        worker.replay(cell)
    assert opened == ["first", "second", "first"]  # no optimizer here transfers
    compare(out)
    assert opened == ["first", "second", "first", "first"]


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=r"study\.json: no such file"):
        read_trajectories(Path(tmp_path))
