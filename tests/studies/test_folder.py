"""What becomes of a study's folder: kills, damage, other code, other studies, other versions."""

import json
import math
import os
import random
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from hpobench_llm.artefacts import canonical_json, sha256_of_file, sha256_of_text, write_json
from hpobench_llm.benchmarks.toy import toy_bowl
from hpobench_llm.errors import HpobenchError, IntegrityError, SpecError
from hpobench_llm.replaying.columns import NUMBERS, TEXTS, short_names
from hpobench_llm.replaying.replay import replay
from hpobench_llm.replaying.trajectory import MEASURED
from hpobench_llm.report.compare import compare
from hpobench_llm.studies import folder as folders
from hpobench_llm.studies.folder import StudyFolder
from hpobench_llm.studies.recorded import record, recorded
from hpobench_llm.studies.results import read_trajectories
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import OpenStudy, StudyCell, StudySpec
from hpobench_llm.surrogates.artefact import Surrogate
from tests.optimizers.test_plugins import GOOD, install

SPEC = StudySpec(
    name="s",
    title="S",
    benchmarks=("toy-bowl", "toy-sphere"),
    optimizers=("random", "sobol"),
    seeds=2,
    budget=4,
)
CELLS = SPEC.cells()


@cache
def trials(cell):
    return Runner(SPEC).replay(cell)


def write(out, spec=SPEC, cells=CELLS, failed=()):
    """Write a study as its replays do, up to these."""
    out.mkdir(exist_ok=True)
    folder = StudyFolder(out, OpenStudy(spec))
    for cell in cells:
        if cell not in failed:
            folder.keep(cell, trials(cell))
    if len(cells) == len(CELLS):
        folder.merge(dict.fromkeys(failed, "it <failed>"))
    return out


def reopened(out, spec=SPEC):
    notes = []
    return StudyFolder(out, OpenStudy(spec), notes.append), notes


