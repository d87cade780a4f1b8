"""Optimizers of other distributions: real installed ones, good, broken and hostile."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

GOOD = """
    import numpy as np
    from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion
    from hpobench_llm.optimizers.entry import Entry

    class Mine(SingleObjectiveOptimizer):
        entry = Entry(family="evolutionary", summary="draws at will")

        def set_up(self):
            self.rng = np.random.default_rng(self.seed)

        def suggest(self, number):
            return Suggestion(self.space.sample(self.rng))

        def learn(self, trial, evaluation):
            pass
"""
LIGHT = """
    from hpobench_llm.optimizers.entry import Entry

    MINE = Entry("heavy_module:Mine", "model-based", "", "listed without its library")
    LOST = Entry("heavy_module:Lost")
    NOTHING = 3
"""


def install(folder, name, points, **modules):
    """Install a distribution into a folder: its modules, and the dist-info that pip writes."""
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    info = folder / f"{name.replace('-', '_')}-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n")
    lines = "".join(f"{point} = {value}\n" for point, value in points.items())
    (info / "entry_points.txt").write_text(f"[hpobench_llm.optimizers]\n{lines}")


def python(folder, code):
    """Run code where the folder's distributions are installed; return what it printed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


REPLAY = """
    import hpobench_llm
    from hpobench_llm.errors import HpobenchError
    def said(name, **more):
        try:
            hpobench_llm.replay("toy-bowl", name, budget=5, seed=0, **more)
        except HpobenchError as error:
            return f"{type(error).__name__}: {error}"
        return "fine"
"""


@pytest.mark.slow
def test_a_plug_in_is_listed_replayed_and_studied_like_any_other(tmp_path):
    install(tmp_path, "my-dist", {"mine": "mine:Mine"}, mine=GOOD)
    (tmp_path / "s.toml").write_text(
        'name = "s"\ntitle = "s"\nbenchmarks = ["toy-bowl"]\noptimizers = ["mine", "random"]\n'
        "seeds = 2\nbudget = 5\n"
    )
    out = python(
        tmp_path,
        f"""
        if __name__ == "__main__":
            import hpobench_llm, json
            from hpobench_llm.cli import main
            frame = hpobench_llm.replay("toy-bowl", "mine", budget=9, seed=0).to_frame()
            print(len(frame), set(frame["optimizer"]))
            main(["ls", "optimizers"])
            main(["ls", "optimizers", "--json"])
            main(["replay", {str(tmp_path / "s.toml")!r}, "--out", {str(tmp_path / "o")!r}])
            print(json.load(open({str(tmp_path / "o" / "study.json")!r}))["versions"]["my-dist"])
        """,
    )
    first, rest = out.split("\n", 1)
    assert first == "9 {'mine'}"
    (row,) = [line for line in rest.splitlines() if line.startswith("  mine ")]
    assert row.split() == [
        "mine",
        "1",
        "-",
        "-",
        "-",
        "my-dist",
        "2.1",
        "-",
        "draws",
        "at",
        "will",
    ]
    assert '"distribution": "my-dist"' in rest
    assert "4 replays ran now" in rest
    assert rest.splitlines()[-1] == "2.1"


def test_nothing_is_imported_before_it_is_asked_for(tmp_path):
    heavy = "print('heavy')\n" + textwrap.dedent(GOOD)
    points = {"mine": "light:MINE", "other": "mine:Mine"}
    install(tmp_path, "my-dist", points, light=LIGHT, heavy_module=heavy, mine=GOOD)
    out = python(
        tmp_path,
        """
        import sys, hpobench_llm
        hpobench_llm.replay("toy-bowl", "random", budget=1, seed=0)
        names = hpobench_llm.list_optimizers()
        print("mine" in names, "asha" in names, len(names) == len(list(names)))
        print([m for m in ("light", "heavy_module", "mine") if m in sys.modules])
        print(names["mine"].summary, "|", names["mine"].distribution)
        print([m for m in ("light", "heavy_module", "mine") if m in sys.modules])
        hpobench_llm.replay("toy-bowl", "mine", budget=1, seed=0)
        """,
    )
    assert out.splitlines() == [
        "True True True",
        "[]",
        "listed without its library | my-dist",
        "['light']",
        "heavy",
    ]


