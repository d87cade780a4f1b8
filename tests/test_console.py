"""Streams whose reader has left, or that were closed: the work goes on, the status is its own."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.cli import main
from hpobench_llm.cli.collect import main as collect_grid
from hpobench_llm.console import run_command
from hpobench_llm.errors import DataError
from hpobench_llm.progress import Progress

PROGRAM = """
import sys
from hpobench_llm import progress
from hpobench_llm.console import run_command, say

progress.SECONDS_BETWEEN_LINES = 0.0

def command():
    with progress.Progress(1000, "work") as bar:
        for done in range(1000):
            say("x" * 200)
            print("y" * 200)
            bar.advance_to(done)
    open(sys.argv[1], "w").write("done")
    return int(sys.argv[2])

sys.exit(run_command("program", command))
"""


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("closing", ["2>&1 | head -1", "2>&-", ">&- 2>&-", "| head -1"])
def test_the_work_goes_on_without_its_readers(tmp_path, closing, status):
    done = tmp_path / "done"
    line = f'"$0" -c "$1" "$2" "$3" {closing}; exit ${{PIPESTATUS[0]}}'
    command = ["bash", "-c", line, sys.executable, PROGRAM, str(done), str(status)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == status, ended.stderr
    assert done.read_text() == "done"
    assert "Exception ignored" not in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_a_full_disk_behind_stdout_is_an_error():
    code = "import sys; from hpobench_llm.console import run_command as r\n"
    code += "sys.exit(r('program', lambda: print('x') or 0))"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode in (2, 120)
    assert ended.stderr.startswith("program: error: ")
    assert "No space left" in ended.stderr


def test_what_stdout_cannot_encode_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "utf-8"))
    assert run_command("program", lambda: print("folder be\udcffst") or 0) == 0
    assert written.getvalue() == b"folder be\\udcffst\n"


def test_an_error_of_the_system_names_its_file(tmp_path, capsys):
    missing = tmp_path / "missing" / "file"
    assert run_command("program", lambda: missing.read_text() and 0) == 2
    assert capsys.readouterr().err == f"program: error: {missing}: No such file or directory\n"


def test_no_memory_and_an_error_of_ours_are_one_line(capsys):
    def command(error):
        raise error

    assert run_command("program", lambda: command(MemoryError())) == 2
    assert run_command("program", lambda: command(DataError("row 3"))) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "program: error: the memory of this machine does not suffice"
    assert said[1] == "program: error: row 3"


def test_a_bar_on_a_terminal_that_has_gone_ends_nothing(monkeypatch):
    class Terminal:
        gone = False

        def isatty(self):
            return True

        def write(self, text):
            if self.gone:
                raise OSError(5, os.strerror(5))
            return len(text)

        def flush(self):
            self.write("")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(3, "work") as bar:
        bar.advance_to(1)
        terminal.gone = True
        for done in (2, 3):
            bar.advance_to(done, "text")
    assert bar.done == 3


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
