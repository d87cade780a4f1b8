"""Do optimizers rank on a surrogate as they do on its table?

Two optimizers are compared by their incumbents, once for each of a few budgets, which are the
beginnings of one replay. Over the seeds, one wins more often than the other. Many pairs are ties
on the table itself: it says nothing about these, so a surrogate cannot be wrong about them. Only
the pairs count that the table tells apart, by a sign test over the seeds at 5 %. Kendall's tau
over them is the share that the surrogate orders alike minus the share that it reverses; a pair
that it ties counts 0.

The tau of a perfect surrogate is measured, not assumed: the same optimizers run on the table once
more with other seeds, and the tau of the table with itself is the ceiling. The bar is a share of
it. A surrogate can be above the ceiling: it shares the table's seeds, and so every optimizer's
random start.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, pearsonr, rankdata, spearmanr

from hpobench_llm.surrogates.record import Correlations, RankedOptimizer, Ranks, Sides

LEVEL = 0.05  # of the test that tells two optimizers apart on the table
BAR = 0.8  # of the ceiling
LEAST_PAIRS = 5
RESAMPLES = 2000

FloatArray = NDArray[np.float64]
Signs = NDArray[np.int64]


def compare_losses(
    table: FloatArray,
    surrogate: FloatArray,
    again: FloatArray,
    *,
    optimizers: Sequence[str],
    budgets: Sequence[int],
) -> Ranks:
    """Compare the losses of incumbents `(seeds, optimizers, budgets)`; see the module.

    `table` and `surrogate` are paired by seed, `again` is of other seeds. Returns plain JSON:

    `passed` and `verdict`; `pairs` of all budgets and `told_apart`, those that the table tells
    apart; `tau` with its 95 % `interval` from resampling seeds, those of table and surrogate
    together; `ceiling`, the same of the table with itself; `correlation` of the cells' mean losses
    (a cell is an optimizer and a budget), between table and surrogate and of the table with
    itself; `cells`, with mean ranks and losses. The check is passed with at least five pairs told
    apart, a tau of at least the bar's share of the ceiling, and an interval above 0. Where no pair
    is told apart `tau` is None.
    """
    pairs = list(combinations(range(len(optimizers)), 2))
    ours, theirs, others = (_signs(losses, pairs) for losses in (table, surrogate, again))
    decided = _told_apart(ours)
    rng = np.random.default_rng(0)  # fixed: a check that is made again must not change
    apart = f"the table tells {decided.sum()} of {decided.size} pairs of optimizers apart"
    ranks: Ranks = {
        "pairs": int(decided.size),
        "told_apart": int(decided.sum()),
        "cells": _cells(table, surrogate, optimizers, budgets),
        "correlation": {
            "surrogate": _correlations(table, surrogate),
            "table_with_itself": _correlations(table, again),
        },
        "passed": False,
        "verdict": apart,
        "tau": None,
        "interval": None,
    }
    if not decided.any():
        return ranks
    ours, theirs, others = ours[:, decided], theirs[:, decided], others[:, decided]
    # Counts of each seed in a draw stand for the draw itself.
    first, second = (_resampled(len(table), rng) for _ in range(2))
    tau, ceiling = float(_tau(ours, theirs)[0]), float(_tau(ours, others)[0])
    low, high = _interval(_tau(ours, theirs, first, first))
    # The table's two runs share no seeds, so theirs are drawn apart.
    own = _interval(_tau(ours, others, first, second))
    enough = decided.sum() >= LEAST_PAIRS
    passed = bool(enough and tau >= BAR * ceiling and low > 0)
    verdict = f"{apart}; on these Kendall's tau is {tau:.2f} [{low:.2f}, {high:.2f}]"
    verdict += f", the table's own with other seeds {ceiling:.2f}"
    if not enough:
        verdict += f": fewer than {LEAST_PAIRS} pairs are too few to judge by"
    elif passed:
        verdict += f": it reaches {BAR:.0%} of that"
    else:
        verdict += f": it does not reach {BAR:.0%} of that, or may be 0"
    return ranks | {
        "tau": tau,
        "interval": [low, high],
        "ceiling": {"tau": ceiling, "interval": own},
        "passed": passed,
        "verdict": verdict,
    }


def _signs(losses: FloatArray, pairs: list[tuple[int, int]]) -> Signs:
    """Return `(seeds, pairs x budgets)`: 1 where the first of a pair is better, -1, or 0."""
    signs = [np.sign(losses[:, b] - losses[:, a]) for a, b in pairs]
    return np.concatenate(signs, axis=1).astype(np.int64)


def _told_apart(signs: Signs) -> NDArray[np.bool_]:
    """Return for each pair whether a sign test tells it apart; ties say nothing."""
    wins, losses = (signs > 0).sum(axis=0), (signs < 0).sum(axis=0)
    return np.array(
        [
            bool(won + lost) and binomtest(won, won + lost).pvalue < LEVEL
            for won, lost in zip(wins.tolist(), losses.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )


def _tau(
    one: Signs, other: Signs, first: Signs | None = None, second: Signs | None = None
) -> FloatArray:
    """Return `(n,)` taus; `first` and `second` have in each row how often a side's seeds count."""
    once = np.ones((1, len(one)), dtype=np.int64)
    ours = np.sign((once if first is None else first) @ one)
    theirs = np.sign((once if second is None else second) @ other)
    taus: FloatArray = (ours * theirs).mean(axis=1)
    return taus


def _resampled(seeds: int, rng: np.random.Generator) -> Signs:
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES)


def _interval(values: FloatArray) -> list[float]:
    return [float(q) for q in np.quantile(values, [0.025, 0.975])]


def _cells(
    table: FloatArray, surrogate: FloatArray, optimizers: Sequence[str], budgets: Sequence[int]
) -> list[RankedOptimizer]:
    sides = {"table": table, "surrogate": surrogate}
    ranks = {side: rankdata(losses, axis=1).mean(axis=0) for side, losses in sides.items()}
    means = {side: losses.mean(axis=0) for side, losses in sides.items()}
    return [
        {
            "optimizer": optimizer,
            "trials": budget,
            "mean_rank": _both(ranks, i, j),
            "mean_loss": _both(means, i, j),
        }
        for i, optimizer in enumerate(optimizers)
        for j, budget in enumerate(budgets)
    ]


def _both(sides: Mapping[str, FloatArray], i: int, j: int) -> Sides:
    return {"table": float(sides["table"][i, j]), "surrogate": float(sides["surrogate"][i, j])}


def _correlations(one: FloatArray, other: FloatArray) -> Correlations:
    """Return the correlations of the cells' mean losses; None where a side is constant."""
    x, y = (losses.mean(axis=0).ravel() for losses in (one, other))
    if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
        return {"pearson": None, "spearman": None}
    return {
        "pearson": float(pearsonr(x, y).statistic),
        "spearman": float(spearmanr(x, y).statistic),
    }
