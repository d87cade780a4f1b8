"""What a model learns from: the configurations that were tried, their losses, and what runs."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from hpobench_llm.optimizers.encoding import Point, Points, encode
from hpobench_llm.space import Configuration, Space, config_id

Losses = NDArray[np.float64]


class History:
    """Points of the unit cube with equal cells, see `encoding`, and their losses."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._finished: dict[int, tuple[Point, float, bool]] = {}
        self._running: dict[int, Point] = {}
        self.seen: set[str] = set()  # ids of configurations, and of those they were moved to

    def __len__(self) -> int:
        return len(self._finished)

    def begin(self, number: int, config: Configuration) -> None:
        """Enter a configuration that is being evaluated."""
        self.seen.add(config_id(config))
        self._running[number] = encode(self._space, config)

    def end(self, number: int, config: Configuration, loss: float, *, ok: bool) -> None:
        """Enter an outcome, in place of an earlier one of that number.

        If it is not `ok`, its loss is ignored.
        """
        self._running.pop(number, None)
        self.seen.add(config_id(config))
        self._finished[number] = encode(self._space, config), loss, ok

    @property
    def points(self) -> Points:
        """What was evaluated, `(n, d)`, in the order of the first outcomes."""
        return np.array([point for point, _, _ in self._finished.values()])

    @property
    def losses(self) -> Losses:
        """The losses `(n,)`; a failed trial has the worst loss of those that did not fail.

        A metric's worst value may be far above all that was measured, and would flatten the
        differences among the rest. If all trials have failed, all losses are equal.
        """
        worst = max((loss for _, loss, ok in self._finished.values() if ok), default=0.0)
        return np.array([loss if ok else worst for _, loss, ok in self._finished.values()])

    @property
    def running(self) -> Points:
        """What is being evaluated, `(m, d)`, in the order in which it began."""
        return np.array([*self._running.values()]).reshape(-1, len(self._space))


def warped(losses: Losses) -> Losses:
    """Return losses `(n,)` with mean 0 and variance 1 (equal ones: 0), the bad half rescaled.

    Those above the median become normal quantiles of their ranks, as wide as the good half is,
    so that a few very bad trials do not flatten what a model sees of the good ones: the half-rank
    warping of Song et al., "The Vizier Gaussian process bandit algorithm", arXiv 2408.11527, 2024.
    """
    if losses.min() == losses.max():
        return np.zeros(len(losses))
    median = float(np.median(losses))
    good = losses <= median
    # As wide as the good half: where that is all ties, one unit.
    spread = float(np.sqrt(np.mean((losses[good] - median) ** 2))) or 1.0
    quantiles = (rankdata(losses) - 0.5) / len(losses)
    values = np.where(good, losses, median + spread * ndtri(np.maximum(quantiles, 0.5)))
    standardised: Losses = (values - values.mean()) / values.std()
    return standardised
