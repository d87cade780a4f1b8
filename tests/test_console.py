"""Streams whose reader has left, or that were closed: the work goes on, the status is its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
