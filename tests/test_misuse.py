"""The Python interface, misused: one clear line of ours for each, whatever was handed in."""

import numpy as np
import pandas as pd
import pytest

import hpobench_llm
from hpobench_llm.cli import main
from hpobench_llm.errors import ConfigurationError, HpobenchError, UnknownNameError

HUGE = 10**400  # no float holds it
NAMES = ["val_loss", "score_toy"]


@pytest.fixture
def bench(table_folder):
    return hpobench_llm.load(str(table_folder))


VOID = np.zeros(1, dtype=[("rank", "i4")])[0]


@pytest.mark.parametrize(
    "config", [None, 5, "x", [1, 2], {"rank": 1}, np.arange(2), VOID, pd.Index(["rank"]), type]
)
def test_what_is_no_configuration_is_said(bench, config):
    for ask in (bench.query, lambda c: bench.query_many([c])):
        with pytest.raises(ConfigurationError, match=r"configuration|missing") as caught:
            ask(config)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda b: b.query_many(None),
        lambda b: b.query_many(7),
        lambda b: b.query_many(type),
        lambda b: b.query_many("x"),
        lambda b: b.query_many(pd.concat([b.configurations(), b.configurations()], axis=1)),
        lambda b: b.query(b.configurations().iloc[0], fidelity=HUGE),
        lambda b: b.query(b.configurations().iloc[0], fidelity={"step": HUGE}),
        lambda b: b.query(b.configurations().iloc[0], seed=HUGE),
        lambda b: b.query(b.configurations().iloc[0], seed=np.int8(-100)),
        lambda b: b.constrained({"val_loss": HUGE}),
        lambda b: b.optimum(["val_loss"]),
        lambda b: b.optimum(None),
        lambda b: b.constrained(["val_loss"]),
        lambda b: b.pareto_front([]),
        lambda b: b.pareto_front(5),
        lambda b: b.reference_point([]),
        lambda b: b.hypervolume(NAMES, "x"),
    ],
)
def test_other_arguments_of_a_benchmark(bench, misuse):
    with pytest.raises(HpobenchError) as caught:
        misuse(bench)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"objectives": NAMES[:1] * 2}, "`objectives`: each once"),
        ({"objectives": 5}, "unknown metric 5"),
        ({"checkpoint_seconds": "x"}, "`checkpoint_seconds`"),
        ({"checkpoint_seconds": True}, "`checkpoint_seconds`"),
        ({"sources": 5}, "`sources`: a list"),
        ({"sources": "toy-bowl"}, "`sources`: a list"),
        ({"budget": "5"}, "budget"),
    ],
)
def test_arguments_of_a_replay(bench, arguments, words):
    with pytest.raises(HpobenchError, match=words):
        hpobench_llm.replay(bench, "random", **{"budget": 2, "seed": 0} | arguments)


@pytest.mark.parametrize("name", [None, 5, "x" * 5000, "a\0b", "/"])
def test_what_is_no_name_of_a_benchmark(name):
    for kind in ("table", "surrogate", "live"):
        with pytest.raises(UnknownNameError):
            hpobench_llm.load(name, kind)
    with pytest.raises(UnknownNameError):
        hpobench_llm.replay(name, "random", budget=2, seed=0)


@pytest.mark.parametrize("folder", [None, 5, ["out"]])
def test_what_is_no_folder_of_a_study(folder):
    with pytest.raises(ConfigurationError, match="the folder of a study is expected, got"):
        hpobench_llm.compare(folder)


@pytest.mark.slow
def test_a_study_is_a_folder(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(
        'name = "s"\ntitle = "S"\nseeds = 1\nbudget = 1\n'
        'benchmarks = ["toy-bowl"]\noptimizers = ["random"]\n'
    )
    (tmp_path / "file").write_text("")
    said = {}
    for words in (["replay", "s.toml", "--out", "file"], ["compare", "file"], ["compare", "gone"]):
        command = [words[0], *(str(tmp_path / w) if w[0] != "-" else w for w in words[1:])]
        assert main(command) == 2
        said[words[-1], words[0]] = capsys.readouterr().err
    *_, line = said["file", "replay"].splitlines()  # before anything runs
    assert line.endswith("file: is a file; a folder is expected")
    assert "file: no folder; expected is that of a study" in said["file", "compare"]
    assert "gone: no such folder; expected is that of a study" in said["gone", "compare"]