def bytes_of(out):
    return (out / "trajectories.parquet").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The trajectories of the study that nothing befell."""
    return bytes_of(write(tmp_path_factory.mktemp("whole")))


def refusal(read, *arguments):
    """Return what an `IntegrityError` says, nothing if there is none; any other is raised."""
    try:
        read(*arguments)
    except IntegrityError as error:
        return str(error)
    return ""


def test_our_columns_are_listed():
    frame = replay("toy-bowl", "random", budget=2, seed=0).frame
    ours = {name for name in frame.columns if "." not in name}
    assert ours == {*TEXTS, *NUMBERS, MEASURED}


# Damage


def damages(rng, content):
    """Return a damaged copy: a bit flipped, the end cut off, nothing left, or bytes put in."""
    place = rng.randrange(len(content))
    flipped = bytearray(content)
    flipped[place] ^= 1 << rng.randrange(8)
    return rng.choice(
        (bytes(flipped), bytes(flipped), content[:place], b"", content[:place] + b"\0" + content)
    )


@pytest.mark.slow
def test_a_damaged_part_is_set_aside_named_and_run_again(tmp_path, whole):
    rng = random.Random(1)
    out = write(tmp_path / "out", cells=CELLS[:-1])
    for _ in range(120):
        cell = rng.choice(CELLS[:-1])
        path = StudyFolder(out, OpenStudy(SPEC))._parts.path(cell)
        path.write_bytes(damages(rng, path.read_bytes()))
        folder, notes = reopened(out)
        assert folder.missing() == [one for one in CELLS if one in (cell, CELLS[-1])]
        assert len(notes) == 1
        assert notes[0].startswith(f"{path}: ")
        assert notes[0].endswith(f"its replay runs again (kept as {path.name}.damaged)")
        assert (out / f"{path.name}.damaged").exists()
        folder.keep(cell, trials(cell))
    folder.keep(CELLS[-1], trials(CELLS[-1]))
    folder.merge({})
    assert bytes_of(out) == whole


def test_parts_of_another_study_are_not_taken_even_without_its_header(tmp_path, whole):
    other = StudySpec(**{**SPEC.plain(), "budget": 5, "benchmarks": SPEC.benchmarks})
    out = write(tmp_path / "out", spec=other, cells=CELLS[:3])
    with pytest.raises(SpecError, match="`budget`: the folder holds replays of 5 evaluations"):
        StudyFolder(out, OpenStudy(SPEC))
    (out / "study.json").unlink()
    (out / "parts" / "notes.txt").write_text("mine")
    folder, notes = reopened(out)
    assert folder.missing() == CELLS
    assert [note.partition(": ")[2].partition(" (")[0] for note in notes] == [
        *["of another study; its replay runs again"] * 3,
        "of no replay of this study",
    ]
    assert (out / "notes.txt.damaged").read_text() == "mine"
    # Its own parts are taken again, header or not.
    for cell in CELLS[:2]:
        folder.keep(cell, trials(cell))
    (out / "study.json").write_text("{}")
    folder, notes = reopened(out)
    assert folder.missing() == CELLS[2:]
    assert len(notes) == 1
    assert notes[0].startswith(f"{out / 'study.json'}: not the header of a study")
    for cell in CELLS[2:]:
        folder.keep(cell, trials(cell))
    folder.merge({})
    assert bytes_of(out) == whole


@pytest.mark.slow
def test_results_that_do_not_fit_their_sum_are_set_aside(tmp_path, whole):
    rng = random.Random(2)
    out = write(tmp_path / "out")
    for _ in range(20):
        path = out / "trajectories.parquet"
        path.write_bytes(damages(rng, path.read_bytes()))
        folder, notes = reopened(out)
        assert folder.missing() == CELLS
        assert len(notes) == 1
        assert notes[0].startswith(f"{path}: changed: it does not fit its sum in study.json")
        write(out)
        assert bytes_of(out) == whole
    (out / "study.json").unlink()
    folder, notes = reopened(out)
    assert folder.missing() == CELLS
    assert len(notes) == 2
    assert "trajectories.parquet: of no known study" in notes[0]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    out = write(tmp_path / "out", cells=CELLS[:3])
    strays = [out / "parts" / ".0-random-0.part.x1", out / ".study.json.abc"]
    for path in strays:
        path.write_text("half")
    (out / ".mine").write_text("kept")
    folder, notes = reopened(out)
    assert (folder.missing(), notes) == (CELLS[3:], [])
    assert not any(path.exists() for path in strays)
    assert (out / ".mine").exists()


# Other code


def test_an_optimizer_of_other_code_runs_again_alone(tmp_path, monkeypatch, whole):
    out = write(tmp_path / "out")
    code = folders.identity(SPEC, [])["optimizers"]

    def changed(spec, benchmarks):
        found = real(spec, benchmarks)
        return found | {"optimizers": code | {"sobol": "other"}}

    real = folders.identity
    monkeypatch.setattr(folders, "identity", changed)
    folder, notes = reopened(out)
    assert folder.missing() == [cell for cell in CELLS if cell.optimizer == "sobol"]
    assert notes == ["the code of sobol has changed since: 4 replays run again"]
    with pytest.raises(IntegrityError, match="not complete"):
        read_trajectories(out)
    # Interrupted, the code changed back: what ran in between is not taken.
    folder.keep(folder.missing()[0], trials(folder.missing()[0]))
    monkeypatch.setattr(folders, "identity", real)
    folder, notes = reopened(out)
    assert folder.missing() == [cell for cell in CELLS if cell.optimizer == "sobol"]
    assert notes == ["the code of sobol has changed since: 1 replays run again"]
    for cell in folder.missing():
        folder.keep(cell, trials(cell))
    folder.merge({})
    assert bytes_of(out) == whole


def test_a_process_with_other_code_than_the_study_began_with_runs_nothing():
    expected = folders.identity(SPEC, [toy_bowl()])
    assert Runner(SPEC, expected).replay(CELLS[0])
    expected["optimizers"]["random"] = "other"
    with pytest.raises(IntegrityError, match="random: the study began with other, the process"):
        Runner(SPEC, expected).replay(CELLS[0])


def test_a_surrogate_that_was_fitted_again_is_noticed(tmp_path, project_root):
    spec = replace(
        SPEC,
        benchmarks=(str(tmp_path / "mine"),),
        optimizers=("random",),
        seeds=1,
        kind="surrogate",
        allow_poor=True,
    )
    fitted = Surrogate.load(project_root / "surrogates" / "lora-nano")
    (cell,), out = spec.cells(), tmp_path / "out"
    out.mkdir()
    fitted.write(tmp_path / "mine")
    folder = StudyFolder(out, OpenStudy(spec))
    folder.keep(cell, Runner(spec).replay(cell))
    folder.merge({})
    # What is known of its quality is no answer of it.
    fitted.with_ranking_check(None).write(tmp_path / "mine")
    folder, notes = reopened(out, spec)
    assert (folder.missing(), notes) == ([], [])
    model = replace(fitted.models[0], offset=fitted.models[0].offset + 0.01)
    replace(fitted, models=(model, *fitted.models[1:])).write(tmp_path / "mine")
    with pytest.raises(SpecError, match="`tables`: lora-nano changed since the study began, or"):
        StudyFolder(out, OpenStudy(spec))
    with pytest.raises(IntegrityError, match=r"sha256 .*, the surrogate here has "):
        compare(out)


@pytest.mark.slow
def test_an_edited_plug_in_runs_anew(tmp_path):
    (tmp_path / "s.toml").write_text(
        'name = "s"\ntitle = "s"\nbenchmarks = ["toy-bowl"]\noptimizers = ["mine", "random"]\n'
        "seeds = 2\nbudget = 5\n"
    )

    def run(text, helper="SHIFT = 0\n"):
        home = tmp_path / "site"
        home.mkdir(exist_ok=True)
        for path in home.rglob("*.dist-info/*"):
            path.unlink()
        for path in home.glob("*.dist-info"):
            path.rmdir()
        package = home / "pack"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "helper.py").write_text(helper)
        (package / "mine.py").write_text(textwrap.dedent(text))
        install(home, "my-dist", {"mine": "pack.mine:Mine"})
        command = [sys.executable, "-m", "hpobench_llm", "replay", str(tmp_path / "s.toml")]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / "out"), "--processes", "1"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(home), *sys.path])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done

    assert "4 replays ran now" in run(GOOD).stdout
    assert "0 replays ran now" in run(GOOD).stdout
    done = run(GOOD, helper="SHIFT = 1\n")
    assert "2 replays ran now; 4 of 4" in done.stdout
    assert "replay: the code of mine has changed since: 2 replays run again\n" in done.stderr


# Kills

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from hpobench_llm.studies import execution
from hpobench_llm.studies.study import OpenStudy, StudySpec
from hpobench_llm.running.tasks import attempt

def here(tasks, handle, **_):
    for task in tasks:
        yield attempt(handle, task)

execution.in_processes = here
spec = StudySpec(name="s", title="S", benchmarks=("toy-bowl", "toy-sphere"), seeds=20,
                 optimizers=("random", "sobol"), budget=3)
out, rng, kills = Path(sys.argv[1]), random.Random(3), int(sys.argv[2])
rounds = 0
while kills:
    child = os.fork()
    if not child:
        execution.run_study(OpenStudy(spec), out)
        os._exit(0)
    time.sleep(rng.uniform(0.0, 0.25))
    os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
        kills -= 1
    else:  # it was done before: begin anew, so that every kill hits work
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
outcome = execution.run_study(OpenStudy(spec), out, on_note=print)
print(len(outcome.failed))
"""


