"""What a comparison holds: plain, frozen values that a report shows and `to_json` writes."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

FORMAT_VERSION = 1

Verdict = Literal["better", "worse", "tie"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its bootstrap percentile interval, at the comparison's level."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Band:
    """A curve over trials 1 to n with its pointwise interval; three tuples of length n_trials."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def last(self) -> Interval:
        """The end of the curve."""
        return Interval(self.value[-1], self.low[-1], self.high[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one optimizer did on one benchmark.

    `regret` is the median over seeds, in the metric's units. `optimum_share` is the share of
    seeds that ended on the optimum, `trials_to_noise` the median number of trials until the
    regret was within the seed noise: None if the noise is unknown or half of the seeds never got
    there. `trials` is the most that any seed used, `early` the seeds that used fewer than the
    longest trajectory and kept their incumbent, `unfinished` the trials whose status is not `ok`.
    """

    optimizer: str
    regret: Band
    rank: Band
    optimum_share: float
    trials_to_noise: float | None
    trials: int
    early: int
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two optimizers on the final regret, paired by seed; `verdict` says what `first` is.

    `superiority` is the share of blocks that `first` wins, a tie counting half. `difference` is
    the median of first minus second in the metric's units: below zero, `first` is better; it is
    None over several benchmarks, whose units need not agree. A tie is a difference that is not
    significant after Holm's correction; it is no proof that the two are equal.
    """

    first: str
    second: str
    blocks: int
    wins: int
    ties: int
    losses: int
    superiority: float
    difference: Interval | None
    p: float
    p_holm: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's chi-square over all optimizers on the final ranks, with its p."""

    statistic: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkComparison:
    """All optimizers on one benchmark, best mean final rank first.

    `optimum` and `noise_sd` are in the metric's own units; `seeds` are those that all optimizers
    share, `dropped_seeds` those that some optimizer lacks.
    """

    benchmark: str
    metric: str
    unit: str
    direction: Literal["minimize", "maximize"]
    optimum: float
    noise_sd: float | None
    seeds: tuple[int, ...]
    dropped_seeds: tuple[int, ...]
    trials: int
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    friedman: Friedman | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One optimizer's mean rank over all benchmarks and seeds, every benchmark weighing alike."""

    optimizer: str
    rank: Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A study in numbers. `ranking` is best first; `pairs` and `friedman` are over all blocks."""

    alpha: float
    resamples: int
    seed: int
    benchmarks: tuple[BenchmarkComparison, ...]
    ranking: tuple[Ranked, ...]
    pairs: tuple[Pair, ...]
    friedman: Friedman | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without NaN or infinity."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}
