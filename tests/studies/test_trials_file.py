"""`trials.csv` grows by whole lines, and what is no such file is set aside."""

from dataclasses import replace as changed
from pathlib import Path
from threading import Thread

import pytest

from hpobench_llm.errors import HpobenchError, SpecError
from hpobench_llm.metrics import Metric
from hpobench_llm.replaying.replay import replay
from hpobench_llm.studies.study import StudyCell
from hpobench_llm.studies.trials_file import TrialsFile, TrialsOfReplay, columns_of, read_rows

LOSS = Metric(name="val_loss", unit="", direction="minimize", worst=9.0)
COLUMNS = columns_of(["rank", "lr", "dropout"], ["step"], ["val_loss"], "study.toml")


def write(path: Path, optimizer: str = "random", budget: int = 3, columns=COLUMNS) -> str:
    file = TrialsFile(path, columns)
    problem = file.begin()
    trials = TrialsOfReplay(file, StudyCell("b", optimizer, 0), "toy-bowl", LOSS)
    replay("toy-bowl", optimizer, budget=budget, seed=0, on_trial=trials.add)
    return problem


def test_a_trial_is_written_once_and_a_line_cut_short_is_taken_off(tmp_path):
    path = tmp_path / "trials.csv"
    assert write(path) == ""
    whole = path.read_text()
    assert write(path) == ""
    assert path.read_text() == whole
    rows = read_rows(path)
    best = [min(float(row["val_loss"]) for row in rows[: n + 1]) for n in range(3)]
    assert [float(row["best"]) for row in rows] == best
    for cut in range(len(whole) - 30, len(whole)):
        path.write_text(whole[:cut])
        assert write(path) == ""
        assert [row | {"time": ""} for row in read_rows(path)] == [
            row | {"time": ""} for row in rows
        ]


def test_a_cost_measured_anew_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "trials.csv"
    write(path)
    before = read_rows(path)
    trials = TrialsOfReplay(
        TrialsFile(path, COLUMNS), StudyCell("b", "random", 0), "toy-bowl", LOSS
    )

    def slower(trial):
        frame = trial.frame.assign(cost_seconds=77.0 + trial.frame["trial"])
        trials.add(changed(trial, frame=frame))

    replay("toy-bowl", "random", budget=4, seed=0, on_trial=slower)
    assert len(path.read_text().splitlines()) == 1 + 4  # at once, not after the next start
    rows = read_rows(path)
    assert [row["cost_seconds"] for row in rows] == ["77.0", "78.0", "79.0", "80.0"]
    assert [row["lr"] for row in rows[:3]] == [row["lr"] for row in before]


def test_replacing_loses_no_line_of_a_neighbour(tmp_path):
    path = tmp_path / "trials.csv"
    write(path)
    rows = read_rows(path)

    def neighbour(number):
        file = TrialsFile(path, COLUMNS)
        for trial in range(20):
            row = rows[0] | {"optimizer": f"o{number}", "trial": str(trial)}
            file.append(row)
            file.replace(row | {"cost_seconds": "5.0"})

    threads = [Thread(target=neighbour, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_text().splitlines()) == 1 + 3 + 3 * 20
    assert [row["cost_seconds"] for row in read_rows(path)[3:]] == ["5.0"] * 60


def test_a_study_that_grows_gets_the_new_columns(tmp_path):
    path = tmp_path / "trials.csv"
    write(path)
    before = read_rows(path)
    more = columns_of(["rank", "lr", "dropout", "z"], ["step"], ["val_loss"], "")
    assert write(path, "sobol", columns=more) == ""
    assert [row["trial"] for row in read_rows(path)] == ["0", "1", "2"] * 2
    assert [{k: row[k] for k in COLUMNS} for row in read_rows(path)[:3]] == before
    assert {row["z"] for row in read_rows(path)} == {""}


@pytest.mark.parametrize("content", ["a,b\n1,2\n", 'time,"\n', "{}\n", "\x00\n", "\n\n"])
def test_another_file_is_set_aside(tmp_path, content):
    path = tmp_path / "trials.csv"
    path.write_text(content)
    assert "set aside as trials.csv.damaged" in write(path)
    assert (tmp_path / "trials.csv.damaged").read_text() == content
    assert len(read_rows(path)) == 3


@pytest.mark.parametrize("column", ["status", "trial", "val_loss", "best", "finished_seconds"])
def test_of_a_damaged_file_the_whole_trials_are_kept(tmp_path, column):
    path = tmp_path / "trials.csv"
    write(path)
    rows, lines = read_rows(path), path.read_text().splitlines(keepends=True)
    cells = lines[2].rstrip("\n").split(",")
    cells[COLUMNS.index(column)] = "3.x"
    damaged = "".join([*lines[:2], ",".join(cells) + "\n", *lines[3:]])
    path.write_text(damaged)
    said = TrialsFile(path, COLUMNS).begin()
    assert "set aside as trials.csv.damaged, and 2 whole trials are kept" in said
    assert read_rows(path) == [rows[0], rows[2]]
    assert (tmp_path / "trials.csv.damaged").read_text() == damaged


def test_what_cannot_be_written_is_one_line(tmp_path):
    for path in (Path("/dev/full"), tmp_path / "none" / "trials.csv"):
        with pytest.raises(HpobenchError, match=r"cannot be written.*that have ended are kept"):
            TrialsFile(path, COLUMNS).append({"time": "now"})
    with pytest.raises(HpobenchError, match="cannot be written"):
        TrialsFile(tmp_path, COLUMNS).begin()
    with pytest.raises(SpecError, match="two columns called 'step'"):
        columns_of(["step"], ["step"], [], "study.toml")
