"""A table's configurations in full: the answers to an optimizer, and the worth by all seeds."""

import numpy as np
import pandas as pd

from hpobench_llm.measured import density
from hpobench_llm.metrics import Metric
from hpobench_llm.seeds import Noise, answering, seed_effects
from hpobench_llm.tables.table import Table

STDERRS = 2.0  # of one run: a score whose runs all lie within so many has no signal


def in_full(table: Table) -> pd.DataFrame:
    """Return the rows of runs in full, one a configuration and seed."""
    frame = table.frame
    for axis in table.metadata.fidelities:
        frame = frame[frame[axis.name] == axis.full]
    return frame


def density_of(table: Table) -> str:
    """Say whether a table is dense or sparse: see `measured.density`."""
    return density(table.metadata.space, table.frame["config_id"].nunique())


def answers(table: Table, metric: Metric) -> pd.Series:
    """Return the losses that an optimizer is told, by `config_id`; infinite: no sound run.

    They are means over the seeds that answer (see `seeds.answering`).
    """
    frame = table.frame
    configs, _ = pd.factorize(frame["config_id"])
    used = answering(configs, frame["seed"].to_numpy(dtype=np.int64))
    repeats = frame.loc[used].groupby("config_id")["seed"].nunique().min()
    full = in_full(table)
    full = full.loc[full.index.intersection(frame.index[used])]
    # A configuration with a run that ended early has no answer in full.
    full = full[full.groupby("config_id")["seed"].transform("size") == repeats]
    losses = full[metric.name].astype(np.float64) * metric.to_loss(1.0)
    sound = (full["status"] == "ok") & np.isfinite(losses)
    return losses.where(sound, np.inf).groupby(full["config_id"], sort=False).mean()


def judged(table: Table, metric: Metric) -> tuple[pd.Series, Noise]:
    """Return the worth of sound configurations, by `config_id` in own units, and the noise.

    It is the mean over all seeds of a configuration, less the effect that each seed has on all
    good ones (see `seeds.seed_effects`).
    """
    full = in_full(table)
    sound = full[(full["status"] == "ok").groupby(full["config_id"]).transform("all")]
    values = sound[metric.name].astype(np.float64)
    configs, _ = pd.factorize(sound["config_id"])
    seeds = sound["seed"].to_numpy(dtype=np.int64)
    sign = np.float64(metric.to_loss(1.0))
    effects = seed_effects(configs, seeds, sign * values.to_numpy(dtype=np.float64))
    worth = values - sign * effects.of(seeds)
    return worth.groupby(sound["config_id"], sort=False).mean().dropna(), effects.noise


def every_worth(table: Table) -> tuple[dict[str, pd.Series], dict[str, Noise]]:
    """Return `judged` of every metric that some run in full has, by name, and the noise of all."""
    worth, noise = {}, {}
    for metric in table.metadata.metrics.values():
        values, noise[metric.name] = judged(table, metric)
        if len(values):
            worth[metric.name] = values
    return worth, noise


def with_axes(table: Table, worth: dict[str, pd.Series]) -> pd.DataFrame:
    """Return a row for each configuration that has a worth: its axes, then its metrics."""
    axes = list(table.metadata.space.names)
    configs = table.frame.drop_duplicates("config_id").set_index("config_id")[axes]
    return configs.join(pd.DataFrame(worth), how="inner")


def without_signal(table: Table) -> dict[str, str]:
    """Return the metrics that order no configurations, and why.

    All runs in full that are ok have one value, or values within two standard errors of a run.
    """
    full = in_full(table)
    full = full[full["status"] == "ok"]
    reasons: dict[str, str] = {}
    for metric in table.metadata.metrics.values():
        values = full[metric.name].dropna().astype(np.float64)
        if len(values) < 2 or full["config_id"].nunique() < 2:
            continue
        low, high = float(values.min()), float(values.max())
        error = 0.0
        if metric.stderr and metric.stderr in full:
            error = float(np.nan_to_num(full[metric.stderr].max()))
        if high == low:
            reasons[metric.name] = f"every run has {low:.4g}"
        elif high - low <= STDERRS * error:
            reasons[metric.name] = (
                f"every run lies between {low:.4g} and {high:.4g}, and one run's standard error "
                f"is {error:.4g}"
            )
    return reasons
