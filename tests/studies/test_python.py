"""A study in Python: what is wrong is one clear line, what is right runs as from a file."""

import pytest

import hpobench_llm
from hpobench_llm import Study
from hpobench_llm.errors import ConfigurationError, HpobenchError
from hpobench_llm.optimizers.random.random_search import RandomSearch
from hpobench_llm.studies.results import read_trajectories

FILE = """
name = "toys"
title = "Toys"
benchmarks = ["toy-bowl"]
optimizers = ["random", "sobol"]
seeds = 2
budget = 4
"""


@pytest.mark.slow
def test_it_is_the_study_of_a_file_and_grows(tmp_path, capsys):
    study = Study(["toy-bowl"], [RandomSearch, "sobol"], seeds=2, budget=4, name="toys")
    assert repr(study) == "<study toys: 2 optimizers on 1 benchmarks, 2 seeds, 4 replays>"
    result = study.run(tmp_path / "a", processes=1, progress=False)
    assert capsys.readouterr() == ("", "")
    (tmp_path / "toys.toml").write_text(FILE)
    same = Study.read(tmp_path / "toys.toml").run(tmp_path / "b", processes=1)
    assert "random, sobol on toy-bowl: 4 replays of up to 4 trials" in capsys.readouterr().err
    name = "trajectories.parquet"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert result.ranking.equals(same.ranking)
    assert len(result.to_frame()) == 16
    assert {"val_loss", "lr", "optimizer"} <= set(result.to_frame().columns)
    larger = Study(["toy-bowl"], ["random", "sobol"], seeds=3, budget=4, name="toys")
    assert larger.run(tmp_path / "a", processes=1).comparison.finished == 6
    assert "4 of 6 replays are there; 2 run now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_and_its_surrogate_are_two_benchmarks_of_one_study(tmp_path):
    pytest.importorskip("lightgbm")
    both = ["lora-nano", "surrogate:lora-nano"]
    study = Study(both, ["random", "sobol"], seeds=2, budget=3)
    result = study.run(tmp_path / "out", processes=1, progress=False)
    assert [one.benchmark for one in result.comparison.benchmarks] == sorted(both)
    kinds = [one.identity["kind"].split()[0] for one in result.comparison.benchmarks]
    assert kinds == ["table", "surrogate"]
    header, frame = read_trajectories(tmp_path / "out")
    assert header.tables.keys() == set(both)
    assert set(frame["benchmark"]) == set(both)


def study(**changes):
    keys = {"benchmarks": ["toy-bowl"], "optimizers": ["random"], "seeds": 2, "budget": 4}
    return Study(**(keys | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizers": ["randm"]}, "Study: `optimizers`: unknown optimizer 'randm'; did you"),
        ({"optimizers": "random"}, "`optimizers`: a list is expected, got 'random'"),
        ({"optimizers": ["\udcff:Mine"]}, "`optimizers` holds half a letter, a lone surrogate"),
        ({"title": "half \ud800"}, "`title` holds half a letter, a lone surrogate: 'half"),
        ({"optimizers": [3]}, "a name or class of an optimizer is expected, got 3"),
        ({"optimizers": ["nowhere:Mine"]}, "`optimizers`: nowhere:Mine: there is no module"),
        ({"benchmarks": ["toy-bwl"]}, "Study: `benchmarks`: unknown benchmark 'toy-bwl'; did you"),
        ({"benchmarks": [None]}, "`benchmarks`: a name or a folder is expected, got None"),
        ({"benchmarks": "suite:none"}, "Study: `benchmarks`: unknown suite 'none'"),
        ({"benchmarks": ["toy-bowl", "table:toy-bowl"], "kind": {"table:toy-bowl": "live"}},
         "`kind.table:toy-bowl`: the name says its kind itself"),
        ({"seeds": 0}, "Study: `seeds` must be at least 1, got 0"),
        ({"seeds": 1.5}, "Study: `seeds`: expected an integer, got 1.5"),
        ({"sedes": 3}, "Study: `sedes`: unknown key; did you mean 'seeds'?"),
        ({"budget": 0}, "`budget`: a whole number of at least 1, got 0"),
        ({"budget": {"stp": 5}}, "`budget`: unknown unit 'stp'; did you mean 'step'?"),
        ({"objectives": ("val_los",)}, "unknown metric 'val_los'; did you mean 'val_loss'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_line(changes, words):
    with pytest.raises(HpobenchError) as error:
        study(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_of_processes_is_checked(tmp_path):
    with pytest.raises(ConfigurationError, match="`processes`: at least 1, got 0"):
        study().run(tmp_path, processes=0)
    assert hpobench_llm.Study is Study