@pytest.mark.slow
def test_thirty_kills_change_no_byte(tmp_path):
    def run(out, kills):
        command = [sys.executable, "-c", KILLED, str(out), str(kills)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(tmp_path / "whole", 0) == "0\n"
    *notes, failed = run(tmp_path / "killed", 30).splitlines()
    assert failed == "0"
    # Nothing was damaged.
    assert all(re.fullmatch(r"\d+ of 80 replays are there; \d+ run now", note) for note in notes)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "killed").iterdir()}
    assert names == {path.name for path in (tmp_path / "whole").iterdir()}


# Reading


@pytest.mark.slow
def test_a_damaged_folder_is_one_clear_line_of_compare(tmp_path):
    """Each file of a study, damaged at random: it is named, or its content is what it was."""
    rng = random.Random(4)
    out = write(tmp_path / "out", failed=CELLS[:1])
    before = compare(out).comparison
    for _ in range(300):
        path = out / rng.choice(("study.json", "trajectories.parquet", "failures.json"))
        sound = path.read_bytes()
        path.write_bytes(damages(rng, sound))
        said = refusal(compare, out)
        if said:
            assert str(path) in said
            assert "\n" not in said
        else:
            assert compare(out).comparison == before
        path.write_bytes(sound)
    for name in ("trajectories.parquet", "study.json"):
        path = out / name
        sound = path.read_bytes()
        path.unlink()
        with pytest.raises(IntegrityError, match=f"{name}: no such file"):
            compare(out)
        path.mkdir()
        with pytest.raises(IntegrityError, match=name):
            compare(out)
        path.rmdir()
        path.write_bytes(sound)
    assert compare(out).comparison == before