@pytest.mark.slow
def test_a_broken_plug_in_breaks_nothing_else(tmp_path):
    modules = {
        "raises": "raise RuntimeError('no licence')",
        "leaves": "raise SystemExit(3)",
        "lacks": "import no_such_library",
        "light": LIGHT,
        "heavy_module": GOOD,
        "odd": textwrap.dedent(GOOD).replace('"evolutionary"', '"magic"'),
        "mine": GOOD,
    }
    points = {
        "raises": "raises:Mine",
        "leaves": "leaves:Mine",
        "lacks": "lacks:Mine",
        "nothing": "light:NOTHING",
        "lost": "light:LOST",
        "absent": "mine:Absent",
        "odd": "odd:Mine",
        "a/b": "mine:Mine",
        "random": "mine:Mine",
        "twice": "mine:Mine",
        "fine": "mine:Mine",
    }
    install(tmp_path, "bad-dist", points, **modules)
    install(tmp_path, "other-dist", {"twice": "mine:Mine"})
    reasons = {
        "raises": "RuntimeError: no licence (bad-dist 2.1)",
        "leaves": "SystemExit: 3 (bad-dist 2.1)",
        "lacks": "ModuleNotFoundError: No module named 'no_such_library' (bad-dist 2.1)",
        "nothing": "light:NOTHING is neither an Optimizer's class nor an Entry: 3",
        "absent": "AttributeError: module 'mine' has no attribute 'Absent' (bad-dist 2.1)",
        "odd": "ValueError: unknown 'magic'; known: baseline, random, direct search",
        "a/b": "letters, digits and . _ - only",
        "random (bad-dist)": "`random` is an optimizer of hpobench-llm's own: bad-dist 2.1 has",
        "twice": "bad-dist 2.1 and other-dist 2.1 both name an optimizer so",
    }
    out = python(
        tmp_path,
        REPLAY
        + """
    import json
    from hpobench_llm.cli import main
    main(["ls", "optimizers"])
    names = list(hpobench_llm.list_optimizers())
    print(json.dumps({name: said(name) for name in names if names.index(name) > 10}))
    print(said("raise"))
    """,
    )
    *listing, runs, unknown = out.splitlines()
    said = json.loads(runs)
    broken = listing[listing.index("plug-ins that cannot be used") + 1 :]
    assert len(broken) == len(reasons)
    for name, reason in reasons.items():
        (line,) = [line for line in broken if line.startswith(f"  {name}: ")]
        assert reason in line
        own = name.removesuffix(" (bad-dist)")
        assert said[name].startswith(f"OptimizerError: {own}: the plug-in cannot be used: ")
        assert reason in said[name]
    # Its columns can be read; that its class is missing is found out when it is built.
    assert any(line.startswith("  lost ") for line in listing)
    assert "module 'heavy_module' has no attribute 'Lost' (bad-dist 2.1)" in said["lost"]
    assert said["fine"] == "fine"
    assert unknown == "UnknownNameError: unknown optimizer 'raise'; did you mean 'raises'?"


HOSTILE = {
    "def suggest(self, number): raise KeyError('lr')": "`suggest` of trial 0 raised KeyError:",
    "def suggest(self, number): raise SystemExit(0)": "`suggest` of trial 0 raised SystemExit: 0",
    "def learn(self, trial, e): 1 / 0": "`learn` of trial 0 raised ZeroDivisionError",
    "def set_up(self): raise OSError('no disk')": "evil could not be built: OSError: no disk",
    "def check(self): return self.n": "evil could not be built: AttributeError",
    "def suggest(self, number): return {'rank': 1}": "a Suggestion or None, got dict {'rank'",
    "def suggest(self, number): return Suggestion([1])": "a dict of values by name, got list [1]",
    "def suggest(self, number): return Suggestion({})": "missing: rank, lr, dropout",
    "WITH lr=float('nan')": "`lr`: a finite number is expected, got nan",
    "WITH lr=7": "`lr`: 7 is not on its axis",
    "WITH lr='1e-3'": "`lr`: a number is expected, got '1e-3'",
    "WITH lr=True": "`lr`: a number is expected, got True",
    "WITH lr=np.ones(2)": "`lr`: a number is expected, got array",
    "WITH size=3": "unknown hyperparameter 'size'",
    "WITH }, {'stepp': 1": "no fidelity axis str 'stepp'; known: step",
    "WITH }, {'step': float('inf')": "fidelity `step`: float inf is not within [1, 8]",
    "WITH }, {'step': 9": "fidelity `step`: int 9 is not within [1, 8]",
    "WITH }, 'step', *{": "a fidelity is a dict of values by axis, got str 'step'",
    "WITH }, None, '0', *{": "`resumes` is the number of a trial, got str '0'",
    "WITH }, None, 4, *{": "trial 0 resumes trial 4, which is not done",
    "def ask(self): return 1": "has an `ask` or a `tell` of its own",
    "def tell(self, trial, evaluation): pass": "has an `ask` or a `tell` of its own",
}


