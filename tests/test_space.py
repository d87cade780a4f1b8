"""The space: round trips, one id for every spelling, errors that name the nearest."""

import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space

MIXED = Space(
    (
        Float("lr", 1e-5, 1e-1, log=True),
        Float("dropout", 0.0, 0.5),
        Integer("rank", 1, 512, log=True),
        Ordinal("alpha_ratio", (0.5, 2.0, 8.0), log=True),
        Categorical("target", ("q", "qv", "all")),
    )
)
configurations = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-5, 1e-1),
        "dropout": st.floats(0.0, 0.5),
        "rank": st.integers(1, 512),
        "alpha_ratio": st.sampled_from((0.5, 2.0, 8.0)),
        "target": st.sampled_from(("q", "qv", "all")),
    }
)


@given(configurations)
def test_unit_encoding_comes_back(config):
    unit = MIXED.to_unit([config])
    assert unit.shape == (1, 5)
    assert ((unit >= 0) & (unit <= 1)).all()
    (back,) = MIXED.from_unit(unit)
    for name in ("rank", "alpha_ratio", "target"):
        assert back[name] == config[name]
    assert math.isclose(back["lr"], config["lr"], rel_tol=1e-9)
    assert math.isclose(back["dropout"], config["dropout"], abs_tol=1e-12)


@given(configurations, st.randoms(use_true_random=False))
def test_id_ignores_key_order_and_the_spelling_of_numbers(config, random):
    keys = list(config)
    random.shuffle(keys)
    spelled = {k: float(config[k]) if k == "rank" else config[k] for k in keys}
    spelled["alpha_ratio"] = np.float64(config["alpha_ratio"])
    assert MIXED.config_id(spelled) == MIXED.config_id(config)


@given(configurations, st.text())
def test_an_id_is_the_sum_of_sorted_json(config, name):
    """Ids of tables from before stay what they are, whatever stands in a name."""
    space = Space((*MIXED.dimensions[:4], Categorical("target", ("q", "qv", "all", f"x{name}"))))
    config |= {"target": f"x{name}"}
    plain = {k: v if isinstance(v, str) else float(v) for k, v in config.items()}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert space.config_id(config) == hashlib.sha256(text.encode()).hexdigest()[:16]


@given(st.lists(configurations, min_size=1))
def test_rows_given_as_columns_are_the_same_configurations(configs):
    columns = {name: [config[name] for config in configs] for name in reversed(MIXED.names)}
    rows = MIXED.canonical_rows(columns)
    assert rows == [MIXED.canonical(config) for config in configs]
    assert [list(row) for row in rows] == [list(MIXED.names)] * len(configs)


def test_the_first_row_that_is_no_configuration_is_named():
    good = {"lr": 1e-3, "dropout": 0.0, "rank": 8, "alpha_ratio": 2.0, "target": "q"}
    columns = {name: [value, value] for name, value in good.items()} | {"rank": [8, 1024]}
    with pytest.raises(ConfigurationError, match=r"'rank': 1024, .*`rank`: 1024 is outside"):
        MIXED.canonical_rows(columns)


@given(configurations, configurations)
def test_ids_differ_when_configurations_do(one, other):
    same = MIXED.canonical(one) == MIXED.canonical(other)
    assert (MIXED.config_id(one) == MIXED.config_id(other)) == same


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_decoding_always_lands_in_the_space(unit):
    (config,) = MIXED.from_unit(np.array(unit))
    assert MIXED.canonical(config) == config


def test_json_round_trip():
    assert Space.from_json(json.loads(json.dumps(MIXED.to_json()))) == MIXED


def test_grid_size_is_the_product_of_its_axes():
    grid = Space((Ordinal("a", (1, 2, 3)), Ordinal("b", (0.1, 0.2)), Categorical("c", ("x", "y"))))
    listed = list(grid.configurations())
    assert len(listed) == 3 * 2 * 2
    assert len({grid.config_id(config) for config in listed}) == 12
    assert listed[:2] == [{"a": 1, "b": 0.1, "c": "x"}, {"a": 1, "b": 0.1, "c": "y"}]


def test_sampling_is_seeded_and_covers_every_level():
    space = Space((Ordinal("a", (1, 2, 3)), Categorical("c", ("x", "y"))))
    draws = [space.sample(np.random.default_rng(0)) for _ in range(2)]
    assert draws[0] == draws[1]
    rng = np.random.default_rng(1)
    assert {tuple(space.sample(rng).values()) for _ in range(200)} == {
        (a, c) for a in (1, 2, 3) for c in ("x", "y")
    }


AXES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8, unique=True).map(sorted)


@given(AXES)
def test_a_value_of_32_bits_is_the_one_that_it_was_rounded_from(values):
    axis = Ordinal("lr", tuple(values), log=True)
    for number, value in enumerate(values):
        assert axis.level(value) == number
        rounded = np.float32(value)
        close = min(values, key=lambda each: abs(each - float(rounded)))
        assert axis.canonical(rounded) == axis.canonical(float(rounded)) == close
        assert type(axis.canonical(rounded)) is float


