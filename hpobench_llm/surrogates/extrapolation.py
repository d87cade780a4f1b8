"""Held-out regions: how well a surrogate does at a rank or a learning rate that it never saw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.space import Categorical
from hpobench_llm.surrogates.compare import fit_winners, predict
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.rows import FitRows
from hpobench_llm.surrogates.spread import fit_spread

MOST_LEVELS = 12


@dataclass(frozen=True, slots=True)
class HeldOutRegion:
    """Rows that are left out together; at an `edge` of the space, or `inner`."""

    axis: str
    left_out: str
    kind: Literal["edge", "inner"]
    rows: NDArray[np.bool_]


def regions(rows: FitRows) -> Iterator[HeldOutRegion]:
    """Yield one region a level of every axis.

    An axis with more than twelve numbers gives its lowest and its highest fifth instead. An axis
    with more than twelve names gives the twelve that most rows have.
    """
    for dimension in rows.space.dimensions:
        column = rows.frame[dimension.name]
        levels = column.unique()
        named = isinstance(dimension, Categorical)
        if len(levels) < 2:
            continue
        if len(levels) <= MOST_LEVELS or named:
            # Sorted first, so that names that are equally frequent keep one order.
            often = column.value_counts().sort_index().sort_values(ascending=False, kind="stable")
            for level in sorted(often.index[:MOST_LEVELS]):
                edge = not named and level in (levels.min(), levels.max())
                shown = level if named else f"{level:g}"
                at_level = (column == level).to_numpy()
                yield HeldOutRegion(dimension.name, shown, "edge" if edge else "inner", at_level)
        else:
            low, high = np.quantile(column, [0.2, 0.8])
            yield HeldOutRegion(
                dimension.name, f"<= {low:.4g}", "edge", (column <= low).to_numpy()
            )
            yield HeldOutRegion(
                dimension.name, f">= {high:.4g}", "edge", (column >= high).to_numpy()
            )


def predict_region(
    region: HeldOutRegion,
    rows: FitRows,
    winners: tuple[str, ...],
    residuals: FloatArray,
    *,
    coverage: float,
    seed: int,
    on_fit: Callable[[str], None] = lambda _: None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Predict a region by models and noise that saw nothing of it.

    Returns:
        Predictions and the two ends of their intervals, each `(n, targets)` on the fitted scale.
        They are NaN outside the region, and for a target that was only measured inside it.
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
    predicted, low, high = (np.full(rows.values.shape, np.nan) for _ in range(3))
    predicted[np.ix_(region.rows, columns)] = predict(fitted, inside, len(columns))
    metrics = residuals.shape[1]
    outside = ~region.rows
    spread = fit_spread(rows.features[outside], residuals[outside], rows.configuration[outside])
    for end, residuals_there in zip((low, high), spread.interval(inside, coverage), strict=True):
        end[region.rows, :metrics] = predicted[region.rows, :metrics] + residuals_there
    return predicted, low, high