def test_a_hostile_plug_in_is_told_clearly(tmp_path):
    modules, points = {}, {}
    for number, body in enumerate(HOSTILE):
        if body.startswith("WITH "):
            change = body.removeprefix("WITH ")
            if change.startswith("}"):
                change = "**{}" + change
                drawn = f"Suggestion({{**self.space.sample(self.rng), {change}}})"
            else:
                drawn = f"Suggestion(self.space.sample(self.rng) | dict({change}))"
            body = f"def suggest(self, number): return {drawn}"
        modules[f"evil{number}"] = f"{textwrap.dedent(GOOD)}\n    {body}\n"
        points[f"evil{number}"] = f"evil{number}:Mine"
    install(tmp_path, "evil-dist", points, **modules)
    code = REPLAY + f"    for i in range({len(HOSTILE)}): print(said(f'evil{{i}}'))\n"
    said = python(tmp_path, code).splitlines()
    for number, (wanted, got) in enumerate(zip(HOSTILE.values(), said, strict=True)):
        assert got.startswith("OptimizerError: "), got
        assert wanted.replace("evil", f"evil{number}") in got


def test_what_a_plug_in_does_to_what_it_is_told_changes_no_record(tmp_path):
    body = """
        def learn(self, trial, evaluation):
            trial.config["lr"] = 0.0
            evaluation.metrics["val_loss"] = -1.0
    """
    text = f"{textwrap.dedent(GOOD)}\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    install(tmp_path, "evil-dist", {"evil": "evil:Mine"}, evil=text, mine=GOOD)
    out = python(
        tmp_path,
        """
        import hpobench_llm, mine
        told = [
            hpobench_llm.replay("toy-bowl", who, budget=9, seed=0).to_frame()
            for who in ("evil", mine.Mine)
        ]
        own = ["optimizer", "optimizer_version", "optimizer_seconds"]
        kept = [f.drop(columns=own) for f in told]
        print(kept[0].equals(kept[1]), told[1]["optimizer"][0])
        """,
    )
    assert out == "True Mine\n"


@pytest.mark.slow
def test_a_study_goes_on_beside_a_plug_in_that_fails_late(tmp_path):
    body = "    def learn(self, trial, e): self.told = 1 / (3 - trial.number)\n"
    text = f"{textwrap.dedent(GOOD)}\n{body}"
    install(tmp_path, "evil-dist", {"evil": "evil:Mine"}, evil=text)
    (tmp_path / "s.toml").write_text(
        'name = "s"\ntitle = "s"\nbenchmarks = ["toy-bowl"]\noptimizers = ["evil", "random"]\n'
        "seeds = 1\nbudget = 5\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hpobench_llm", "replay", str(tmp_path / "s.toml")),
            *("--out", str(tmp_path / "out")),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "`learn` of trial 3 raised ZeroDivisionError" in done.stdout + done.stderr
    assert "1 of 2 are in" in done.stdout


@pytest.mark.parametrize("what", [3, int, "Random"])
def test_only_a_name_or_a_class_of_an_optimizer_is_replayed(what):
    import hpobench_llm
    from hpobench_llm.errors import HpobenchError

    with pytest.raises(
        HpobenchError, match=r"class of an optimizer is expected|did you mean 'random'"
    ):
        hpobench_llm.replay("toy-bowl", what, budget=1, seed=0)
