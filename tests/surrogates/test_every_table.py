"""Tables of many shapes: whatever is fitted can be read again and asked."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpobench_llm.benchmarks.proof import prove
from hpobench_llm.metrics import Fidelity
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Space
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.surrogates.models import process, trees
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


@settings(max_examples=40)
@given(shape=shapes())
def test_every_fit_can_be_read_and_asked(hasty, tmp_path_factory, shape):
    table = table_of(shape)
    configurations = table.frame["config_id"].nunique()
    if configurations < 2:
        return
    surrogate = fit(table, folds=min(2, configurations), extrapolate=shape["runs"] < 20)
    prove(surrogate.write(tmp_path_factory.mktemp("s")), table)
