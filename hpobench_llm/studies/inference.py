"""Bootstrap intervals, ranks and paired tests on arrays; every random draw comes from a generator.

Wilcoxon (1945), Individual comparisons by ranking methods. Friedman (1937), The use of ranks to
avoid the assumption of normality. Holm (1979), A simple sequentially rejective multiple test
procedure. Demsar (2006), Statistical comparisons of classifiers over multiple data sets, for the
use of all three on learning methods. Efron (1979), Bootstrap methods, for the percentile interval.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from hpobench_llm.studies.regret import FloatArray, snap


def percentiles(replicates: FloatArray, *, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Return the `alpha / 2` and `1 - alpha / 2` quantiles of `(n_resamples, ...)` replicates."""
    low, high = np.quantile(replicates, [alpha / 2, 1 - alpha / 2], axis=0)
    return low, high


def bootstrap_median(
    values: FloatArray, *, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Return `(resamples, ...)` medians of seeds drawn with replacement from `(n_seeds, ...)`.

    What is drawn is the seeds' ranks, in each column by itself: a seed is as likely as any other,
    so every column's medians are distributed as if seeds were drawn, and one sort serves all
    columns. How two columns vary together is not kept, and a pointwise interval does not use it.
    """
    n_seeds = len(values)
    drawn = np.sort(rng.integers(n_seeds, size=(resamples, n_seeds)), axis=1)
    ordered = np.sort(values, axis=0)
    lower, upper = drawn[:, (n_seeds - 1) // 2], drawn[:, n_seeds // 2]
    medians: FloatArray = (ordered[lower] + ordered[upper]) / 2
    return medians


def bootstrap_mean(values: FloatArray, *, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Return `(resamples, ...)` means of seeds drawn with replacement from `(n_seeds, ...)`.

    One draw of seeds serves all other axes, so whatever is paired by seed stays paired. Sums are
    taken over whole counts before the division, so that ranks, multiples of a half, stay exact.
    """
    n_seeds = len(values)
    counts = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=resamples)
    means: FloatArray = np.tensordot(counts.astype(np.float64), values, axes=1) / n_seeds
    return means


def ranks(regrets: FloatArray) -> FloatArray:
    """Rank `(n_optimizers, ...)` regrets along the first axis: 1 is best, ties share their mean.

    The ranks of n optimizers sum to n (n + 1) / 2 everywhere.
    """
    ranked: FloatArray = stats.rankdata(regrets, method="average", axis=0)
    return ranked


def signed_rank_test(differences: Sequence[FloatArray]) -> tuple[float, int]:
    """Test whether paired differences are symmetric about zero (Wilcoxon 1945, two-sided).

    Optimizers that find a table's optimum in the same seed tie exactly, which is evidence for
    equality. So zeros are ranked and half of their ranks goes to each side (`zsplit`): dropping
    them, Wilcoxon's own choice, would let few untied seeds decide, and Pratt's normal
    approximation is too bold when few are left. p is exact without ties, and up to 13 pairs.

    Args:
        differences: one array for each benchmark, first minus second, lower is better. With
            several, each is divided by its mean magnitude, so that units cancel; under the
            null hypothesis signs are independent of magnitudes, so the test stays valid.

    Returns:
        p, and which side the rank sum favours: -1 the first, 1 the second, 0 neither. If all
        differences are zero, p is 1.
    """
    scaled = [d / (np.abs(d).mean() or 1.0) if len(differences) > 1 else d for d in differences]
    pooled = np.concatenate(scaled)
    pooled = np.sign(pooled) * snap(np.abs(pooled))
    if not pooled.any():
        return 1.0, 0
    side = np.sign((np.sign(pooled) * stats.rankdata(np.abs(pooled))).sum())
    return float(stats.wilcoxon(pooled, zero_method="zsplit").pvalue), int(side)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method (1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    steps = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(steps, 1.0)
    return [float(p) for p in corrected]


def friedman(block_ranks: FloatArray) -> tuple[float, float] | None:
    """Test whether all optimizers rank alike: Friedman's chi-square (corrected for ties) and p.

    Args:
        block_ranks: `(n_optimizers, n_blocks)`; a block is one seed on one benchmark.

    Returns:
        None for fewer than three optimizers or two blocks; (0, 1) if every block is one tie.
    """
    n_optimizers, n_blocks = block_ranks.shape
    if n_optimizers < 3 or n_blocks < 2:
        return None
    if not np.ptp(block_ranks):
        return 0.0, 1.0
    result = stats.friedmanchisquare(*block_ranks)
    return float(result.statistic), float(result.pvalue)


def rank_correlation(x: FloatArray, y: FloatArray) -> tuple[float, float] | None:
    """Return Spearman's rho and Kendall's tau-b of `(n,)` arrays; None where they are undefined.

    They are undefined for fewer than three points and where one array is constant.
    """
    if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
        return None
    return float(stats.spearmanr(x, y).statistic), float(stats.kendalltau(x, y).statistic)


def first_within(regrets: FloatArray, level: float, grid: FloatArray) -> FloatArray:
    """Return where on the grid `(..., n)` regrets are first at most `level`; infinity: nowhere."""
    inside = regrets <= level
    return np.where(inside.any(axis=-1), grid[inside.argmax(axis=-1)], np.inf)
