"""Which of two optimizers is better on the final regret, by how much, and how certainly."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpobench_llm.comparison import inference
from hpobench_llm.comparison.regret import FloatArray, Regrets
from hpobench_llm.comparison.result import Band, Interval, Pair, Verdict


@dataclass(frozen=True, slots=True)
class Draws:
    """The bootstrap of one comparison: equal names give equal draws.

    Seeds are drawn with replacement; for each optimizer by itself unless they are `paired`.
    """

    alpha: float
    resamples: int
    seed: int
    paired: bool

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a stream of its own for each purpose."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def median(self, values: FloatArray, name: str) -> Band:
        """Return the median over seeds of `(n_seeds, n)` values with its interval."""
        rng = self.generator(f"median {name}")
        draws = inference.bootstrap_median(values, resamples=self.resamples, rng=rng)
        return band(np.median(values, axis=0), *inference.percentiles(draws, alpha=self.alpha))

    def difference(self, first: FloatArray, second: FloatArray, name: str) -> Interval:
        """Return the difference in the median of two optimizers' values `(n_seeds,)`."""
        if self.paired:
            return self.median((first - second)[:, None], name).last
        rng = self.generator(f"median {name}")
        of_first, of_second = (
            inference.bootstrap_median(values[:, None], resamples=self.resamples, rng=rng)
            for values in (first, second)
        )
        ends = inference.percentiles(of_first - of_second, alpha=self.alpha)
        return band(np.array([np.median(first) - np.median(second)]), *ends).last


def band(value: FloatArray, low: FloatArray, high: FloatArray) -> Band:
    """Return a curve with its interval as plain numbers."""
    return Band(*(tuple(float(x) for x in part) for part in (value, low, high)))


def pairs_of(measured: Mapping[str, Regrets], order: list[int], draw: Draws) -> tuple[Pair, ...]:
    """Test every pair on the final regret, the better-ranked optimizer first."""
    finals = [each.curves[:, :, -1] for each in measured.values()]
    raw = []
    for a, b in combinations(order, 2):
        samples = [(values[a], values[b]) for values in finals]
        if draw.paired:
            p, side = inference.signed_rank_test([first - second for first, second in samples])
        else:
            p, side = inference.rank_sum_test(samples)
        raw.append((a, b, samples, p, side))
    corrected = inference.holm([p for *_, p, _ in raw])
    names = next(iter(measured.values())).optimizers
    pairs = []
    for (a, b, samples, p, side), p_holm in zip(raw, corrected, strict=True):
        # Without pairs every seed of one meets every seed of the other.
        subtract = np.subtract if draw.paired else np.subtract.outer
        signs = np.sign(np.concatenate([subtract(x, y).ravel() for x, y in samples]))
        wins, ties, losses = (int(np.sum(signs == sign)) for sign in (-1, 0, 1))
        difference = None  # units need not agree between benchmarks
        if len(samples) == 1:
            difference = draw.difference(*samples[0], next(iter(measured)))
        verdict: Verdict = "tie"
        if p_holm < draw.alpha and side:
            verdict = "better" if side < 0 else "worse"
        pairs.append(
            Pair(
                first=names[a],
                second=names[b],
                blocks=sum(len(first) for first, _ in samples),
                wins=wins,
                ties=ties,
                losses=losses,
                superiority=(wins + ties / 2) / len(signs),
                difference=difference,
                p=p,
                p_holm=p_holm,
                verdict=verdict,
            )
        )
    return tuple(pairs)
