"""Tables of every shape with a closed form: no axis of fidelity, two, ragged seeds, no costs."""

from pathlib import Path

import numpy as np
import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Categorical, Float, Ordinal, Space, config_id
from hpobench_llm.tables.columns import described
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.table import Table

METRICS = (
    Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0),
    Metric(name="score_toy", unit="share", direction="maximize", worst=0.0, low=0.0, high=1.0),
)
STEP = Fidelity(name="step", unit="steps", values=(1, 2, 4))
SHARE = Fidelity(name="share", unit="share of rows", values=(0.25, 1.0))
FINITE = Space((Ordinal("rank", (1, 4, 16), log=True), Categorical("target", ("q", "qv", "all"))))
REAL = Space((Float("x", -1.0, 1.0), Float("lr", 1e-4, 1e-1, log=True)))


def loss_of(space, config, seed, level):
    """The loss falls with every axis of fidelity; each seed adds a little."""
    distance = float(((space.to_unit([config]) - 0.4) ** 2).sum())
    return distance + 0.125 * seed + sum(1.0 / (1 + value) for value in level)


def table(
    folder: Path, space, configs, fidelities=(STEP,), *, seeds=(0, 1), keep=None, costs=True
) -> Table:
    """Seal a table of these configurations; `keep(number, seed, level)` leaves rows out."""
    levels = [()]
    for axis in fidelities:
        levels = [(*level, value) for level in levels for value in axis.values]
    rows = []
    for number, config in enumerate(configs):
        for seed in seeds:
            for level in levels:
                if keep and not keep(number, seed, level):
                    continue
                loss = loss_of(space, config, seed, level)
                row = {
                    "config_id": config_id(space.canonical(config)),
                    "seed": seed,
                    **dict(zip([axis.name for axis in fidelities], level, strict=True)),
                    "status": "ok",
                    **config,
                    "val_loss": loss,
                    "score_toy": 1.0 / (1.0 + 2 * number + seed),
                }
                if costs:
                    row |= {
                        "train_seconds": 2.0 * sum(level) + number + 1,
                        "eval_seconds": 0.5,
                        "tokens_seen": int(100 * sum(level)),
                        "peak_memory_bytes": 1000 * (number + 1) + seed,
                    }
                rows.append(row)
    frame = pd.DataFrame(rows)
    metadata = Metadata(
        name="problem",
        version="0.0.1",
        description="A closed form.",
        context="For tests.",
        licence="CC-BY-4.0",
        space=space,
        fidelities=tuple(fidelities),
        metrics={metric.name: metric for metric in METRICS},
        seeds=tuple(seeds),
        untrained={},
        provenance={},
        table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
        columns=described(frame.columns, space, fidelities, METRICS, {}),
    )
    Table.write(folder, metadata, frame)
    return Table.load(folder)


def points(space: Space, count: int) -> list[dict]:
    """Distinct configurations of a continuous space that form no grid."""
    return space.from_unit(np.random.default_rng(5).random((count, len(space))))