ODD = (
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    ["a", 1],
    {"a": 1.0},
    "live",
)
KEYS = ("objective", "constraints", "kind", "workers", "table_seed", "initial", "sources", "name")


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def spoil(rng, raw):
    """Leave a value of a header out, put a strange one in its place, or one more key beside it."""
    *path, last = rng.choice([p for p in places(raw) if p and p[0] != "results"])
    inner = raw
    for key in path:
        inner = inner[key]
    if rng.random() < 0.2:
        del inner[last]
    elif rng.random() < 0.3 and isinstance(inner, dict):
        inner[rng.choice(KEYS)] = rng.choice(ODD)
    else:
        inner[last] = rng.choice(ODD)


def spoilt(rng, frame):
    """Return trials of which a column is absent, of another kind or name, or rows are."""
    name, odd = rng.choice(list(frame.columns)), rng.choice([None, "x", 7, -1.5, math.inf, b"x"])
    return rng.choice(
        [
            frame.drop(columns=name),
            frame.assign(**{name: [odd] * len(frame)}),
            frame.rename(columns={name: rng.choice(list(frame.columns))}),
            frame.iloc[rng.sample(range(len(frame)), rng.randrange(len(frame)))],
            pd.concat([frame, frame]),
        ]
    )


@pytest.mark.slow
def test_what_a_stranger_writes_with_fitting_sums_is_read_or_named(tmp_path, monkeypatch):
    rng = random.Random(6)
    out = write(tmp_path / "out")
    sound, frame = (out / "study.json").read_text(), pd.read_parquet(out / "trajectories.parquet")
    monkeypatch.setattr("hpobench_llm.report.compare.write_report", lambda *_, **__: None)
    said = []
    for number in range(160):
        raw, trials = json.loads(sound), frame
        form = raw.pop("format")
        raw.pop("sha256")
        if number % 2:
            trials = spoilt(rng, frame)
        else:
            spoil(rng, raw)
        try:
            trials.to_parquet(out / "trajectories.parquet")
        except (ValueError, TypeError):  # no Parquet file can hold it
            continue
        if "results" in raw:
            raw["results"]["trajectories.parquet"] = sha256_of_file(out / "trajectories.parquet")
        whole = {"format": form, "sha256": sha256_of_text(canonical_json(raw)), **raw}
        (out / "study.json").write_text(json.dumps(whole))
        try:
            compare(out)
        except HpobenchError as error:
            said.append(str(error))
    assert not [line for line in said if "\n" in line]
    assert 80 < len(said) < 160


def test_a_bound_that_no_trial_knows_of_is_named(tmp_path):
    out = write(tmp_path / "out")
    raw = json.loads((out / "study.json").read_text())
    raw["study"]["constraints"] = {"cost_seconds": 1.0}
    body = {key: raw[key] for key in raw if key not in ("format", "sha256")}
    raw["sha256"] = sha256_of_text(canonical_json(body))
    (out / "study.json").write_text(json.dumps(raw))
    with pytest.raises(IntegrityError, match="column `constraint_cost_seconds` is missing"):
        compare(out)


def test_a_study_of_which_every_replay_failed_says_so(tmp_path):
    out = write(tmp_path / "out", failed=CELLS)
    with pytest.raises(IntegrityError, match=r"every replay failed; .*failures\.json says why"):
        compare(out)


