"""What `quality.json` holds: the types of a surrogate's quality, and what each figure is.

They are plain JSON, so dictionaries whose keys are typed: what is written is what is read. Units
are those of the target. A figure that does not exist (no seed repeats, all values equal) is None.
"""

from typing import Literal, NotRequired, TypedDict

Number = float | None


class QualityFigures(TypedDict, total=False):
    """Held-out predictions beside the truth, of one target and one part of the rows."""

    # which part
    fidelity: dict[str, float]  # the rows of one fidelity
    axis: str  # the rows of an axis's level that was left out ...
    left_out: float | str  # ... that level ...
    kind: str  # ... which is an `edge`, or `inner`
    # of a metric or a cost; a cell is a configuration at a fidelity
    runs: int
    cells: int
    r2: Number
    r2_ceiling: Number  # what the exact expectation would reach
    kendall_tau: Number
    kendall_tau_between_seeds: Number  # of a cell's first run with its second
    spearman: Number
    mean_absolute_error: Number
    seed_standard_deviation: Number
    coverage: dict[str, Number]  # by nominal coverage: the share of runs inside the interval
    bias: float  # predicted minus true, of the best quarter
    # of the probability of a status
    share: float  # of runs that have it
    mean_probability: float
    brier: float  # mean squared error
    brier_of_the_share: float  # that of answering the share everywhere
    auc: Number
    right_status: float  # share of runs whose likeliest status is theirs


class TargetRecord(TypedDict):
    """One target: how it was fitted, and its figures over all rows and by part."""

    kind: Literal["metric", "probability"]
    fitted_as: Literal["logarithm", "value"]
    family: str
    held_out_error: dict[str, float]  # by family: squared error as a share of the variance
    own_share_of_seeds: float | None  # of a seed's noise that is not common to all metrics
    all: QualityFigures
    by_fidelity: list[QualityFigures]
    extrapolation: list[QualityFigures]
    best_quarter: NotRequired[QualityFigures]  # of a metric


class CostRecord(QualityFigures):
    """A cost: its rates' families and errors, in the order of its parts, and its figures."""

    families: list[str]
    held_out_error: list[dict[str, float]]
    median_relative_error: float


class Deviations(TypedDict):
    """Standard deviations between seeds in one quarter of the configurations."""

    repeated: int  # configurations with several runs
    measured: Number
    drawn: Number


class Best(TypedDict):
    """The best value of the measured table, and lowest, middle and highest of drawn ones."""

    measured: Number
    drawn: list[float]


class DrawsRecord(TypedDict):
    """What a seed draws beside what seeds did; the best quarter comes first."""

    regions: list[Deviations]
    best: Best


class Sides(TypedDict):
    """One figure on either side of the ranking check."""

    table: float
    surrogate: float


class RankedOptimizer(TypedDict):
    """An optimizer after some trials: means over seeds."""

    optimizer: str
    trials: int
    mean_rank: Sides
    mean_loss: Sides


class Correlations(TypedDict):
    """Of the cells' mean losses."""

    pearson: Number
    spearman: Number


class BothCorrelations(TypedDict):
    """Of the table with its surrogate, and with itself for other seeds."""

    surrogate: Correlations
    table_with_itself: Correlations


class Ceiling(TypedDict):
    """Kendall's tau of the table with itself for other seeds, and its 95 % interval."""

    tau: float
    interval: list[float]


class Ranks(TypedDict):
    """How optimizers rank on both sides; see `comparison.ranks.compare_losses`."""

    pairs: int
    told_apart: int
    cells: list[RankedOptimizer]
    correlation: BothCorrelations
    tau: float | None
    interval: list[float] | None
    ceiling: NotRequired[Ceiling]  # where any pair is told apart
    passed: bool
    verdict: str


class Location(TypedDict):
    """Where the best lies on both sides; see `comparison.location.location`."""

    best: int
    regret: float
    share: float
    share_bar: float
    tau: float | None
    tau_between_seeds: float | None
    tau_bar: float
    passed: bool
    verdict: str


class RankingCheck(TypedDict, total=False):
    """The outcome of a ranking check: what was run, its ranks and the location of the best.

    Without `cells` or `location` it was made by an older design, or could not be made at all.
    """

    objective: str
    seeds: int
    budgets: list[int]  # runs in full after which optimizers are compared
    bar: float
    optimizers: list[str]
    left_out: list[str]
    versions: dict[str, str]
    pairs: int
    told_apart: int
    cells: list[RankedOptimizer]
    correlation: BothCorrelations
    tau: float | None
    interval: list[float] | None
    ceiling: Ceiling
    location: Location
    passed: bool
    verdict: str


class Quality(TypedDict):
    """A surrogate's whole quality record."""

    table: str
    table_version: str
    table_sha256: str
    configurations: int
    runs: int  # in full
    method: dict[str, str]  # how the figures were made, in sentences
    families: dict[str, str]  # what competed, and what each is
    seeds_repeat: bool
    left_out: list[str]
    targets: dict[str, TargetRecord]
    resources: dict[str, CostRecord]
    ranking_check: RankingCheck | None
    draws: NotRequired[dict[str, DrawsRecord]]
