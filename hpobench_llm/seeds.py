"""The training seeds of a table: those that answer, their common effects, and the rest.

A seed fixes the order of the data, so it moves all good configurations alike, and means over
different seeds cannot be compared. So a table answers from the seeds that all of its
configurations have. All further runs are judged by the two-way model

    loss = configuration + seed + rest

with the seeds' effects as draws from one distribution. It is fitted on the good configurations
that were run with several seeds: the variances by Henderson's third method, the effects as best
linear unbiased predictions, which shrink to 0 where they cannot be told from the rest. Henderson
(1953), Estimation of variance and covariance components; Robinson (1991), That BLUP is a good
thing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_SHARE = 0.05  # of the configurations, by loss: among these a search ends
MANY = 1000  # shared seeds: more count as mere repeats, since the fit would take too long
FREEDOM = 8  # degrees of freedom of the rest: with fewer, more configurations are taken

Floats = NDArray[np.float64]
Integers = NDArray[np.int64] | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of training one good run, as two standard deviations in the metric's unit.

    `shift` is the effect of a seed on all configurations: it is no part of a difference between
    two configurations that were run with the same seeds. `rest` is the noise of each of the two in
    such a difference. If no seed is shared by several configurations, `shift` is NaN and `rest` is
    all of the noise. Both are NaN without repeats.
    """

    shift: float
    rest: float

    @property
    def total(self) -> float:
        """The standard deviation between runs of one configuration with seeds of their own."""
        return float(np.hypot(np.nan_to_num(self.shift), self.rest))


@dataclass(frozen=True, slots=True, eq=False)
class SeedEffects:
    """The effect of each of the `seeds` (increasing) on the loss of a good run, and the noise."""

    seeds: Integers
    effects: Floats
    noise: Noise

    def of(self, seeds: Integers) -> Floats:
        """Return the effect of each of `(n,)` seeds; 0 for one that was never repeated."""
        if not len(self.seeds):
            return np.zeros(len(seeds))
        index = np.minimum(np.searchsorted(self.seeds, seeds), len(self.seeds) - 1)
        return np.where(self.seeds[index] == seeds, self.effects[index], 0.0)


NOTHING_REPEATED = SeedEffects(np.zeros(0, dtype=np.int64), np.zeros(0), Noise(np.nan, np.nan))


def shared_seeds(configs: Integers, seeds: Integers) -> list[int]:
    """Return the seeds that every configuration has, increasing.

    Args:
        configs: `(rows,)` the number of each row's configuration, from 0 without gaps.
        seeds: `(rows,)` the seed of each row; a run may have many rows.
    """
    names, codes = np.unique(seeds, return_inverse=True)
    runs = np.unique(configs.astype(np.int64) * len(names) + codes)
    counts = np.bincount(runs % len(names), minlength=len(names))
    return [int(seed) for seed in names[counts == configs.max(initial=-1) + 1]]


def answering(configs: Integers, seeds: Integers) -> NDArray[np.bool_]:
    """Return `(rows,)`: whether a table answers with a row if no seed is named.

    These are the rows of the seeds that all configurations share. If they share none, seeds are
    only names for repeats: then each configuration has as many runs, of its lowest seeds, as the
    one with the fewest.
    """
    shared = shared_seeds(configs, seeds)
    if shared or not len(seeds):
        return np.isin(seeds, shared)
    names, codes = np.unique(seeds, return_inverse=True)
    runs, which = np.unique(configs.astype(np.int64) * len(names) + codes, return_inverse=True)
    _, starts, counts = np.unique(runs // len(names), return_index=True, return_counts=True)
    turn = np.arange(len(runs)) - np.repeat(starts, counts)
    first: NDArray[np.bool_] = (turn < counts.min())[which]
    return first


def seed_effects(configs: Integers, seeds: Integers, losses: Floats) -> SeedEffects:
    """Fit the two-way model to the good ones of runs in full.

    Good is the best twentieth of the configurations by their mean loss; if its repeats leave the
    rest fewer than 8 degrees of freedom, the best tenth, and so on.

    Args:
        configs: `(runs,)` the number of each run's configuration.
        seeds: `(runs,)` its seed.
        losses: `(runs,)` its loss; NaN if it was not measured.
    """
    measured = np.isfinite(losses)
    names, codes = np.unique(configs[measured], return_inverse=True)
    values = losses[measured]
    counts = np.bincount(codes, minlength=len(names))
    order = np.argsort(np.bincount(codes, values, len(names)) / np.maximum(counts, 1))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    share = SMALLEST_SHARE
    while True:
        used = (rank < max(1.0, share * len(names)))[codes] & (counts > 1)[codes]
        fitted, freedom = _fit(codes[used], seeds[measured][used], values[used])
        if freedom >= FREEDOM or share >= 1.0:
            return fitted
        share *= 2


def _fit(configs: Integers, seeds: Integers, losses: Floats) -> tuple[SeedEffects, int]:
    """Return the effects and the degrees of freedom that the fit leaves the rest."""
    repeats = len(losses) - len(np.unique(configs))
    within = _within(configs, losses)
    total = float(np.sqrt(within @ within / repeats)) if repeats else np.nan
    inseparable = SeedEffects(seeds[:0], losses[:0], Noise(np.nan, total))
    # A seed of one configuration alone is fitted exactly and adds nothing; without it another one
    # may be alone.
    while len(alone := np.flatnonzero(_alone(seeds) | _alone(configs))):
        configs, seeds = np.delete(configs, alone), np.delete(seeds, alone)
        losses = np.delete(losses, alone)
    names, seed = np.unique(seeds, return_inverse=True)
    if not 0 < len(names) <= MANY:
        return inseparable, 0
    within = _within(configs, losses)
    # The normal equations of the seeds once the configurations are swept out.
    _, config, counts = np.unique(configs, return_inverse=True, return_counts=True)
    runs = np.zeros((len(counts), len(names)))
    runs[config, seed] = 1.0
    gram = np.diag(runs.sum(axis=0)) - runs.T @ (runs / counts[:, None])
    right = np.bincount(seed, within, len(names))
    repeats, rank = len(losses) - len(counts), int(np.linalg.matrix_rank(gram))
    freedom = repeats - rank
    if freedom < 1:
        return inseparable, 0
    explained = float(right @ np.linalg.lstsq(gram, right)[0])
    rest = max(0.0, float(within @ within) - explained) / freedom
    shift = max(0.0, explained - rank * rest) / repeats
    effects = np.zeros(len(names))
    if shift > 0:
        effects += np.linalg.lstsq(gram + rest / shift * np.eye(len(names)), right)[0]
    return SeedEffects(names, effects, Noise(float(np.sqrt(shift)), float(np.sqrt(rest)))), freedom


def _within(configs: Integers, losses: Floats) -> Floats:
    """Return losses less the mean of their configuration."""
    _, config, counts = np.unique(configs, return_inverse=True, return_counts=True)
    means: Floats = np.bincount(config, losses, len(counts)) / counts
    return losses - means[config]


def _alone(codes: Integers) -> NDArray[np.bool_]:
    """Return `(n,)`: whether no other element is the same."""
    _, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return np.asarray(counts[which] == 1)
