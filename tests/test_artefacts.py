"""Files are whole or absent, and what a killed writer leaves is removed once it is dead."""

import os
import signal
import time

import pytest

from hpobench_llm.artefacts import remove_strays, write_atomically
from tests.forks import forked


@pytest.fixture
def writer(tmp_path):
    """The process id of one that is in the midst of writing `table.json`, for ever."""

    def write():
        os.fsync = lambda _: time.sleep(600)
        write_atomically(tmp_path / "table.json", "half")

    child = forked(write)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in tmp_path.glob(".table.json.*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child


def test_strays_go_once_their_writer_is_dead(tmp_path, writer):
    others = [
        tmp_path / name for name in ("table.json.backup.x", ".tables.abcdefgh", "table.json.x")
    ]
    for path in others:
        path.write_text("ours")
    (stray,) = set(tmp_path.glob(".table.json.????????")) - {*others}
    remove_strays(tmp_path, "table.json")
    assert stray.exists()
    write_atomically(tmp_path / "table.json", "whole")
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    remove_strays(tmp_path, "table.json")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "table.json"])
    assert (tmp_path / "table.json").read_text() == "whole"


def test_a_writer_whose_file_was_taken_for_a_stray_makes_another(tmp_path, monkeypatch):
    """Between making the file and locking it, a neighbour may clean."""
    real, cleaned = os.fdopen, []

    def opened(descriptor, mode):
        if not cleaned:
            cleaned.append(remove_strays(tmp_path, "file"))
        return real(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", opened)
    write_atomically(tmp_path / "file", "whole")
    assert cleaned
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "whole"
