"""Held-out regions: how well a surrogate does at a rank or a learning rate that it never saw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.space import Categorical
from hpobench_llm.surrogates.compare import fit_winners, predict
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.rows import Rows
from hpobench_llm.surrogates.spread import fit_spread

MOST_LEVELS = 12


@dataclass(frozen=True, slots=True)
class Region:
    """Rows that are left out together; at an `edge` of the space, or `inner`."""

    axis: str
    left_out: str
    kind: Literal["edge", "inner"]
    rows: NDArray[np.bool_]


def regions(rows: Rows) -> Iterator[Region]:
    """Yield one region a level of every axis.

    An axis of more than twelve distinct values gives its lowest and its highest fifth instead,
    one of more than twelve names those that most rows have.
    """
    for dimension in rows.space.dimensions:
        column = rows.frame[dimension.name]
        levels = column.unique()
        named = isinstance(dimension, Categorical)
        if len(levels) < 2:
            continue
        if len(levels) <= MOST_LEVELS or named:
            often = column.value_counts().sort_index().sort_values(ascending=False, kind="stable")
            for level in sorted(often.index[:MOST_LEVELS]):
                edge = not named and level in (levels.min(), levels.max())
                shown = level if named else f"{level:g}"
                left = (column == level).to_numpy()
                yield Region(dimension.name, shown, "edge" if edge else "inner", left)
        else:
            low, high = np.quantile(column, [0.2, 0.8])
            yield Region(dimension.name, f"<= {low:.4g}", "edge", (column <= low).to_numpy())
            yield Region(dimension.name, f">= {high:.4g}", "edge", (column >= high).to_numpy())


def predict_region(
    region: Region,
    rows: Rows,
    winners: tuple[str, ...],
    residuals: FloatArray,
    *,
    coverage: float,
    seed: int,
    on_fit: Callable[[str], None] = lambda _: None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Predict a region by models and noise that saw nothing of it.

    Returns:
        Predictions and the two ends of their intervals, each `(n, targets)` on the fitted scale
        and NaN outside the region; a target that was never measured outside it is NaN too.
    """
    use = rows.learned() & ~region.rows[:, None]
    columns = np.flatnonzero(use.any(axis=0))
    fitted = fit_winners(
        rows.features,
        rows.values[:, columns],
        use[:, columns],
        [winners[c] for c in columns],
        seed=seed,
        on_fit=on_fit,
    )
    inside = rows.features[region.rows]
    shape = rows.values.shape
    answers = [np.full(shape, np.nan) for _ in range(3)]
    found = predict(fitted, inside, len(columns))
    answers[0][np.ix_(region.rows, columns)] = found
    metrics = residuals.shape[1]
    outside = ~region.rows
    spread = fit_spread(rows.features[outside], residuals[outside], rows.configuration[outside])
    for answer, ends in zip(answers[1:], spread.interval(inside, coverage), strict=True):
        answer[region.rows, :metrics] = answers[0][region.rows, :metrics] + ends
    return answers[0], answers[1], answers[2]
