"""A study grows in its folder: what is there stays, and what cannot be joined is named."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from hpobench_llm.errors import IntegrityError, SpecError
from hpobench_llm.replaying.trajectory import MEASURED
from hpobench_llm.studies.folder import StudyFolder
from hpobench_llm.studies.outlook import outlook
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import OpenStudy, StudySpec

SPEC = StudySpec(
    name="grows",
    title="Grows",
    benchmarks=("toy-bowl",),
    optimizers=("random", "asha"),
    seeds=2,
    budget=6,
)
LARGER = replace(
    SPEC,
    benchmarks=("other", "toy-bowl"),
    optimizers=("sobol", "random", "asha"),
    seeds=3,
    objective={"other": "test_loss"},
)


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch, rows, seal_rows):
    """Let a table with axes and metrics of its own be found by name."""
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path / "data"))
    seal_rows(tmp_path / "data" / "tables" / "other", rows)


def grown(out, *specs):
    """Run studies one after another into one folder; return what each ran and was told."""
    told = []
    for spec in specs:
        out.mkdir(exist_ok=True)
        notes = []
        folder = StudyFolder(out, OpenStudy(spec), notes.append)
        missing = folder.missing()
        for cell in missing:
            folder.keep(cell, Runner(spec).replay(cell))
        folder.merge({})
        told.append((missing, notes))
    return told


def rows_of(out, spec):
    """Return the trials of a study's replays, by replay."""
    frame = pd.read_parquet(out / "trajectories.parquet")
    return dict(iter(frame.groupby(["benchmark", "optimizer", "seed"])))


def bytes_of(out):
    return (out / "trajectories.parquet").read_bytes()


@pytest.mark.slow
def test_what_is_new_runs_and_what_is_there_stays(tmp_path):
    grown(tmp_path / "fresh", LARGER)
    first, (again, notes) = grown(tmp_path / "out", SPEC, LARGER)
    assert first == (SPEC.cells(), [])
    assert again == [cell for cell in LARGER.cells() if cell not in SPEC.cells()]
    assert notes == []
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "fresh")
    header = json.loads((tmp_path / "out" / "study.json").read_text())
    assert header["study"]["seeds"] == 3
    assert not (tmp_path / "out" / "parts").exists()


def test_measured_seconds_of_what_is_there_are_kept(tmp_path):
    def seconds():
        frame = pd.read_parquet(tmp_path / "out" / f"trajectories.{MEASURED}.parquet")
        return dict(iter(frame.groupby(["benchmark", "optimizer", "seed"])[MEASURED]))

    grown(tmp_path / "out", SPEC)
    before = seconds()
    grown(tmp_path / "out", LARGER)
    after = seconds()
    for key, values in before.items():
        assert values.tolist() == after[key].tolist()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_larger_budget_goes_on_from_the_smaller_one(tmp_path, workers):
    small = replace(SPEC, workers=workers)
    large = replace(small, budget=15)
    grown(tmp_path / "fresh", large)
    _, (missing, _) = grown(tmp_path / "out", small, large)
    assert missing == SPEC.cells()
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "fresh")


def test_one_that_begins_otherwise_is_not_joined_and_its_beginning_stays(tmp_path):
    grown(tmp_path / "out", SPEC)
    before = rows_of(tmp_path / "out", SPEC)
    large = replace(SPEC, budget=9)
    folder = StudyFolder(tmp_path / "out", OpenStudy(large))
    cell, other = folder.missing()[:2]
    with pytest.raises(IntegrityError, match=r"`budget`: it begins otherwise .*\(column `"):
        folder.keep(cell, Runner(large).replay(other))
    # Killed here, started again: nothing is lost.
    folder = StudyFolder(tmp_path / "out", OpenStudy(large))
    assert folder.missing() == large.cells()
    for each in large.cells():
        folder.keep(each, Runner(large).replay(each))
    folder.merge({})
    for key, rows in before.items():
        new = rows_of(tmp_path / "out", large)[key].iloc[: len(rows)]
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), new.reset_index(drop=True))


