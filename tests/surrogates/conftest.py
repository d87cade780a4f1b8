"""Tables with a known truth."""

import numpy as np
import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Float, Space
from hpobench_llm.tables.columns import described
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.table import Table

LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0, low=0.0)
SCORE = Metric(
    name="score_toy", unit="share of items", direction="maximize", worst=0.0, low=0.0, high=1.0
)


def make_table(
    frame: pd.DataFrame,
    space: Space,
    *,
    fidelities: tuple[Fidelity, ...] = (),
    metrics: tuple[Metric, ...] = (LOSS,),
    folder="nowhere",
) -> Table:
    """Return a table of these rows; `config_id`, `seed` and `status` are filled in."""
    configs = frame[list(space.names)].to_dict("records")
    frame = frame.assign(config_id=[space.config_id(space.canonical(c)) for c in configs])
    frame = frame.assign(**{k: v for k, v in (("seed", 0), ("status", "ok")) if k not in frame})
    metadata = Metadata(
        name="made",
        version="1",
        description="",
        context="",
        licence="CC-BY-4.0",
        space=space,
        fidelities=fidelities,
        metrics={metric.name: metric for metric in metrics},
        seeds=tuple(sorted(int(seed) for seed in frame["seed"].unique())),
        untrained={},
        provenance={},
        table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
        columns=described(frame.columns, space, fidelities, metrics, {}),
    )
    return Table(metadata, frame, folder)


def sparse_table(runs: int = 100, sigma: float = 0.0) -> Table:
    """Return one run each of random configurations: no fidelity, no costs, one seed."""
    rng = np.random.default_rng(7)
    space = Space((Float("lr", 1e-5, 1e-1, log=True), Float("dropout", 0.0, 0.5)))
    frame = pd.DataFrame(space.from_unit(rng.random((runs, 2))))
    units = space.to_unit(frame.to_dict("records"))
    loss = 2.0 + (units[:, 0] - 0.6) ** 2 + 0.5 * units[:, 1]
    return make_table(frame.assign(val_loss=loss + rng.normal(0.0, sigma, runs)), space)
