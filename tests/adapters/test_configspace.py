"""Spaces as ConfigSpace has them."""

import subprocess
import sys
from itertools import product

import pytest

from hpobench_llm.adapters import to_configspace
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.sticks import StickSpace
from hpobench_llm.testing.benchmarks import mixture, shares

ConfigSpace = pytest.importorskip("ConfigSpace")
ForbiddenValueError = pytest.importorskip("ConfigSpace.exceptions").ForbiddenValueError

MIXED = Space(
    (
        Float("lr", 1e-5, 1e-1, log=True, unit="1"),
        Float("dropout", 0.0, 0.5),
        Integer("rank", 1, 512, log=True),
        Ordinal("alpha_ratio", (0.5, 2.0, 8.0), log=True),
        Ordinal("batch", (8, 16)),
        Categorical("target", ("q", "qv", "all")),
    )
)


def test_what_it_samples_lies_in_the_space():
    made = to_configspace(MIXED, seed=0)
    assert list(made) != []
    for configuration in made.sample_configuration(50):
        canonical = MIXED.canonical(dict(configuration))
        assert isinstance(canonical["rank"], int)
        assert isinstance(canonical["target"], str)


def test_every_dimension_keeps_bounds_scale_values_and_unit():
    made = to_configspace(MIXED)
    assert set(made) == set(MIXED.names)
    for d in MIXED:
        theirs = made[d.name]
        assert theirs.meta["unit"] == d.unit
        if isinstance(d, Float | Integer):
            assert (theirs.lower, theirs.upper, theirs.log) == (d.low, d.high, d.log)
        else:
            values = theirs.sequence if isinstance(d, Ordinal) else theirs.choices
            assert tuple(values) == d.values
    assert made["alpha_ratio"].meta["log"]
    assert not made["batch"].meta["log"]


def test_a_seed_repeats_its_samples():
    one, other = (to_configspace(MIXED, seed=3).sample_configuration(5) for _ in range(2))
    assert [dict(c) for c in one] == [dict(c) for c in other]


def test_a_table_answers_its_configurations():
    bench = load("lora-nano")
    for configuration in to_configspace(bench.space, seed=0).sample_configuration(20):
        plain = {name: configuration[name] for name in bench.space.names}
        assert bench.query(configuration) == bench.query(plain) == bench.query(dict(configuration))


def test_without_the_library_the_extra_is_named():
    program = (
        "import sys; sys.modules['ConfigSpace'] = None\n"
        "from hpobench_llm.adapters import to_configspace"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "`to_configspace` needs ConfigSpace, which is not installed" in done.stderr
    assert "[configspace]'" in done.stderr


def test_proportions_with_levels_are_kept_on_their_simplex():
    space = shares().space
    made = to_configspace(space, seed=0)
    for configuration in [made.get_default_configuration(), *made.sample_configuration(40)]:
        assert space.canonical(dict(configuration))
    allowed = 0
    for values in product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=3):
        names = space.simplexes[0].axes
        try:
            ConfigSpace.Configuration(made, {"rank": 1} | dict(zip(names, values, strict=True)))
        except ForbiddenValueError:
            continue
        allowed += 1
    assert allowed == 15


def test_proportions_that_are_ranges_are_refused_and_their_sticks_are_not():
    space = mixture().space
    with pytest.raises(ConfigurationError, match="`share`: ConfigSpace knows no ranges"):
        to_configspace(space)
    sticks = StickSpace.of(space)
    for configuration in to_configspace(sticks, seed=0).sample_configuration(5):
        config = sticks.decode(dict(configuration))
        assert space.canonical(config) == config
