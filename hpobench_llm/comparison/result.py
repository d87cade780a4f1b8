"""The results of a comparison: plain, frozen values that a report shows and `to_json` writes."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpobench_llm.constraints import Constraint

FORMAT_VERSION = 5

Verdict = Literal["better", "worse", "tie"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its interval, at the comparison's level."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Band:
    """A curve over a grid of amounts spent, with its pointwise interval; tuples of its length."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def last(self) -> Interval:
        """The end of the curve."""
        return self.at(1.0)

    def at(self, share: float) -> Interval:
        """Return the curve where a share of the budget, in (0, 1], is spent."""
        point = max(1, math.floor(share * len(self.value) + 1e-9)) - 1
        return Interval(self.value[point], self.low[point], self.high[point])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one optimizer did on one benchmark.

    `regret` is the median over seeds, in the metric's units. `optimum_share` is the share of
    seeds that ended within the noise of the best (on it, where the noise is not known or there are
    several objectives), `spent_to_noise` the median amount spent until the regret was within the
    noise for the first time: None if the noise is unknown or half of the seeds never got there.
    `trials` is the most that any seed used, `early` the seeds that ended though their budget was
    not spent and kept their incumbent, `unfinished` the trials whose status is not `ok`. `empty`
    counts the seeds that ended without any trial that was ok and kept the constraints: their
    regret is the worst. `infeasible` is the share of trials that broke a constraint, None without
    constraints. `front` has the points, in own units, that half of the seeds attained with two
    objectives (see `fronts`); None with one objective, or more than two.
    """

    optimizer: str
    regret: Band
    rank: Band
    optimum_share: float
    spent_to_noise: float | None
    trials: int
    early: int
    unfinished: int
    empty: int
    infeasible: float | None
    front: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two optimizers on the final regret; `verdict` is about `first`.

    In a paired comparison `wins`, `ties` and `losses` of `first` count the seeds, and
    `difference` is the median of first minus second; else they count every seed of the first
    against every seed of the second on the same benchmark, and it is the difference of the
    medians. `superiority` is the share that `first` wins, a tie counting half. The difference is
    in the metric's units: below zero, `first` is better; it is None over several benchmarks, whose
    units need not agree. `blocks` is how many values each has. A tie is a difference that is not
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
class Overall:
    """A test of all optimizers at once on the final regret: its name, chi-square and p."""

    test: str
    statistic: float
    p: float


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective, as a report names it."""

    name: str
    unit: str
    direction: Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True)
class BaselinePoints:
    """The points of one method, in own units, that a table holds beside its configurations."""

    method: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkComparison:
    """All optimizers on one benchmark, best mean final rank first.

    `identity` has its kind, its sums, a surrogate's quality. Regret is counted in `metric`, with
    its `unit` and `direction`: the objective, or the hypervolume of several. `optimum`, `noise_sd`
    (between configurations at one seed) and `seed_shift_sd` (of a seed's effect on all) are in its
    units; `optimum_known` is False if the optimum is only the best that a search or any trial
    found. `seeds` are those that all optimizers share, `dropped_seeds` those that some optimizer
    lacks. `left_out` names optimizers that failed
    here more often than not, `in_part` those that ran trials in part. `costs_known` is False where
    some trial's seconds are not known, so that the clock counted 1 for it. `grid` are the amounts,
    in the comparison's `spending`, at which curves are given. `front` is the benchmark's own, of
    two objectives, and `baselines` what its table holds beside its configurations.
    """

    benchmark: str
    identity: dict[str, str]
    objectives: tuple[Objective, ...]
    metric: str
    unit: str
    direction: Literal["minimize", "maximize"]
    optimum: float
    optimum_known: bool
    noise_sd: float | None
    seed_shift_sd: float | None
    constraints: tuple[Constraint, ...]
    seeds: tuple[int, ...]
    dropped_seeds: tuple[int, ...]
    left_out: tuple[str, ...]
    in_part: tuple[str, ...]
    costs_known: bool
    grid: tuple[float, ...]
    trials: int
    front: tuple[tuple[float, float], ...] | None
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    overall: Overall | None
    baselines: tuple[BaselinePoints, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """One optimizer's mean rank over seeds and over all benchmarks, with equal weights."""

    optimizer: str
    rank: Band


@dataclass(frozen=True, slots=True)
class TaskRanked:
    """One optimizer over tasks: its mean final rank, and its mean regret in typical regrets.

    The regret is None where some task's scale is not known.
    """

    optimizer: str
    rank: Interval
    regret: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPair:
    """Two optimizers over tasks; `verdict` is about `first`.

    `wins`, `ties` and `losses` of `first` count the tasks, by the mean over their seeds.
    `difference` is the mean rank of first minus second: below zero, `first` is better.
    """

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    difference: Interval
    p: float
    p_holm: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTasks:
    """What holds over tasks, with seeds nested in them; `ranking` is best first.

    `scales` are the typical regrets that the regret of each task is divided by; None where one is
    not known. `groups` are the runs of two or more in the ranking in which every pair is a
    tie.
    """

    tasks: tuple[str, ...]
    scales: tuple[float, ...] | None
    ranking: tuple[TaskRanked, ...]
    pairs: tuple[TaskPair, ...]
    groups: tuple[tuple[str, ...], ...]
    overall: Overall | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRuns:
    """How often a single run of each of two optimizers agrees with all runs, by one metric.

    Of a pair `first` is better over all benchmarks and seeds by the objective. `same` is the
    chance that it is better by `metric` too in a single run of each, on a benchmark drawn at
    random; `tie` that the two are equal; `opposite` that it is worse. `metric` is `objective`, or
    another metric of the final answers.
    """

    first: str
    second: str
    metric: str
    benchmarks: int
    same: float
    tie: float
    opposite: float


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A replay that failed, and why."""

    benchmark: str
    optimizer: str
    seed: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison:
    """A study in numbers. `ranking` is best first; `pairs` and `overall` are over all blocks.

    These three are of the optimizers that are judged on every benchmark. Seeds are `paired` where
    all optimizers began a seed with the same configurations; else nothing is shared but its
    number. `spending` is the unit in which budgets are counted: see `Spending`. `workers` trials
    ran at a time, on a clock on which the optimizers' own time passed too if
    `optimizer_seconds_count`. `finished` replays did not fail. `grid` is that of the ranks; None
    where the benchmarks' grids differ, and a point is a share of each benchmark's own budget.
    `tasks` is None with one benchmark: then nothing is said of another. `single_runs` is of the
    pairs of the ranking.
    """

    alpha: float
    resamples: int
    seed: int
    spending: str
    paired: bool
    workers: int
    optimizer_seconds_count: bool
    finished: int
    grid: tuple[float, ...] | None
    benchmarks: tuple[BenchmarkComparison, ...]
    ranking: tuple[Ranked, ...]
    pairs: tuple[Pair, ...]
    overall: Overall | None
    tasks: OverTasks | None
    single_runs: tuple[SingleRuns, ...]
    failures: tuple[Failure, ...]

    def __repr__(self) -> str:
        return (
            f"<comparison of {len(self.ranking)} optimizers on {len(self.benchmarks)} benchmarks, "
            f"{self.finished} replays>"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without NaN or infinity."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}
