"""Tables of many shapes: whatever is fitted can be read again and asked."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpobench_llm.benchmarks.proof import prove
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.cli import main
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.surrogates.compare import fit_winners
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.surrogates.models import process, trees
from hpobench_llm.surrogates.resources import resources_of
from hpobench_llm.surrogates.rows import rows_of
from hpobench_llm.tables.table import Table
from tests.surrogates.conftest import LOSS, SCORE, make_table


@pytest.fixture(scope="module")
def hasty(quick):
    """Fit less still: what is proved is that everything fits together, not how well."""
    from hpobench_llm.surrogates.models import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "EPOCHS", 5)
        patch.setattr(trees, "ROUNDS", 8)
        patch.setattr(process, "ITERATIONS", 2)
        yield


AXES = (
    lambda name: Float(name, 1e-5, 1e-1, log=True),
    lambda name: Float(name, 0.0, 1.0),
    lambda name: Integer(name, 1, 64, log=True),
    lambda name: Ordinal(name, (8, 16, 32)),
    lambda name: Categorical(name, ("one", "two")),
    lambda name: Categorical(name, tuple(f"name{i}" for i in range(7))),
)


@st.composite
def shapes(draw):
    return {
        "axes": draw(st.lists(st.integers(0, len(AXES) - 1), min_size=1, max_size=8)),
        "runs": draw(st.sampled_from([5, 6, 9, 20, 60, 150, 400])),
        "steps": draw(st.sampled_from([(), (1,), (0, 4, 16), (1, 3, 9, 27)])),
        "seeds": draw(st.integers(1, 3)),
        "costs": draw(st.lists(st.sampled_from(["train_seconds", "tokens_seen"]), unique=True)),
        "failing": draw(st.sampled_from([0.0, 0.1, 0.6])),
        "score": draw(st.booleans()),
        "constant": draw(st.booleans()),
        "rng": draw(st.integers(0, 99)),
    }


def table_of(shape):
    """Return a table whose loss falls along its fidelity and depends on all axes."""
    rng = np.random.default_rng(shape["rng"])
    space = Space(tuple(AXES[kind](f"axis{i}") for i, kind in enumerate(shape["axes"])))
    configs = space.from_unit(rng.random((shape["runs"], len(space))))
    distinct = {space.config_id(config): config for config in configs}
    rows = []
    for config in distinct.values():
        units = space.to_unit([config])[0]
        fails = rng.random() < shape["failing"] * len(rows) / (1 + len(rows))  # the first is ok
        for seed in range(shape["seeds"] if rng.random() < 0.5 else 1):
            for step in shape["steps"] or (None,):
                trained = 1.0 if step is None else step / max(shape["steps"])
                loss = 3.0 + ((units - 0.4) ** 2).sum() * trained - trained + 0.01 * rng.normal()
                row = config | {"seed": seed, "status": "diverged" if fails else "ok"}
                row["val_loss"] = np.nan if fails else 1.0 if shape["constant"] else loss
                row["score_toy"] = np.nan if fails else 1.0 / loss
                if step is not None:
                    row["step"] = step
                for cost in shape["costs"]:
                    row[cost] = trained * (1.0 + units.sum())
                rows.append(row)
    frame = pd.DataFrame(rows)
    fidelities = ()
    if shape["steps"]:
        fidelities = (Fidelity(name="step", unit="steps", values=shape["steps"]),)
    metrics = (LOSS, SCORE) if shape["score"] else (LOSS,)
    return make_table(frame, space, fidelities=fidelities, metrics=metrics)


@pytest.mark.slow
@settings(max_examples=40)
@given(shape=shapes())
def test_every_fit_can_be_read_and_asked(hasty, tmp_path_factory, shape):
    table = table_of(shape)
    configurations = table.frame["config_id"].nunique()
    assume(configurations >= 2)
    try:
        surrogate = fit(table, folds=2, extrapolate=shape["runs"] < 20)
    except ConfigurationError as error:  # of five configurations one was ok
        assume("too few configurations to be held out" not in str(error))
        raise
    prove(surrogate.write(tmp_path_factory.mktemp("s")), table)


def test_a_rate_by_a_network_is_asked_beside_metrics_by_another_family(quick, tmp_path):
    """A network of the configuration alone was handed the fidelity too, and could not be asked."""
    table = table_of(
        {"axes": [0, 1, 4], "runs": 30, "steps": (1, 3, 9), "seeds": 2, "failing": 0.0}
        | {"costs": ["train_seconds"], "score": True, "constant": False, "rng": 0}
    )
    surrogate, rows = fit(table, folds=3, extrapolate=False), rows_of(table)
    resources = resources_of(rows.frame, rows.fidelities, rows.levels, rows.configuration)
    first = np.unique(rows.configuration, return_index=True)[1]
    units = rows.features[first, : rows.encoder.width]
    rates = fit_winners(units, resources.rates, np.isfinite(resources.rates), ["network"], seed=0)
    for family in ("process", "ridge", "network"):
        winners = [family] * len(rows.targets)
        models = fit_winners(rows.features, rows.values, rows.learned(), winners, seed=0)
        mixed = replace(surrogate, models=models, rates=rates)
        prove(mixed.write(tmp_path / family), table)


def test_a_surrogate_that_cannot_be_asked_is_no_success(quick, tmp_path, monkeypatch, capsys):
    table = table_of(
        {"axes": [0, 1], "runs": 20, "steps": (), "seeds": 1, "failing": 0.0, "costs": []}
        | {"score": False, "constant": False, "rng": 0}
    )
    folder = Table.write(tmp_path / "made", table.metadata, table.frame)
    command = ["fit", str(folder), "--out", str(tmp_path / "s"), "--no-ranking-check"]
    assert main(command) == 0
    monkeypatch.setattr(SurrogateBenchmark, "query", lambda *_, **__: np.zeros(3) @ np.zeros(4))
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "was written, but cannot be asked (ValueError: matmul" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_an_axis_of_many_names_is_bounded_and_says_so(hasty, tmp_path, capsys):
    rng = np.random.default_rng(0)
    space = Space((Categorical("method", tuple(f"m{i}" for i in range(150))), AXES[0]("lr")))
    frame = pd.DataFrame(space.from_unit(rng.random((300, 2))))
    table = make_table(frame.assign(val_loss=2.0 + rng.random(300)), space)
    folder = Table.write(tmp_path / "made", table.metadata, table.frame)
    tracemalloc.start()
    command = ["fit", str(folder), "--out", str(tmp_path / "s"), "--no-ranking-check"]
    assert main([*command, "--folds", "2"]) == 0
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
    error, card = capsys.readouterr().err, (tmp_path / "s" / "CARD.md").read_text()
    for words in (
        "`method`: its 150 names share 128 columns",
        "ridge: monomials of degree 1 alone",
        "process: not fitted to 300 rows of 129 features",
        "held-out regions: the 12 most frequent of the 150 names of `method`",
    ):
        assert f"left out: {words}" in error
        assert f"- {words}" in card
