"""Surrogates: held out by configuration, saved as text to the bit, costs that never fall."""

import json

import numpy as np
import pytest

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.errors import ConfigurationError, IntegrityError, UnknownNameError
from hpobench_llm.space import Float, Integer
from hpobench_llm.surrogates.artefact import COST, Surrogate
from hpobench_llm.surrogates.encoding import relaxed
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.surrogates.quality import quality
from hpobench_llm.tables.table import Table


@pytest.fixture
def table(table_folder):
    return Table.load(table_folder)


@pytest.fixture
def surrogate(table):
    return fit(table, folds=4)


def test_it_is_read_back_to_the_bit(surrogate, tmp_path):
    surrogate.write(tmp_path / "s")
    again = Surrogate.load(tmp_path / "s")
    one, other = SurrogateBenchmark(surrogate), SurrogateBenchmark(again)
    rng = np.random.default_rng(0)
    configs = one.space.from_unit(rng.random((200, 2)))
    for step in (0, 5, 16):
        mine = one.query_many(configs, fidelity={"step": step})
        theirs = other.query_many(configs, fidelity={"step": step})
        assert mine.equals(theirs)
    assert again.quality == surrogate.quality
    assert load(str(tmp_path / "s"), kind="surrogate").space == one.space
    with pytest.raises(UnknownNameError, match="unknown surrogate 'none'"):
        load("none", kind="surrogate")
    with pytest.raises(UnknownNameError, match="did you mean 'surrogate'"):
        load("lora-nano", kind="surogate")
    assert again.table_sha256 == surrogate.table_sha256


def test_single_and_batch_agree(surrogate):
    bench = SurrogateBenchmark(surrogate)
    configs = bench.space.from_unit(np.random.default_rng(1).random((20, 2)))
    many = bench.query_many(configs, fidelity={"step": 8})
    for index, config in enumerate(configs):
        one = bench.query(config, fidelity={"step": 8})
        assert one.metrics["val_loss"] == many["val_loss"][index]
        assert one.cost_seconds == many["cost_seconds"][index]


def test_costs_are_positive_and_never_fall_along_a_curve(surrogate):
    bench = SurrogateBenchmark(surrogate)
    configs = bench.space.from_unit(np.random.default_rng(2).random((500, 2)))
    curve = np.column_stack(
        [bench.query_many(configs, fidelity={"step": s})["cost_seconds"] for s in range(17)]
    )
    assert (curve > 0).all()
    assert (np.diff(curve, axis=1) >= 0).all()


def test_the_space_is_filled_in_between_the_levels(table):
    space = relaxed(table.metadata.space)
    assert space.dimensions == (
        Integer("rank", 1, 16, log=True),
        Float("lr", 1e-4, 1e-1, log=True),
    )


def test_a_configuration_it_never_saw_is_not_known_beforehand(table, rows, tmp_path, seal_rows):
    """Were a configuration's other seed or steps in its training folds, pure noise would fit."""
    rng = np.random.default_rng(0)
    noise = {config_id: rng.normal() for config_id in rows["config_id"].unique()}
    noisy = rows.assign(val_loss=5.0 + rows["config_id"].map(noise))
    report = fit(Table.load(seal_rows(tmp_path / "noisy", noisy)), folds=6).quality["targets"]
    assert report["val_loss"]["r2"] < 0.3
    assert report["val_loss"]["kendall_tau_full"] < 0.5


def test_quality_in_closed_form():
    truth = np.array([1.0, 3.0, 4.0, 6.0])  # two configurations in full, two seeds each
    predicted = np.array([2.0, 2.0, 4.0, 4.0])
    configuration = np.array([0, 0, 1, 1])
    found = quality(truth, predicted, configuration, np.ones(4, dtype=bool))
    assert found.r2 == pytest.approx(1 - 6 / 13)
    assert found.kendall_tau_full == 1.0
    assert found.mean_absolute_error_full == pytest.approx(0.5)  # means 2 and 5
    assert found.seed_standard_deviation_full == pytest.approx(np.sqrt(2))
    single = quality(truth[:1], predicted[:1], configuration[:1], np.ones(1, dtype=bool))
    assert single.to_json()["seed_standard_deviation_full"] is None


def test_a_damaged_or_foreign_file_is_refused(surrogate, tmp_path):
    folder = surrogate.write(tmp_path / "s")
    path = folder / "val_loss.txt"
    original = path.read_text()
    path.write_text(original.replace("leaf_value=", "leaf_value=1", 1))
    with pytest.raises(IntegrityError, match=r"val_loss\.txt: sha256"):
        Surrogate.load(folder)
    path.unlink()
    with pytest.raises(IntegrityError, match=r"val_loss\.txt: cannot be read"):
        Surrogate.load(folder)
    path.write_text(original)
    description = folder / "surrogate.json"
    raw = json.loads(description.read_text())
    description.write_text(json.dumps(raw | {"format": 99}))
    with pytest.raises(IntegrityError, match="not a surrogate of format"):
        Surrogate.load(folder)
    description.write_text(json.dumps({k: v for k, v in raw.items() if k != "space"}))
    with pytest.raises(IntegrityError, match="not complete"):
        Surrogate.load(folder)


def test_a_text_that_is_no_model_is_refused(surrogate, tmp_path):
    from hpobench_llm.surrogates.models import Regressor

    with pytest.raises(IntegrityError, match="not a LightGBM model"):
        Regressor.from_text("hello", log=False, where="there")


@pytest.mark.parametrize(
    ("config", "options", "error", "words"),
    [
        ({"rank": 32, "lr": 1e-3}, {}, ConfigurationError, r"`rank`: 32 .*\[1, 16\]"),
        ({"rank": 4, "lr": 1e-3}, {"fidelity": {"step": 17}}, ConfigurationError, "range"),
        ({"rank": 4, "lr": 1e-3}, {"seed": 1}, ConfigurationError, "seed must be None"),
        ({"rank": 4, "lr": 1e-3}, {"metrics": ["vla_loss"]}, UnknownNameError, "'val_loss'"),
    ],
)
def test_a_bad_query_is_named(surrogate, config, options, error, words):
    with pytest.raises(error, match=words):
        SurrogateBenchmark(surrogate).query(config, **options)


def test_the_optimum_is_no_worse_than_any_corner(surrogate):
    bench = SurrogateBenchmark(surrogate)
    _, best = bench.optimum("val_loss")
    corners = bench.space.from_unit(np.array([[a, b] for a in (0, 0.5, 1) for b in (0, 0.5, 1)]))
    assert best <= bench.query_many(corners)["val_loss"].min() + 1e-12
    assert COST in surrogate.regressors


def test_too_few_configurations_are_refused(table):
    with pytest.raises(ConfigurationError, match="12 configurations are too few for 13 folds"):
        fit(table, folds=13)
