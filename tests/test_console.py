"""The command lines' end: one line for an error, and a status that tells the truth."""

import os
import re
import subprocess
import sys

import pytest

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.cli import main
from hpobench_llm.collect.cli import main as collect_grid
from hpobench_llm.console import run_command

WORK = """
import sys
from pathlib import Path
from hpobench_llm.console import run_command

def work():
    for number in range(20000):
        print("progress", number, file=sys.stderr)
        print("data", number)
    Path(sys.argv[1]).write_text("finished")
    return int(sys.argv[2])

sys.exit(run_command("x", work))
"""


def close_at_once():
    """Return the writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("broken", ["stdout", "stderr", "both"])
@pytest.mark.parametrize("status", [0, 1])
def test_the_work_goes_on_when_nobody_listens(tmp_path, broken, status):
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    pipe = close_at_once()
    streams |= {name: pipe for name in streams if broken in (name, "both")}
    command = [sys.executable, "-c", WORK, tmp_path / "out", str(status)]
    done = subprocess.run(command, **streams)
    os.close(pipe)
    assert done.returncode == status
    assert (tmp_path / "out").read_text() == "finished"


def test_the_work_goes_on_without_stderr(tmp_path):
    command = [sys.executable, "-c", WORK, tmp_path / "out", "0"]
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"data {number}" for number in range(20000)]


def test_data_that_cannot_be_written_are_an_error(tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", WORK, tmp_path / "out", "0"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "x: error: <stdout>: No space left on device"
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full)
    assert done.returncode == 0  # progress is no data


def test_a_file_that_cannot_be_used_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")

    def fails(command):
        assert run_command("x", command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert fails((tmp_path / "none").read_text) == (
        f"x: error: {tmp_path / 'none'}: No such file or directory\n"
    )
    below = tmp_path / "file" / "below"
    assert str(tmp_path / "file") in fails(lambda: write_atomically(below, "text"))
    assert fails(lambda: write_atomically(tmp_path, "text")).startswith(f"x: error: {tmp_path}: ")


COMMANDS = {
    "replay": [main, "replay", "{study}", "--out", "{below}"],
    "compare": [main, "compare", "{below}"],
    "check": [main, "check", "{below}"],
    "verify": [main, "verify", "lora-nano", "--campaign", "{below}"],
    "make-base": [main, "make-base", "{base}", "--out", "{below}"],
    "make-base of none": [main, "make-base", "{below}"],
    "import": [main, "import", "generic", "--spec", "{spec}", "--out", "{below}"],
    "import of none": [main, "import", "generic", "--spec", "{below}", "--out", "o"],
    "fit": [main, "fit", "{below}", "--out", "o"],
    "collect-grid": [collect_grid, "{campaign}", "--out", "{below}"],
    "collect-grid of none": [collect_grid, "{below}", "--out", "o"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_the_file_that_it_cannot_use(tmp_path, project_root, capsys, command):
    (tmp_path / "file").write_text("")
    (tmp_path / "study.toml").write_text(
        "name = 's'\ntitle = 'S'\nbenchmarks = ['toy-bowl']\noptimizers = ['random']\n"
        "seeds = 1\nbudget = 2\n"
    )
    (tmp_path / "runs.csv").write_text("lr,loss\n0.1,1\n0.2,2\n")
    (tmp_path / "import.toml").write_text(
        "name = 's'\ndescription = 'S'\nlicence = 'none'\nfile = 'runs.csv'\n"
        "hyperparameters = {lr = {}}\nmetrics = {loss = {direction = 'minimize'}}\n"
    )
    places = {
        "study": tmp_path / "study.toml",
        "spec": tmp_path / "import.toml",
        "below": tmp_path / "file" / "below",  # no folder can be made or file be read there
        "base": project_root / "collect" / "bases" / "tiny.toml",
        "campaign": project_root / "collect" / "smoke.toml",
    }
    program, *arguments = COMMANDS[command]
    assert program([argument.format(**places) for argument in arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"(hpobench-llm|collect-grid): error: ", last)
    assert str(tmp_path / "file") in last


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        write_atomically(tmp_path / "a.json", "{}")
    assert list(tmp_path.iterdir()) == []
