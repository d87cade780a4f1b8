"""The shipped contract fails whoever breaks it, at the promise that was broken, and no other."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from hpobench_llm.optimizers.base import Optimizer, SingleObjectiveOptimizer, Suggestion
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.testing import OptimizerContract
from hpobench_llm.testing.elsewhere import FORBIDDEN

PROMISES = [name for name in dir(OptimizerContract) if name.startswith("test_")]


class Sound(SingleObjectiveOptimizer):
    def set_up(self):
        self.rng = np.random.default_rng(self.seed)

    def suggest(self, number):
        return Suggestion(self.space.sample(self.rng))

    def learn(self, trial, evaluation):
        pass


class SoundTransfer(Sound):
    entry = Entry(family="transfer", transfer=True)

    def check(self):
        super().check()
        assert self.sources

    def suggest(self, number):
        if number == 0:
            source = self.sources[-1]
            losses = [e.loss(self.objective) for e in source.evaluations]
            return Suggestion(source.configs[int(np.argmin(losses))])
        return super().suggest(number)


class OffTheSpace(Sound):
    def suggest(self, number):
        config = super().suggest(number).config
        return Suggestion(config | {"lr": 7.0} if "lr" in config else config)


class Impatient(Sound):
    def suggest(self, number):
        return None if number >= 15 else super().suggest(number)


class OtherInAnotherProcess(Sound):
    def set_up(self):
        self.rng = np.random.default_rng(hash("salted by the process") % 2**32)


class Global(Sound):
    def suggest(self, number):
        random.random()
        return super().suggest(number)


class Loud(Sound):
    def suggest(self, number):
        print("a line of debugging")
        return super().suggest(number)


class LooksAtTheTable(Sound):
    def suggest(self, number):
        from hpobench_llm.benchmarks.toy import toy_sphere

        toy_sphere()
        return super().suggest(number)


class NeedsAWinner(Sound):
    best = None

    def learn(self, trial, evaluation):
        if evaluation.status == "ok":
            self.best = trial
        elif self.best is None:
            raise RuntimeError("nothing to build on")


class BlindToDirection(Sound):
    worst = 0.0

    def suggest(self, number):
        return Suggestion(self.space.from_unit(np.full((1, len(self.space)), self.worst))[0])

    def learn(self, trial, evaluation):
        value = evaluation.metrics.get(self.objective.name, 0.0)
        self.worst = 0.9 if value > 0 else 0.1


class TakesTwo(Optimizer):
    set_up, suggest, learn = Sound.set_up, Sound.suggest, Sound.learn


class ChangesItsDesign(Sound):
    def set_up(self):
        super().set_up()
        for config in self.given:
            config["rank"] = 1

    def __init__(self, *args, **kwargs):
        self.given = kwargs["initial"]
        super().__init__(*args, **kwargs)


class SaysSequential(Sound):
    entry = Entry(sequential=True)


class SaysEnds(Sound):
    entry = Entry(ends=True)


class SaysFidelity(Sound):
    entry = Entry(fidelity=True)


class SaysConstraints(Sound):
    entry = Entry(constraints=True)


class SaysTransfer(Sound):
    entry = Entry(transfer=True)


class SaysSeveral(Sound):
    entry = Entry(objectives="several")


class InPart(Sound):
    def suggest(self, number):
        level = {axis.name: axis.values[number % 2] for axis in self.fidelities}
        return Suggestion(super().suggest(number).config, level)


BROKEN = {
    OffTheSpace: "`lr`: 7.0",
    Impatient: "15 of 20 trials",
    OtherInAnotherProcess: "another process asked for",
    Global: "the global generator of random",
    Loud: "a line of debugging",
    LooksAtTheTable: "an optimizer never sees a benchmark or a table",
    NeedsAWinner: "`learn` of trial 0 raised RuntimeError: nothing to build on",
    BlindToDirection: "maximising a score",
    TakesTwo: "it took two objectives",
    ChangesItsDesign: "it changed its initial design",
    SaysSequential: "4 of 4 trials at once, its entry says 1",
    SaysEnds: "`ends`: 45 trials of 8 configurations",
    SaysFidelity: "its entry says `fidelity`",
    SaysConstraints: "`takes_constraints` of the class and `constraints` of its entry differ",
    SaysTransfer: "other sources changed nothing",
    SaysSeveral: "takes one objective",
    InPart: "its entry lacks `fidelity`",
}
# Most break one promise alone; these break others too, that need the whole budget, say.
FURTHER = {
    OffTheSpace: 8,
    Impatient: 8,
    NeedsAWinner: 2,
    ChangesItsDesign: 3,
    SaysEnds: 1,
    SaysSeveral: 20,
}


def broken_by(cls):
    """Return what the contract says of a class, by promise; nothing where it is kept."""
    contract = type("TestIt", (OptimizerContract,), {"optimizer": cls})()
    said = {}
    for promise in PROMISES:
        try:
            getattr(contract, promise)()
        except Exception as error:
            said[promise] = str(error)
    return said


@pytest.mark.parametrize("cls", [Sound, SoundTransfer])
def test_who_keeps_it_passes(cls):
    assert len(PROMISES) >= 17
    assert broken_by(cls) == {}


@pytest.mark.parametrize("cls", BROKEN)
def test_who_breaks_a_promise_is_told_which(cls):
    said = broken_by(cls)
    assert any(BROKEN[cls] in text for text in said.values()), said
    assert len(said) == 1 + FURTHER.get(cls, 0), said


def test_a_class_inside_a_function_cannot_be_found_by_another_process():
    class Hidden(Sound):
        pass

    (said,) = broken_by(Hidden).values()
    assert "made inside a function" in said


def test_neither_pytest_nor_a_benchmark_is_imported_with_the_contract():
    code = "import sys, hpobench_llm.testing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "hpobench_llm.testing.contract" in loaded
    assert "pytest" not in loaded
    assert not [name for name in loaded if name.startswith(FORBIDDEN)]


@pytest.mark.slow
def test_unittest_runs_it_too(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import unittest\n"
        "from hpobench_llm.optimizers.random.random_search import RandomSearch\n"
        "from hpobench_llm.optimizers.entry import Entry\n"
        "from hpobench_llm.testing import OptimizerContract\n"
        "class Mine(RandomSearch):\n"
        "    entry = Entry(family='random', objectives='several')\n"
        "class TestMine(OptimizerContract, unittest.TestCase):\n"
        "    optimizer = Mine\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "test_mine"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"Ran {len(PROMISES)} tests" in done.stderr
