"""Optimizers without a package: `module:Class` in a study, in Python, in a script and typed in."""

import linecache
import os
import subprocess
import sys
import textwrap
from importlib import import_module

import pytest

from hpobench_llm.errors import ConfigurationError, SpecError
from hpobench_llm.optimizers import references
from hpobench_llm.optimizers.random.random_search import RandomSearch
from hpobench_llm.optimizers.references import class_at, reference_to
from hpobench_llm.optimizers.registry import entry, name_of
from hpobench_llm.report.compare import compare
from hpobench_llm.studies.checks import read_study
from hpobench_llm.studies.code import code_of
from hpobench_llm.studies.execution import run_study
from hpobench_llm.studies.results import read_trajectories

MINE = """
    import numpy as np
    from shifts_of_mine import SHIFT
    from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion

    class Mine(SingleObjectiveOptimizer):
        def set_up(self):
            self.rng = np.random.default_rng(self.seed + SHIFT)

        def suggest(self, number):
            return Suggestion(self.space.sample(self.rng))

        def learn(self, trial, evaluation):
            pass
"""
SPEC = """
name = "mine"
title = "Mine"
benchmarks = ["toy-bowl"]
optimizers = ["{optimizer}", "random"]
seeds = 2
budget = 4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module, what it imports, and a study; nothing of it is imported before."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for module in ("my_search", "shifts_of_mine"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    (tmp_path / "my_search.py").write_text(textwrap.dedent(MINE))
    (tmp_path / "shifts_of_mine.py").write_text("SHIFT = 1\n")
    (tmp_path / "s.toml").write_text(SPEC.format(optimizer="my_search:Mine"))
    yield tmp_path
    for module in ("my_search", "shifts_of_mine"):
        sys.modules.pop(module, None)


@pytest.mark.slow
def test_a_module_beside_the_study_is_run_in_other_processes(folder):
    study, out = read_study(folder / "s.toml"), folder / "out"
    assert run_study(study, out, processes=2).ran == 4
    _, frame = read_trajectories(out)
    mine = frame[frame["optimizer"] == "my_search:Mine"]
    assert len(mine) == 8
    assert set(mine["optimizer_version"]) == {"my_search"}
    assert run_study(study, out).ran == 0
    # What it imports from its folder is its code too.
    (folder / "shifts_of_mine.py").write_text("SHIFT = 2\n")
    notes = []
    assert (
        run_study(read_study(folder / "s.toml"), out, processes=1, on_note=notes.append).ran == 2
    )
    assert notes[0] == "the code of my_search:Mine has changed since: 2 replays run again"
    # To read results no code is needed, and none is run.
    (folder / "my_search.py").write_text("raise SystemExit('was imported')\n")
    del sys.modules["my_search"]
    assert compare(out).comparison.finished == 4
    assert "my_search" not in sys.modules


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (
            "my_serach:Mine",
            "there is no module my_serach, neither beside the study's file nor installed; did you "
            "mean 'my_search'?",
        ),
        ("my_search.py:Mine", "no module my_search.py, neither beside the study's file"),
        ("my_search.py:Mine", "; did you mean 'my_search'?"),
        (
            "zzqqxxjj:Mine",
            "there is no module zzqqxxjj, neither beside the study's file nor installed",
        ),
        ("my_search:Mien", "my_search has no 'Mien'; did you mean 'Mine'?"),
        ("my_search:Suggestion", "is no subclass of Optimizer: <class 'hpobench_llm"),
        ("my_search:Mine.SHIFT", "my_search has no 'Mine.SHIFT'"),
        ("bad_search:Mine", "bad_search cannot be imported: ZeroDivisionError: division by zero"),
        (
            "gone_search:Mine",
            "gone_search cannot be imported: ModuleNotFoundError: No mod",
        ),
        ("quits_search:Mine", "quits_search cannot be imported: SystemExit: 3"),
        ("__main__:Mine", "was typed into another session"),
        (":Mine", "cannot be imported: ValueError: Empty module name"),
    ],
)
def test_what_lies_nowhere_is_one_clear_line(folder, optimizer, words):
    (folder / "bad_search.py").write_text("1 / 0\n")
    (folder / "gone_search.py").write_text("import no_such_library\n")
    (folder / "quits_search.py").write_text("raise SystemExit(3)\n")
    (folder / "s.toml").write_text(SPEC.format(optimizer=optimizer))
    with pytest.raises(SpecError) as error:
        read_study(folder / "s.toml")
    assert error.value.exit_status == 2
    assert str(error.value).startswith(f"{folder / 's.toml'}: `optimizers`: {optimizer}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_is_named_by_where_it_lies(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    Mine = import_module("my_search").Mine
    assert name_of(Mine) == "my_search:Mine"
    assert class_at("my_search:Mine") is Mine
    assert entry("my_search:Mine+stop-no-improve:3").stops
    assert (name_of(RandomSearch), name_of("gp")) == ("random", "gp")

    class Inside(RandomSearch):
        pass

    with pytest.raises(ConfigurationError, match="Inside is made inside a function"):
        reference_to(Inside)
    with pytest.raises(ConfigurationError, match="a name or class of an optimizer is expected"):
        name_of(3)


def test_the_text_of_what_was_typed_in_is_its_code(monkeypatch):
    monkeypatch.setattr(references, "_script", lambda: references.MAIN)

    def typed(text, known=True):
        name = f"<cell {len(text)}>"
        main = {"__name__": "__main__"}
        exec(compile(textwrap.dedent(text), name, "exec"), main)
        if known:
            lines = textwrap.dedent(text).splitlines(keepends=True)
            monkeypatch.setitem(linecache.cache, name, (len(text), None, lines, name))
        return reference_to(main["Typed"])

    text = """
        from hpobench_llm.optimizers.random.random_search import RandomSearch
        WIDTH = 1
        class Typed(RandomSearch):
            def suggest(self, number):
                return super().suggest(number + WIDTH)
    """
    name = typed(text)
    assert name == "__main__:Typed"
    before = code_of(name)
    assert code_of(typed(text)) == before
    assert code_of(typed(text.replace("WIDTH = 1", "WIDTH = 22"))) != before
    with pytest.raises(ConfigurationError, match="its text cannot be read here"):
        code_of(typed(text.replace("WIDTH = 1", "WIDTH = 333"), known=False))


SCRIPT = """
import sys
import hpobench_llm
from hpobench_llm.optimizers.random.random_search import RandomSearch

class Scripted(RandomSearch):
    pass

if __name__ == "__main__":
    study = hpobench_llm.Study(["toy-bowl"], [Scripted, "sobol"], seeds=2, budget=3)
    result = study.run(sys.argv[1], processes=2)
    print(sorted(ranked.optimizer for ranked in result.comparison.ranking))
"""


@pytest.mark.slow
def test_a_class_of_a_script_goes_by_the_scripts_name(tmp_path):
    def run(name):
        (tmp_path / name).write_text(SCRIPT)
        return subprocess.run(
            [sys.executable, str(tmp_path / name), str(tmp_path / "out")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )

    done = run("my_script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['my_script:Scripted', 'sobol']\n"
    assert "other processes cannot import it as `my-script`" in run("my-script.py").stderr