def test_a_study_that_grows_before_it_is_done_keeps_its_parts(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    folder = StudyFolder(out, OpenStudy(SPEC))
    for cell in SPEC.cells()[:3]:
        folder.keep(cell, Runner(SPEC).replay(cell))
    notes = []
    folder = StudyFolder(out, OpenStudy(LARGER), notes.append)
    assert folder.missing() == [c for c in LARGER.cells() if c not in SPEC.cells()[:3]]
    assert notes == []
    # The smaller one would leave out what the folder now holds.
    with pytest.raises(SpecError, match="`benchmarks`: the folder holds replays of other too"):
        StudyFolder(out, OpenStudy(SPEC))


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"seeds": 1}, "seeds", "the folder holds 2, so give as many or more, not 1"),
        ({"budget": 5}, "budget", "holds replays of 6 evaluations, so give as many or more"),
        (
            {"budget": {"step": 99}},
            "budget",
            "6 evaluations, so give as many or more, not 99 step",
        ),
        ({"optimizers": ("random",)}, "optimizers", "holds replays of asha too, so list them"),
        ({"benchmarks": ("other",)}, "benchmarks", "holds replays of toy-bowl too"),
        ({"workers": 2}, "workers", "the folder holds replays with 1, the study has 2"),
        ({"initial": 2}, "initial", "replays with 0, the study has 2"),
        ({"table_seed": 0}, "table_seed", "replays with none, the study has 0"),
        ({"checkpoint_seconds": "none"}, "checkpoint_seconds", 'with 0.0, the study has "none"'),
        ({"constraints": {"val_loss": 3}}, "constraints", 'none, the study has {"val_loss":3}'),
        ({"objectives": ("score_toy",)}, "objectives", "on toy-bowl that were told val_loss"),
        ({"name": "s"}, "name", 'replays with "grows", the study has "s"'),
    ],
)
def test_what_cannot_be_joined_is_named_by_its_key(tmp_path, changes, key, words):
    grown(tmp_path / "out", SPEC)
    before = bytes_of(tmp_path / "out")
    with pytest.raises(SpecError) as error:
        StudyFolder(tmp_path / "out", OpenStudy(replace(SPEC, **changes)))
    assert (error.value.key, "\n" in str(error.value)) == (key, False)
    assert words in str(error.value)
    assert str(error.value).endswith("; or give another --out")
    assert bytes_of(tmp_path / "out") == before
    assert StudyFolder(tmp_path / "out", OpenStudy(SPEC)).missing() == []


def test_budgets_that_no_longer_one_begins_with_are_named(tmp_path):
    planning = replace(SPEC, optimizers=("smac-rf",), seeds=1)
    grown(tmp_path / "out", planning)
    with pytest.raises(SpecError, match="`budget`: smac-rf plans with its number of trials"):
        StudyFolder(tmp_path / "out", OpenStudy(replace(planning, budget=7)))
    counted = replace(SPEC, seeds=1, count_optimizer_seconds=True)
    grown(tmp_path / "counted", counted)
    with pytest.raises(SpecError, match="`budget`: with `count_optimizer_seconds` no replay is"):
        StudyFolder(tmp_path / "counted", OpenStudy(replace(counted, budget=7)))


def test_sources_that_grow_are_other_sources(tmp_path, monkeypatch, rows, seal_rows):
    seal_rows(tmp_path / "data" / "tables" / "a", rows, name="a")
    seal_rows(tmp_path / "data" / "tables" / "b", rows, name="b")
    seal_rows(tmp_path / "data" / "tables" / "c", rows, name="c")
    taught = replace(
        SPEC, benchmarks=("a", "b"), optimizers=("zero-shot", "random"), seeds=1, sources="others"
    )
    grown(tmp_path / "out", taught)
    with pytest.raises(
        SpecError, match=r"`sources`: .* of zero-shot on a that learnt from b alone"
    ):
        StudyFolder(tmp_path / "out", OpenStudy(replace(taught, benchmarks=("a", "b", "c"))))
    grown(tmp_path / "series", replace(taught, sources="earlier"))
    longer = replace(taught, sources="earlier", benchmarks=("a", "b", "c"))
    folder = StudyFolder(tmp_path / "series", OpenStudy(longer))
    assert [cell.benchmark for cell in folder.missing()] == ["c", "c"]


def test_another_version_of_a_table_is_not_joined(tmp_path, rows, seal_rows):
    on_table = replace(SPEC, benchmarks=("other",), seeds=1)
    grown(tmp_path / "out", on_table)
    rows.loc[0, "val_loss"] += 1
    seal_rows(tmp_path / "data" / "tables" / "other", rows)
    with pytest.raises(SpecError, match="`tables`: small changed since the study began"):
        StudyFolder(tmp_path / "out", OpenStudy(replace(on_table, seeds=2)))


def test_a_benchmark_may_say_its_kind(tmp_path, rows):
    def of(**changes):
        return replace(SPEC, benchmarks=("toy-bowl", "table:toy-bowl"), **changes)

    grown(tmp_path / "out", of(seeds=1))
    frame = pd.read_parquet(tmp_path / "out" / "trajectories.parquet")
    assert set(frame["benchmark"]) == {"toy-bowl", "table:toy-bowl"}
    assert of(sources="others").sources_of("toy-bowl") == []
    with pytest.raises(ValueError, match=r"`kind.table:toy-bowl`: the name says its kind itself"):
        of(kind={"table:toy-bowl": "surrogate"})


def test_before_it_starts_a_study_says_what_will_be_compared():
    def said(**changes):
        return outlook(OpenStudy(replace(SPEC, **changes)))

    assert said(optimizers=("random", "sobol")) == [
        "random, sobol on toy-bowl: 4 replays of up to 6 trials each, one trial at a time"
    ]
    first, second = said(budget=50)
    assert "4 replays of up to 50 trials each" in first
    full = OpenStudy(SPEC).benchmark("toy-bowl").fidelities[0].full
    assert f"with budget = {{step = {50 * full}}} all may train as much as 50" in second
    amount = float(second.partition("come to about ")[2].split()[0])
    assert 1 < amount < 40
    assert len(said(budget={"step": 500})) == 1
