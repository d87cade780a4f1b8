"""A table at a glance, as figures for a terminal and a page.

It computes nothing that a card computes: both read `tables/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.comparison.benchmark import answers
from hpobench_llm.errors import HpobenchError, PoorSurrogateError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.metrics import Fidelity, Metric, objective_of
from hpobench_llm.report.facts import BenchmarkFacts, facts_of
from hpobench_llm.report.web.landscape import QUANTILES, Panel, panels
from hpobench_llm.seeds import Noise
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.gate import in_full as figures_in_full
from hpobench_llm.tables.agreement import agreement, best_quarter
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.surface import Practice, Surface
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import density_of, every_worth, in_full, with_axes, without_signal

TRIALS = (8, 20, 50, 100)  # of random search; the first are as many as a sweep has
MOST_POINTS = 40  # of a curve


@dataclass(frozen=True, slots=True)
class Size:
    """The amount that was measured; `seeds` counts configurations by their number of runs."""

    configurations: int
    density: str
    runs: int
    rows: int
    seeds: Mapping[int, int]
    status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Curves:
    """The objective along a fidelity: quantiles over configurations, and that of the best in full.

    Each line is `(n_points,)` in own units, NaN where no run is ok.
    """

    fidelity: Fidelity
    points: tuple[float, ...]
    lines: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's tau of a score with the objective, of all and of the best quarter, if defined."""

    score: str
    of_all: float | None
    of_best: float | None