def test_a_value_of_32_bits_may_lie_on_a_bound():
    axis = Float("lr", 1e-5, 0.1, log=True)
    assert float(np.float32(0.1)) > 0.1
    assert axis.canonical(np.float32(0.1)) == 0.1
    assert axis.canonical(np.float32(0.05)) == float(np.float32(0.05))
    with pytest.raises(ConfigurationError, match="outside its range"):
        axis.canonical(0.1 * (1 + 1e-6))


def test_levels_are_the_values_of_a_finite_axis():
    assert [d.levels for d in MIXED] == [
        None,
        None,
        None,
        (0.5, 2.0, 8.0),
        ("q", "qv", "all"),
    ]
    assert not MIXED.finite
    assert Space(MIXED.dimensions[3:]).finite


def test_a_seed_samples_as_its_generator_does():
    assert MIXED.sample(3) == MIXED.sample(np.int64(3)) == MIXED.sample(np.random.default_rng(3))
    for bad in (-1, 0.5, True, None, "0", np.random.RandomState(0)):
        with pytest.raises(ConfigurationError, match="`rng`: a whole number from 0 up"):
            MIXED.sample(bad)


def test_a_configuration_may_hold_its_own_id():
    config = {"lr": 1e-3, "dropout": 0.1, "rank": 8, "alpha_ratio": 2.0, "target": "qv"}
    name = MIXED.config_id(config)
    assert MIXED.canonical({"config_id": name, **config}) == config
    with pytest.raises(ConfigurationError, match=f"`config_id` is '0'.*have '{name}': leave it"):
        MIXED.canonical({**config, "config_id": "0"})
    with pytest.raises(ConfigurationError, match="missing: rank"):
        MIXED.canonical({k: v for k, v in config.items() if k != "rank"} | {"config_id": name})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rnak": 4}, ["unknown hyperparameter 'rnak'", "did you mean 'rank'"]),
        ({"alpha": 16}, ["'alpha'", "here it is 'alpha_ratio'", "alpha / rank"]),
        ({"lora_alpha": 16}, ["'lora_alpha'", "here it is 'alpha_ratio'", "alpha / rank"]),
        ({"rank": 10**400}, ["`rank`", "finite", "1000"]),
        ({"rank": 10**5000}, ["`rank`", "finite", "a very long int"]),
        ({"target": np.array(["q", "qv"])}, ["`target`", "unknown value array("]),
        ({"rank": 0}, ["`rank`", "0", "[1, 512]"]),
        ({"rank": 2.5}, ["`rank`", "integer", "2.5"]),
        ({"lr": float("nan")}, ["`lr`", "finite", "nan"]),
        ({"lr": True}, ["`lr`", "number", "True"]),
        ({"lr": "0.1"}, ["`lr`", "number", "'0.1'"]),
        ({"alpha_ratio": 3.0}, ["`alpha_ratio`", "3.0", "nearest: 2.0"]),
        ({"target": "qq"}, ["`target`", "'qq'", "did you mean"]),
    ],
)
def test_a_bad_value_is_named(change, words):
    good = {"lr": 1e-3, "dropout": 0.1, "rank": 8, "alpha_ratio": 2.0, "target": "qv"}
    with pytest.raises(ConfigurationError) as caught:
        MIXED.canonical(good | change)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_value_is_named():
    with pytest.raises(ConfigurationError, match="missing: rank, target"):
        MIXED.canonical({"lr": 1e-3, "dropout": 0.1, "alpha_ratio": 2.0})


@pytest.mark.parametrize(
    "build",
    [
        lambda: Ordinal("a", ()),
        lambda: Ordinal("a", (2, 1)),
        lambda: Ordinal("a", (0, 1), log=True),
        lambda: Ordinal("a", (1, math.inf)),
        lambda: Float("a", 1.0, 1.0),
        lambda: Float("a", 0.0, 1.0, log=True),
        lambda: Categorical("a", ("x", "x")),
        lambda: Categorical("a", (1, 2)),
        lambda: Ordinal("a", (1, 10**400)),
        lambda: Float("a", 0, 10**400),
        lambda: Space.from_json([{"kind": "float", "name": ["a"], "low": 0, "high": 1}]),
        lambda: Space.from_json(["a"]),
        lambda: Space(()),
        lambda: Space((Ordinal("a", (1,)), Ordinal("a", (2,)))),
        lambda: Space.from_json([{"kind": "spiral", "name": "a"}]),
        lambda: Space.from_json([{"kind": "float", "name": "a"}]),
    ],
)
def test_a_broken_space_is_refused(build):
    with pytest.raises(ValueError, match=r"\w"):
        build()


def test_equal_values_have_one_id():
    space = Space((Float("x", -1.0, 1.0),))
    assert space.config_id({"x": -0.0}) == space.config_id({"x": 0.0})


def test_whole_numbers_that_share_a_float_are_no_two_values():
    """Ids and tables hold floats, so they would be one configuration."""
    with pytest.raises(ValueError, match="`n`: values must increase as floats"):
        Ordinal("n", (2**53, 2**53 + 1))
    with pytest.raises(ValueError, match=r"`n`: bounds within -2\^53 and 2\^53 are expected"):
        Integer("n", 0, 2**53 + 1)
    assert Ordinal("n", (1, 2**60)).canonical(2**60) == 2**60
