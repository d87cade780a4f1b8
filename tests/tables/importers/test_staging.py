"""An import that is killed loses no earlier table, and the next one clears up after it."""

import multiprocessing
import os
from pathlib import Path

import pytest

from hpobench_llm.errors import DataError
from hpobench_llm.tables.importers.command import import_tables
from hpobench_llm.tables.importers.staging import PREFIX, staging
from hpobench_llm.tables.table import Table

SPEC = """name = "{name}"
description = "d"
file = "{name}.csv"
task = "t"
[hyperparameters.lr]
[metrics.loss]
direction = "minimize"
"""


def bring(folder, name, loss):
    (folder / f"{name}.csv").write_text(f"lr,t,loss\n1,a,{loss}\n1,b,{loss}\n")
    (folder / "spec.toml").write_text(SPEC.format(name=name))
    return import_tables("generic", spec=folder / "spec.toml", out=folder / "out")


def killed_at(folder, renames):
    """Import in this process, and end it at once after so many renames of whole folders."""
    rename, left = Path.rename, [renames]

    def rename_or_die(path, target):
        if path.is_dir():
            if not left[0]:
                os._exit(9)
            left[0] -= 1
        return rename(path, target)

    Path.rename = rename_or_die
    bring(folder, "mine", 2)
    os._exit(0)


def losses(folder):
    return {
        p.name: Table.load(p).frame["loss"][0] for p in sorted((folder / "out").glob("mine-*"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("renames", range(5))  # two tables: each is moved away, and in
def test_a_kill_between_two_renames(tmp_path, renames):
    bring(tmp_path, "mine", 1)
    child = multiprocessing.get_context("fork").Process(target=killed_at, args=(tmp_path, renames))
    child.start()
    child.join()
    assert child.exitcode == (9 if renames < 4 else 0)
    left = list((tmp_path / "out").glob(f"{PREFIX}*"))
    assert len(left) == (renames < 4)
    bring(tmp_path, "other", 5)  # any import of the shelf clears up
    assert not list((tmp_path / "out").glob(f"{PREFIX}*"))
    new = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}[renames]
    assert losses(tmp_path) == {"mine-a": 1 + (new > 0), "mine-b": 1 + (new > 1)}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "mine-a",
        "mine-b",
        "other-a",
        "other-b",
    }
    bring(tmp_path, "mine", 3)
    assert losses(tmp_path) == {"mine-a": 3, "mine-b": 3}


def test_what_ends_an_import_between_two_renames_undoes_the_first(tmp_path, monkeypatch):
    bring(tmp_path, "mine", 1)
    rename = Path.rename

    def interrupted(path, target):
        if path.parent.name.startswith(PREFIX) and path.name == "mine-a":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path, "mine", 2)
    assert losses(tmp_path) == {"mine-a": 1, "mine-b": 1}
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_two_imports_do_not_clear_each_other_away(tmp_path):
    with staging(tmp_path / "out") as stage:
        (stage.folder / "half").mkdir()
        with pytest.raises(DataError, match="another import is writing there"):
            bring(tmp_path, "mine", 1)
        assert (stage.folder / "half").is_dir()
    assert len(bring(tmp_path, "mine", 1)) == 2


def test_a_shelf_that_cannot_be_written(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"out: cannot be written"):
        bring(tmp_path, "mine", 1)
