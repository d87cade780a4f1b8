"""What a study says: regret curves, ranks and paired tests, each with its uncertainty.

Follows Demsar (2006): ranks over blocks, Friedman's test over all optimizers, Wilcoxon's
signed-rank test between pairs, Holm's correction within the pairs of one benchmark. The block is
a seed on a benchmark, so a verdict speaks of these benchmarks under new seeds, not of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from hpobench_llm.errors import IntegrityError, UnknownNameError
from hpobench_llm.metrics import Metric
from hpobench_llm.studies import inference
from hpobench_llm.studies.comparison import (
    Band,
    BenchmarkComparison,
    Comparison,
    Friedman,
    Pair,
    Ranked,
    Standing,
    Verdict,
)
from hpobench_llm.studies.regret import FloatArray, Regrets, regrets

__all__ = ["Comparison", "compare_trajectories"]


def compare_trajectories(
    frame: pd.DataFrame,
    benchmarks: Mapping[str, tuple[Metric, float, float | None]],
    *,
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare every optimizer of a study on every benchmark, and over all of them.

    Args:
        frame: trajectories, as `Trajectory` describes them, of all optimizers and benchmarks.
        benchmarks: for each name the objective, its optimum, and the standard deviation between
            training seeds near the optimum (None or NaN if unknown), the last two in the metric's
            units.
        alpha: the level of the tests; intervals cover 1 - alpha.
        resamples: bootstrap resamples of seeds.
        seed: of the bootstrap's generator, one stream for each benchmark and its name, so that a
            benchmark more does not move another's intervals.

    Raises:
        IntegrityError: the frame is empty, lacks a column, holds a trial twice, or the optimizers
            share no seed on some benchmark.
        UnknownNameError: the frame holds a benchmark that `benchmarks` lacks.
        ValueError: `alpha` does not lie in (0, 1), or `resamples` is below 1.
    """
    if not 0 < alpha < 1 or resamples < 1:
        raise ValueError(f"alpha in (0, 1) and resamples >= 1, got {alpha} and {resamples}")
    if frame.empty or not {"benchmark", "optimizer"} <= set(frame.columns):
        raise IntegrityError("trajectories without rows, or without benchmark and optimizer")
    names = sorted(frame["benchmark"].unique())
    for name in names:
        if name not in benchmarks:
            raise UnknownNameError("benchmark", name, benchmarks)

    optimizers = sorted(frame["optimizer"].unique())
    rank_draws, rank_means, final = [], [], []
    measured: dict[str, Regrets] = {}
    draw = _Bootstrap(alpha, resamples, seed)
    for name in names:
        metric, optimum, _ = benchmarks[name]
        measured[name] = regrets(
            frame, benchmark=name, optimizers=optimizers, metric=metric, optimum=optimum
        )
        ranked = inference.ranks(measured[name].curves)
        rank_means.append(ranked.mean(axis=1))
        rank_draws.append(draw.rank_means(ranked, name))
        final.append(ranked[:, :, -1])

    longest = max(means.shape[-1] for means in rank_means)
    bands = _bands(
        np.mean([_hold(means, longest) for means in rank_means], axis=0),
        np.mean([_hold(draws, longest) for draws in rank_draws], axis=0),
        alpha,
    )
    order = sorted(range(len(optimizers)), key=lambda i: bands[i].value[-1])
    return Comparison(
        alpha=alpha,
        resamples=resamples,
        seed=seed,
        benchmarks=tuple(
            _compare_one(name, benchmarks[name], measured[name], means, draws, draw)
            for name, means, draws in zip(names, rank_means, rank_draws, strict=True)
        ),
        ranking=tuple(Ranked(optimizers[i], bands[i]) for i in order),
        pairs=_pairs(measured, order, draw),
        friedman=_friedman(np.concatenate(final, axis=1)),
    )


@dataclass(frozen=True, slots=True)
class _Bootstrap:
    """The bootstrap of one comparison: equal names give equal draws."""

    alpha: float
    resamples: int
    seed: int

    def _generator(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose.encode()])

    def median(self, values: FloatArray, name: str) -> Band:
        """Return the median over seeds of `(n_seeds, n)` values with its interval."""
        rng = self._generator(f"median {name}")
        draws = inference.bootstrap_median(values, resamples=self.resamples, rng=rng)
        return _band(np.median(values, axis=0), *inference.percentiles(draws, alpha=self.alpha))

    def rank_means(self, ranked: FloatArray, name: str) -> FloatArray:
        """Return `(resamples, n_optimizers, n_trials)` mean ranks, seeds drawn jointly."""
        rng = self._generator(f"ranks {name}")
        return inference.bootstrap_mean(
            np.moveaxis(ranked, 1, 0), resamples=self.resamples, rng=rng
        )


