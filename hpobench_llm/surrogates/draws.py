"""Seeded draws beside real runs: how far seeds lie apart, and the best value of a table."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.quality import plain
from hpobench_llm.surrogates.record import Deviations, DrawsRecord
from hpobench_llm.surrogates.rows import FitRows
from hpobench_llm.surrogates.surface import SurrogateSurface

SEEDS, REGIONS = 20, 4


def check_draws(surrogate: Surrogate, rows: FitRows) -> dict[str, DrawsRecord]:
    """Compare draws at the table's own configurations in full with its runs that are ok.

    Returns for each metric, in its own units, plain JSON: `regions`, quarters of the
    configurations by what is expected of them, the best first, with the standard deviation of
    `measured` and of `drawn` seeds at the configurations that were `repeated`; and `best`: the
    best value of the table's most frequent seed, and the lowest, the middle and the highest of
    the best values of drawn tables.
    """
    surface = SurrogateSurface(surrogate)
    names = list(rows.space.names)
    frame = rows.frame.loc[rows.full]
    first = frame.drop_duplicates("config_id")
    numbers = surface.encoder.numbers_of_many(
        [dict(zip(names, row, strict=True)) for row in first[names].itertuples(index=False)]
    )
    level = tuple(float(axis.full) for axis in rows.fidelities)
    expected = surface.ask(numbers, level, None).values
    draws = [surface.ask(numbers, level, seed) for seed in range(SEEDS)]
    drawn = np.array([np.where(d.status[:, None] == 0, d.values, np.nan) for d in draws])
    # As among the draws, runs that failed are left out.
    ok = frame.loc[frame["status"] == "ok"]
    usual = ok.loc[ok["seed"] == ok["seed"].mode().min()] if len(ok) else ok
    record: dict[str, DrawsRecord] = {}
    for column, name in enumerate(surface.names):
        best = max if rows.metrics[name].direction == "maximize" else min
        tables = [_best(best, table) for table in drawn[:, :, column]]
        record[name] = {
            "regions": _regions(
                expected[:, column] if best is min else -expected[:, column],
                _deviations(ok, name, first["config_id"]),
                drawn[:, :, column],
            ),
            "best": {
                "measured": _best(best, usual[name].to_numpy(dtype=np.float64)),
                "drawn": _range([value for value in tables if value is not None]),
            },
        }
    return record


def _deviations(ok: pd.DataFrame, name: str, config_ids: "pd.Series[str]") -> FloatArray:
    """Return `(configurations,)` standard deviations over seeds; NaN where one seed ran."""
    spread = ok.groupby("config_id")[name].std().reindex(config_ids)
    return np.asarray(spread, dtype=np.float64)


def _regions(losses: FloatArray, measured: FloatArray, drawn: FloatArray) -> list[Deviations]:
    """Return the quarters of `(configurations,)` losses; `drawn` is `(seeds, configurations)`."""
    finite = np.flatnonzero(np.isfinite(losses))
    order = finite[np.argsort(losses[finite], kind="stable")]
    regions = []
    for part in np.array_split(order, REGIONS):
        repeated = part[np.isfinite(measured[part])]
        runs = drawn[:, repeated]
        # Draws can fail where runs did not; of one value there is no deviation.
        several = repeated[np.isfinite(runs).sum(axis=0) > 1]
        spread = np.nanstd(drawn[:, several], axis=0, ddof=1) if len(several) else np.zeros(0)
        region: Deviations = {
            "repeated": len(repeated),
            "measured": _root_mean_square(measured[repeated]),
            "drawn": _root_mean_square(spread),
        }
        regions.append(plain(region))
    return regions


def _root_mean_square(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else float("nan")


def _best(best: Callable[[list[float]], float], values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)].tolist()
    return best(finite) if finite else None


def _range(values: list[float]) -> list[float]:
    """Return the lowest, the middle and the highest value; an empty list if there is none."""
    return [float(q) for q in np.quantile(values, [0.0, 0.5, 1.0])] if values else []
