"""Is a table worth an optimizer? The rules that it should meet, each measured.

They refuse nothing: if a rule is not met, the card says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from hpobench_llm.metrics import Metric
from hpobench_llm.space import Categorical, Configuration, Space
from hpobench_llm.tables.anova import coordinates, single_index
from hpobench_llm.tables.surface import Surface
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import density_of, in_full, without_signal

MOST_BY_INDEX, LEAST_SHARE = 0.8, 0.01
TRIALS, NOISES = 50, 2.0
CHECKPOINTS, COST_RATIO, ROWS, RELIABILITY = 8, 3.0, 1000, 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its words, the measurement, and whether it is met; None: not known."""

    asked: str
    measured: str
    met: bool | None


def table_rules(table: Table) -> list[Rule]:
    """Return the rules of a table by its main metric, in the order of a card."""
    surface = Surface.of(table)
    if surface is None:
        return []
    return [
        *(_shape(surface) if surface.dense else [_sparse(table)]),
        *_search(surface),
        _checkpoints(table),
        _costs(table),
        _rows(table, surface.metric),
        *_scores(table, surface),
    ]


def _shape(surface: Surface) -> Iterator[Rule]:
    """Rules on the axes of a full grid. A run without a loss counts as untrained."""
    losses = surface.losses
    columns = coordinates(surface.space, surface.space.to_unit(surface.configs))
    half = losses <= np.median(losses)
    inner, overall = single_index(columns[half], losses[half]), single_index(columns, losses)
    yield Rule(
        f"no single index explains more than {MOST_BY_INDEX:.0%} of the better half",
        f"{inner:.0%} of the better half's variance, {overall:.0%} of all",
        None if np.isnan(inner) else inner <= MOST_BY_INDEX,
    )
    asked = f"no axis has less than {LEAST_SHARE:.0%} of the variance, with its interactions"
    shares = surface.shares()
    if shares is None:  # runs without an answer
        yield Rule(asked, "no full grid", None)
    else:
        measured = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        yield Rule(asked, measured, min(shares.values()) >= LEAST_SHARE)
    edges = _at_edges(surface.space, surface.best)
    yield Rule(
        "the optimum is interior on all axes of three values or more, but one",
        f"at the edge of {', '.join(edges)}" if edges else "interior on all",
        len(edges) <= 1,
    )


def _search(surface: Surface) -> Iterator[Rule]:
    """Rules on the regret of common practices and of random draws, in noises at one seed."""
    rest = surface.noise.rest
    for practice in surface.practices():
        asked = f"{practice.words} stays above the noise"
        if practice.trials == 1:
            asked = f"{practice.words} stay above the noise"
        if practice.regret is None:
            yield Rule(asked, "none of it was measured", None)
        else:
            above = bool(practice.regret > rest) if rest > 0 else None
            yield Rule(asked, _in_noises(practice.regret, rest), above)
    regret = surface.random_search((TRIALS,))[TRIALS]
    yield Rule(
        f"random search is expected to miss {NOISES:g} noises or more after {TRIALS} trials",
        _in_noises(regret, rest),
        bool(regret >= NOISES * rest) if rest > 0 else None,
    )


def _in_noises(regret: float, rest: float) -> str:
    noises = f"{regret / rest:.1f} noises" if rest > 0 else "the noise is not known"
    return f"{regret:.4f}, {noises}"


def _at_edges(space: Space, best: Configuration) -> list[str]:
    """Return the axes of three or more numbers on which a configuration has an end value."""
    names = []
    for dimension in space:
        levels = dimension.levels or ()
        ordered = not isinstance(dimension, Categorical) and len(levels) > 2
        if ordered and best[dimension.name] in (levels[0], levels[-1]):
            names.append(dimension.name)
    return names


def _sparse(table: Table) -> Rule:
    return Rule(
        "no single index, no idle axis, an interior optimum",
        f"not known: {density_of(table)}",
        None,
    )