def _band(value: FloatArray, low: FloatArray, high: FloatArray) -> Band:
    return Band(*(tuple(float(x) for x in part) for part in (value, low, high)))


def _bands(value: FloatArray, draws: FloatArray, alpha: float) -> list[Band]:
    low, high = inference.percentiles(draws, alpha=alpha)
    return [_band(*curves) for curves in zip(value, low, high, strict=True)]


def _hold(values: FloatArray, n_trials: int) -> FloatArray:
    """Lengthen the last axis to `n_trials` by its last value, as an incumbent is kept."""
    width = [(0, 0)] * (values.ndim - 1) + [(0, n_trials - values.shape[-1])]
    return np.pad(values, width, mode="edge")


def _friedman(block_ranks: FloatArray) -> Friedman | None:
    result = inference.friedman(block_ranks)
    return None if result is None else Friedman(*result)


def _compare_one(
    name: str,
    problem: tuple[Metric, float, float | None],
    measured: Regrets,
    rank_means: FloatArray,
    rank_draws: FloatArray,
    draw: _Bootstrap,
) -> BenchmarkComparison:
    metric, optimum, noise = problem
    noise = float(noise) if noise is not None and np.isfinite(noise) else None
    rank_bands = _bands(rank_means, rank_draws, draw.alpha)
    order = sorted(range(len(rank_bands)), key=lambda i: rank_bands[i].value[-1])
    longest = measured.curves.shape[-1]
    standings = []
    for i in order:
        values, trials = measured.curves[i], measured.trials[i]
        reached = np.inf
        if noise is not None:
            reached = float(np.median(inference.first_within(values, noise)))
        standings.append(
            Standing(
                optimizer=measured.optimizers[i],
                regret=draw.median(values, name),
                rank=rank_bands[i],
                optimum_share=float(np.mean(values[:, -1] <= 0)),
                trials_to_noise=reached if np.isfinite(reached) else None,
                trials=int(trials.max()),
                early=int(np.sum(trials < longest)),
                unfinished=int(measured.unfinished[i].sum()),
            )
        )
    return BenchmarkComparison(
        benchmark=name,
        metric=metric.name,
        unit=metric.unit,
        direction=metric.direction,
        optimum=float(optimum),
        noise_sd=noise,
        seeds=measured.seeds,
        dropped_seeds=measured.dropped,
        trials=longest,
        standings=tuple(standings),
        pairs=_pairs({name: measured}, order, draw),
        friedman=_friedman(inference.ranks(measured.curves[:, :, -1])),
    )


def _pairs(
    measured: Mapping[str, Regrets], order: list[int], draw: _Bootstrap
) -> tuple[Pair, ...]:
    """Test every pair on the final regret, the better-ranked optimizer first."""
    raw = []
    for a, b in combinations(order, 2):
        finals = {name: r.curves[:, :, -1] for name, r in measured.items()}
        differences = {name: values[a] - values[b] for name, values in finals.items()}
        raw.append((a, b, differences, *inference.signed_rank_test([*differences.values()])))
    corrected = inference.holm([p for *_, p, _ in raw])
    names = next(iter(measured.values())).optimizers
    pairs = []
    for (a, b, differences, p, side), p_holm in zip(raw, corrected, strict=True):
        signs = np.sign(np.concatenate([*differences.values()]))
        wins, ties, losses = (int(np.sum(signs == sign)) for sign in (-1, 0, 1))
        median = None
        if len(differences) == 1:
            ((name, values),) = differences.items()
            median = draw.median(values[:, None], name).last
        verdict: Verdict = "tie"
        if p_holm < draw.alpha and side:
            verdict = "better" if side < 0 else "worse"
        pairs.append(
            Pair(
                first=names[a],
                second=names[b],
                blocks=len(signs),
                wins=wins,
                ties=ties,
                losses=losses,
                superiority=(wins + ties / 2) / len(signs),
                difference=median,
                p=p,
                p_holm=p_holm,
                verdict=verdict,
            )
        )
    return tuple(pairs)