def as_format_2(out):
    """Turn a study into what an earlier version wrote."""
    raw = json.loads((out / "study.json").read_text())
    kept = {key: raw[key] for key in ("study", "tables", "versions", "code")}
    write_json(out / "study.json", {"format": 2, **kept})
    frame = pd.read_parquet(out / "trajectories.parquet")
    frame.rename(columns=short_names(frame.columns)).to_parquet(out / "trajectories.parquet")
    return out


@pytest.mark.slow
def test_a_study_of_format_2_is_still_read(tmp_path):
    spec = StudySpec(**{**SPEC.plain(), "benchmarks": SPEC.benchmarks, "budget": 4})
    out = write(tmp_path / "out", spec=spec, failed=CELLS[:1])
    expected = compare(out).comparison
    assert compare(as_format_2(out)).comparison == expected
    with pytest.raises(SpecError, match="2, this version writes 3; give another --out"):
        StudyFolder(out, OpenStudy(spec))


def test_damage_to_a_study_of_format_2_raises_nothing_unforeseen(tmp_path):
    rng = random.Random(5)
    out = as_format_2(write(tmp_path / "out"))
    refused = 0
    for _ in range(150):
        path = out / rng.choice(("study.json", "trajectories.parquet"))
        sound = path.read_bytes()
        path.write_bytes(damages(rng, sound))
        said = refusal(read_trajectories, out)
        assert said == "" or (str(out) in said and "\n" not in said)
        refused += said != ""
        path.write_bytes(sound)
    assert refused > 100


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seeds", 10**9, ""),
        ("seeds", 1, "column `seed` holds 1, which is not the study's"),
        ("optimizers", ["random"], "column `optimizer` holds 'sobol', which is not the study's"),
        ("objectives", ["loss"], "column `loss` is missing"),
        ("title", "\ud800", "`title` holds half a letter"),
        ("seeds", "many", "study.json: `study.seeds`: expected an integer"),
        ("budget", math.nan, "study.json: `study.budget`: expected an integer"),
    ],
)
def test_a_header_of_format_2_that_does_not_fit_its_trials(tmp_path, key, value, words):
    out = as_format_2(write(tmp_path / "out"))
    raw = json.loads((out / "study.json").read_text())
    raw["study"][key] = value
    (out / "study.json").write_text(json.dumps(raw))
    assert re.search(words, refusal(read_trajectories, out))
    assert bool(words) == bool(refusal(read_trajectories, out))


@pytest.mark.parametrize("value", [math.nan, "\ud800", 1])
def test_a_header_without_a_sum_is_refused(tmp_path, value):
    out = write(tmp_path / "out")
    raw = json.loads((out / "study.json").read_text())
    raw |= {"sha256": "", "code": {"commit": value}}
    (out / "study.json").write_text(json.dumps(raw))
    assert refusal(compare, out).startswith(f"{out / 'study.json'}: ")


def test_a_name_that_was_overwritten_in_format_2_is_refused(tmp_path):
    out = as_format_2(write(tmp_path / "out"))
    raw = json.loads((out / "study.json").read_text())
    raw["study"]["objectives"] = ["seed"]
    write_json(out / "study.json", raw)
    with pytest.raises(
        IntegrityError, match="`seed` stood for 2 things in the version that wrote"
    ):
        compare(out)


def test_reading_live_results_opens_no_campaign(tmp_path, monkeypatch):
    """The campaign that `study.json` names would run code; what was recorded is enough."""
    raw = record(toy_bowl())
    assert record(recorded(raw)) == raw
    spec = StudySpec(**{**SPEC.plain(), "benchmarks": ("campaign.toml",), "kind": "live"})
    cells = [StudyCell("campaign.toml", c.optimizer, c.seed) for c in CELLS[:4]]
    out = tmp_path / "out"
    out.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(StudySpec, "load", lambda *_: toy_bowl())
        folder = StudyFolder(out, OpenStudy(spec))
        for cell, ours in zip(cells, CELLS, strict=False):
            folder.keep(cell, trials(ours))
        folder.merge({})
    (tmp_path / "campaign.toml").write_text("no campaign at all")
    monkeypatch.chdir(tmp_path)
    result = compare(out)
    assert [one.benchmark for one in result.comparison.benchmarks] == ["toy-bowl"]
    assert not result.comparison.benchmarks[0].optimum_known
    assert "live" in Path(out, "study.json").read_text()