def _checkpoints(table: Table) -> Rule:
    counts = {axis.name: len(axis.values) for axis in table.metadata.fidelities}
    shown = ", ".join(f"{count} of {name}" for name, count in counts.items()) or "none"
    return Rule(
        f"{CHECKPOINTS} checkpoints or more", shown, max(counts.values(), default=0) >= CHECKPOINTS
    )


def _costs(table: Table) -> Rule:
    asked = f"costs differ between configurations by a factor of {COST_RATIO:g} or more"
    full = in_full(table)
    if "train_seconds" not in full or not (full["train_seconds"] > 0).any():
        return Rule(asked, "not known", None)
    costs = full.groupby("config_id")["train_seconds"].mean()
    low, high = np.nanquantile(costs[costs > 0], [0.05, 0.95])
    ratio = float(high / low)
    return Rule(asked, f"{ratio:.1f} between the 5 and 95 % quantiles", ratio >= COST_RATIO)


def _rows(table: Table, metric: Metric) -> Rule:
    """Rule on the number of validation rows; also measures their sampling error."""
    asked = f"{ROWS:,} validation rows or more"
    sources = table.metadata.provenance.get("sources", {})
    data = cast("Mapping[str, Mapping[str, int]]", sources.get("data", {}))
    count = data.get("rows", {}).get("val")
    if count is None:
        return Rule(asked, "not known", None)
    error = _sampling_error(table, metric)
    shown = f"{count:,} rows" + ("" if error is None else f"; their sampling error is {error:.4f}")
    return Rule(asked, shown, count >= ROWS)


def _sampling_error(table: Table, metric: Metric) -> float | None:
    """Return the standard error over rows of a run's loss, a ratio of sums; the median run's."""
    items = table.examples()
    items = items[items["column"] == metric.name]
    if not len(items) or items["tokens"].isna().any():
        return None
    errors = []
    for _, run in items.groupby(["config_id", "seed"]):
        tokens, values = run["tokens"].to_numpy(float), run["value"].to_numpy(float)
        residual = values - values.sum() / tokens.sum() * tokens
        errors.append(np.sqrt(len(run) * residual.var(ddof=1)) / tokens.sum())
    return float(np.median(errors))


def _scores(table: Table, surface: Surface) -> Iterator[Rule]:
    """Rules on how well two seeds agree on the order of the better half, for each score.

    A score without signal is none that could be ranked.
    """
    silent = without_signal(table)
    better = pd.Index(np.array(surface.ids)[surface.worth <= np.median(surface.worth)])
    full = in_full(table)
    full = full[(full["status"] == "ok") & full["config_id"].isin(better)]
    for metric in table.metadata.metrics.values():
        if metric.role != "score" or metric.name in silent:
            continue
        share = reliability(full["config_id"], full[metric.name])
        yield Rule(
            f"reliability of {metric.name} between seeds above {RELIABILITY:g} in the better half",
            "no repeats" if np.isnan(share) else f"{share:.2f}",
            None if np.isnan(share) else share > RELIABILITY,
        )


def reliability(configs: pd.Series, values: pd.Series) -> float:
    """Return the share of one run's variance that lies between configurations; NaN: no repeats.

    The intraclass correlation of a one-way model, from configurations that have several runs.
    """
    runs = pd.DataFrame({"config": configs, "value": values}).dropna()
    grouped = runs.groupby("config")["value"]
    counts, means, squares = grouped.size(), grouped.mean(), grouped.var(ddof=1)
    repeated = counts > 1
    counts, means, squares = counts[repeated], means[repeated], squares[repeated]
    if len(counts) < 3:
        return float("nan")
    within = float((squares * (counts - 1)).sum() / (counts - 1).sum())
    center = float((counts * means).sum() / counts.sum())
    spread = float((counts * (means - center) ** 2).sum() / (len(counts) - 1))
    # The mean number of runs of a configuration, corrected for unequal numbers.
    size = float((counts.sum() - (counts**2).sum() / counts.sum()) / (len(counts) - 1))
    between = max(0.0, (spread - within) / size)
    return between / (between + within) if between + within else float("nan")