@dataclass(frozen=True, slots=True)
class FittedSurrogate:
    """A surrogate of the table: held-out figures in full, and why it is refused, if it is."""

    name: str
    r2: float | None
    tau: float | None
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that `show` says of a table. `surface` is None if no run in full is sound.

    `shares` of the variance are `exact`, with interactions, on a full grid; else of each axis
    alone.
    """

    metadata: Metadata
    metric: Metric
    size: Size
    facts: BenchmarkFacts
    surface: Surface | None
    panels: list[Panel]
    shares: Mapping[str, float]
    exact: bool
    curves: Curves | None
    compared: tuple[int, int]
    agreements: list[Agreement]
    noise: Noise | None
    silent: Mapping[str, str]
    random: Mapping[int, float]
    practices: list[Practice]
    surrogates: list[FittedSurrogate]


def overview(name: str | Path) -> Overview:
    """Return a table at a glance.

    >>> overview("lora-nano").size.configurations
    1536

    Raises:
        UnknownNameError: there is no such table.
        IntegrityError: it is damaged.
    """
    table = Table.load(find_artefact("tables", name))
    benchmark = TabularBenchmark(table)
    metadata = table.metadata
    metric = objective_of(metadata.metrics)
    facts = facts_of(benchmark, metric)
    surface = Surface.of(table)
    exact = surface.shares() if surface else None
    worth, noise = every_worth(table)
    silent = without_signal(table)
    counts, agreements = (0, 0), list[Agreement]()
    if metric.name in worth and metric.name not in silent:
        ranked = {name: values for name, values in worth.items() if name not in silent}
        counts, agreements = _agreements(with_axes(table, ranked), metadata, metric)
    return Overview(
        metadata=metadata,
        metric=metric,
        size=_size(table),
        facts=facts,
        surface=surface,
        panels=panels(facts),
        shares=(exact or surface.alone()) if surface else {},
        exact=exact is not None,
        curves=_curves(benchmark, facts) if surface else None,
        compared=counts,
        agreements=agreements,
        noise=noise.get(metric.name),
        silent=silent,
        random=surface.random_search(TRIALS) if surface else {},
        practices=[*surface.practices(nearest=not surface.dense)] if surface else [],
        surrogates=_surrogates(metadata, metric),
    )


def _size(table: Table) -> Size:
    runs = table.frame.drop_duplicates(["config_id", "seed"])
    seeds = runs.groupby("config_id").size().value_counts().sort_index(ascending=False)
    status = in_full(table)["status"].value_counts()
    return Size(
        runs["config_id"].nunique(),
        density_of(table),
        len(runs),
        len(table.frame),
        dict(zip(map(int, seeds.index.tolist()), map(int, seeds.tolist()), strict=True)),
        {str(name): int(count) for name, count in status.items()},
    )


def _curves(benchmark: TabularBenchmark, facts: BenchmarkFacts) -> Curves | None:
    """Return the objective along the axis that has the most values; others are in full."""
    axes = [axis for axis in benchmark.fidelities if len(axis.values) > 1]
    if not axes:
        return None
    axis = max(axes, key=lambda each: len(each.values))
    spaced = np.linspace(0, len(axis.values) - 1, min(MOST_POINTS, len(axis.values)))
    points = [axis.values[number] for number in np.unique(spaced.round().astype(int))]
    names = list(facts.space.names)
    rows = facts.configurations[names].astype(object).to_dict("records")
    configs = [{str(name): value for name, value in row.items()} for row in rows]
    sign, name = facts.metric.sign, facts.metric.name
    losses = sign * facts.column(name)
    best = int(np.argmin(np.where(facts.finished(facts.metric), losses, np.inf)))
    lines: dict[str, list[float]] = {"best": [], **{line: [] for line in QUANTILES}}
    lines["best in full"] = []
    for point in points:
        frame = answers(benchmark, configs, {axis.name: point})
        values = frame[name].to_numpy(dtype=np.float64)
        ok = (frame["status"] == "ok").to_numpy() & np.isfinite(values)
        good = sign * values[ok]
        lines["best"].append(sign * float(good.min()) if len(good) else np.nan)
        for line, share in QUANTILES.items():
            lines[line].append(sign * float(np.quantile(good, share)) if len(good) else np.nan)
        lines["best in full"].append(float(values[best]) if ok[best] else np.nan)
    return Curves(
        axis,
        tuple(float(point) for point in points),
        {line: tuple(values) for line, values in lines.items()},
    )


def _agreements(
    means: pd.DataFrame, metadata: Metadata, metric: Metric
) -> tuple[tuple[int, int], list[Agreement]]:
    """Compare scores with the objective; returns the numbers of configurations, and each tau."""
    quarter = best_quarter(means, metric)
    scores = [m.name for m in metadata.metrics.values() if m.role == "score" and m.name in means]
    every, best = (agreement(part, metric, scores) for part in (means, quarter))
    agreements = [
        Agreement(name, *(part[name][0] if name in part else None for part in (every, best)))
        for name in scores
    ]
    return (len(means), len(quarter)), agreements


def _surrogates(metadata: Metadata, metric: Metric) -> list[FittedSurrogate]:
    surrogates = []
    for name, folder in list_artefacts("surrogates").items():
        try:
            surrogate = Surrogate.load(folder)
        except HpobenchError as error:
            if name == metadata.name:
                refusal = f"cannot be read: {error}"
                surrogates.append(FittedSurrogate(name, None, None, refusal))
            continue
        if surrogate.table != metadata.name:
            continue
        surrogates.append(_fitted(surrogate, metadata, metric))
    return surrogates


def _fitted(surrogate: Surrogate, metadata: Metadata, metric: Metric) -> FittedSurrogate:
    refusal = ""
    try:
        surrogate.refuse_if_poor()
    except PoorSurrogateError as error:
        refusal = str(error).removeprefix(f"surrogate {surrogate.name}: ")
    if surrogate.table_sha256 != metadata.table_sha256:
        refusal = f"was fitted on version {surrogate.table_version} of the table"
    try:
        held_out = figures_in_full(surrogate.quality["targets"][metric.name], surrogate.fidelities)
        return FittedSurrogate(surrogate.name, held_out["r2"], held_out["kendall_tau"], refusal)
    except (KeyError, TypeError):  # not a target of it, or no complete record: then it is refused
        return FittedSurrogate(surrogate.name, None, None, refusal)
