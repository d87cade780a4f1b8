"""The objective along each hyperparameter: the best, the middle half, and missing values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.words import label, number
from hpobench_llm.space import Categorical

MANY_LEVELS, BINS = 16, 12  # an axis of more levels is cut into bins of equally many rows

QUANTILES = {"better quarter": 0.25, "median": 0.5, "worse quarter": 0.75}


@dataclass(frozen=True, slots=True)
class Panel:
    """One hyperparameter.

    `lines` hold the objective `(n_levels,)` in own units, NaN where no run finished: `best`, and
    the `QUANTILES` from better to worse. `levels` are the values in words, or the bins' middles.
    `missing` counts at each level the configurations without a value.
    """

    name: str
    label: str
    levels: tuple[str, ...]
    lines: Mapping[str, tuple[float, ...]]
    missing: tuple[int, ...]


def panels(facts: BenchmarkFacts) -> list[Panel]:
    """Return a panel for each hyperparameter that varies; none if no run finished."""
    done = facts.finished(facts.metric)
    if not done.any():
        return []
    return [_panel(facts, name, done) for name in facts.varied()]


def _panel(facts: BenchmarkFacts, name: str, done: NDArray[np.bool_]) -> Panel:
    dimension = next(d for d in facts.space if d.name == name)
    raw = facts.configurations[name].to_numpy()
    order = dimension.values.index if isinstance(dimension, Categorical) else None
    levels = sorted(set(raw.tolist()), key=order)
    if len(levels) <= MANY_LEVELS:
        group = np.array([levels.index(value) for value in raw.tolist()])
        shown = [value if isinstance(value, str) else number(value) for value in levels]
    else:
        values = raw.astype(np.float64)
        edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
        group = np.searchsorted(edges, values)
        shown = [number(float(np.median(values[group == level]))) for level in np.unique(group)]
    sign = facts.metric.to_loss(1.0)
    losses = sign * facts.column(facts.metric.name)
    lines: dict[str, list[float]] = {"best": [], **{name: [] for name in QUANTILES}}
    missing = []
    for level in np.unique(group):
        finished = losses[(group == level) & done]
        missing.append(int(((group == level) & ~done).sum()))
        lines["best"].append(sign * float(finished.min()) if len(finished) else np.nan)
        for line, share in QUANTILES.items():
            lines[line].append(
                sign * float(np.quantile(finished, share)) if len(finished) else np.nan
            )
    return Panel(
        name,
        label(name, dimension.unit),
        tuple(shown),
        {line: tuple(values) for line, values in lines.items()},
        tuple(missing),
    )
