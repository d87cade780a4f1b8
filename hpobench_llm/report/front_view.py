"""What a picture of fronts shows: its range, the paths of fronts, and baselines beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.comparison.result import BenchmarkComparison
from hpobench_llm.report.words import count, listed

FloatArray = NDArray[np.float64]
Point = tuple[float, float]
# matplotlib's marker, Vega's shape, and its name in a caption; methods take them in turn.
MARKERS = (
    ("s", "square", "squares"),
    ("^", "triangle-up", "triangles"),
    ("D", "diamond", "diamonds"),
    ("v", "triangle-down", "triangles that point down"),
    ("P", "cross", "crosses"),
)


@dataclass(frozen=True, slots=True)
class FrontView:
    """The range `low` to `high` of the two objectives, `(2,)` each, and its `bad` corner.

    `baselines` has the points of each method; `beyond` of them lie past the range, and are moved
    to its edge.
    """

    low: FloatArray
    high: FloatArray
    bad: FloatArray
    baselines: Mapping[str, tuple[Point, ...]]
    beyond: int

    def path(self, front: Sequence[Point]) -> list[Point]:
        """Return a front that goes on at its ends, where nothing is bought any more."""
        return [(front[0][0], float(self.bad[1])), *front, (float(self.bad[0]), front[-1][1])]

    @property
    def words(self) -> str:
        """Which marks are which baselines, as sentences; empty without baselines."""
        if not self.baselines:
            return ""
        named = zip(self.baselines, _in_turn(len(self.baselines)), strict=True)
        marks = [f"{method} ({shapes})" for method, (_, _, shapes) in named]
        text = f" Marks are baselines, no configurations of the space: {listed(marks)}."
        if self.beyond:
            text += f" {count(self.beyond, 'mark')} at the edge: worse than the axes reach."
        return text

    def marked(self) -> list[tuple[str, tuple[Point, ...], str, str]]:
        """Return each method, its points, matplotlib's marker and Vega's shape."""
        marks = zip(self.baselines.items(), _in_turn(len(self.baselines)), strict=True)
        return [(method, points, marker, shape) for (method, points), (marker, shape, _) in marks]


def front_view(result: BenchmarkComparison) -> FrontView:
    """Return what a picture of a benchmark's fronts shows.

    Baselines widen the range, by the span of the fronts at most.
    """
    fronts = [result.front, *(standing.front for standing in result.standings)]
    points = np.array([point for front in fronts for point in front or ()])
    span = np.ptp(points, axis=0)
    span = np.where(span > 0, span, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    drawn: dict[str, tuple[Point, ...]] = {}
    beyond = 0
    for method in result.baselines:
        stated = np.array(method.points)
        moved = np.clip(stated, points.min(axis=0) - span, points.max(axis=0) + span)
        beyond += int((stated != moved).any(axis=1).sum())
        drawn[method.method] = tuple((float(x), float(y)) for x, y in moved)
        low, high = np.minimum(low, moved.min(axis=0)), np.maximum(high, moved.max(axis=0))
    low, high = low - 0.06 * span, high + 0.06 * span
    down = [objective.direction == "minimize" for objective in result.objectives]
    return FrontView(low, high, np.where(down, high, low), drawn, beyond)


def _in_turn(number: int) -> list[tuple[str, str, str]]:
    return [MARKERS[index % len(MARKERS)] for index in range(number)]
