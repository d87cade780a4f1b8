"""What a study says: regret curves, ranks and tests of pairs, each with its uncertainty.

Follows Demsar (2006): mean ranks, a test of all optimizers at once, a test of each pair, Holm's
correction within the pairs of one benchmark. What varies is the seed, so a verdict speaks of these
benchmarks under new seeds, not of others. Optimizers that began a seed with the same
configurations are compared within it: Friedman's test over all, Wilcoxon's signed-rank test of a
pair. Without a shared beginning equal seeds have nothing in common, and blocks would only cost
power: then it is Kruskal and Wallis's test (with several benchmarks Mack and Skillings's), and the
two-sample test of Mann and Whitney.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hpobench_llm.comparison import inference
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.fronts import median_attained
from hpobench_llm.comparison.over_tasks import over_tasks
from hpobench_llm.comparison.regret import FloatArray, Regrets, regrets
from hpobench_llm.comparison.result import (
    Band,
    BaselinePoints,
    BenchmarkComparison,
    Comparison,
    Failure,
    Objective,
    Overall,
    Pair,
    Ranked,
    Standing,
)
from hpobench_llm.comparison.single_runs import single_runs
from hpobench_llm.comparison.spending import TRIALS, Spending
from hpobench_llm.comparison.verdicts import Draws, band, pairs_of
from hpobench_llm.errors import IntegrityError, UnknownNameError
from hpobench_llm.replaying.budget import Budget

__all__ = ["Comparison", "compare_trajectories"]

FRIEDMAN = "Friedman's test"
KRUSKAL_WALLIS = "Kruskal and Wallis's test"
MACK_SKILLINGS = "Mack and Skillings's test"


def compare_trajectories(
    frame: pd.DataFrame,
    benchmarks: Mapping[str, ComparedBenchmark],
    *,
    budget: Budget | None = None,
    checkpoints: bool = True,
    paired: bool = False,
    workers: int = 1,
    optimizer_seconds_count: bool = False,
    failures: Sequence[Failure] = (),
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare every optimizer of a study on every benchmark, and over all of them.

    An optimizer that failed on a benchmark more often than not is left out there, so that the
    others keep their seeds; of the rest, the seeds that all of them finished are used.

    Args:
        frame: trajectories, as `Trajectory` describes them, of all optimizers and benchmarks.
        benchmarks: the benchmarks, by name.
        budget: what each replay could spend; None: trials.
        checkpoints: whether a resumed trial paid only for what it added.
        paired: whether all optimizers began each seed with the same configurations.
        workers: how many trials ran at a time; a report says so.
        optimizer_seconds_count: whether the optimizers' own time passed on the clock; likewise.
        failures: the replays that failed, and so are not in the frame.
        alpha: the level of the tests; intervals cover 1 - alpha.
        resamples: bootstrap resamples of seeds.
        seed: of the bootstrap's generator, one stream for each benchmark and its name, so that a
            further benchmark does not move another's intervals.

    Raises:
        IntegrityError: the frame is empty, lacks a column, holds a trial twice, or the optimizers
            share no seed on some benchmark.
        UnknownNameError: the frame has a benchmark that `benchmarks` lacks.
        ValueError: `alpha` does not lie in (0, 1), or `resamples` is below 1.
    """
    if not 0 < alpha < 1 or resamples < 1:
        raise ValueError(f"alpha in (0, 1) and resamples >= 1, got {alpha} and {resamples}")
    if frame.empty or not {"benchmark", "optimizer", "seed", "status"} <= set(frame.columns):
        raise IntegrityError("trajectories without rows, or without benchmark and optimizer")
    names = sorted(frame["benchmark"].unique())
    for name in names:
        if name not in benchmarks:
            raise UnknownNameError("benchmark", name, benchmarks)

    spending = Spending.of(frame, benchmarks, budget, checkpoints=checkpoints)
    draw = Draws(alpha, resamples, seed, paired)
    measured: dict[str, Regrets] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    for name in names:
        entered = sorted(
            {*frame.loc[frame["benchmark"] == name, "optimizer"]}
            | {failure.optimizer for failure in failures if failure.benchmark == name}
        )
        left_out[name] = _unreliable(frame, name, entered, failures)
        measured[name] = regrets(
            frame,
            benchmark=name,
            optimizers=[o for o in entered if o not in left_out[name]],
            compared=benchmarks[name],
            spending=spending,
        )
    overall = sorted(set.intersection(*(set(each.optimizers) for each in measured.values())))
    shared: dict[str, Regrets] = {}
    if overall:
        shared = {name: each.only(overall) for name, each in measured.items()}
    ranking, pairs, test = _rank_over_all(shared, draw)
    order = [overall.index(ranked.optimizer) for ranked in ranking]
    grids = {tuple(each.grid.tolist()) for each in measured.values()}
    if spending.unit == TRIALS:
        grids = {max(grids, key=len)}  # a shorter one is the beginning of it
    return Comparison(
        alpha=alpha,
        resamples=resamples,
        seed=seed,
        spending=spending.unit,
        paired=paired,
        workers=workers,
        optimizer_seconds_count=optimizer_seconds_count,
        finished=len(frame.drop_duplicates(["benchmark", "optimizer", "seed"])),
        grid=grids.pop() if len(grids) == 1 else None,
        benchmarks=tuple(
            _compare_one(
                name,
                benchmarks[name],
                frame.loc[frame["benchmark"] == name],
                measured[name],
                left_out[name],
                draw,
            )
            for name in names
        ),
        ranking=ranking,
        pairs=pairs,
        overall=test,
        tasks=over_tasks(shared, benchmarks, draw),
        single_runs=single_runs(shared, benchmarks, order) if shared else (),
        failures=tuple(sorted(failures)),
    )


def _unreliable(
    frame: pd.DataFrame, name: str, entered: list[str], failures: Sequence[Failure]
) -> tuple[str, ...]:
    """Return the optimizers that failed on a benchmark more often than they finished."""
    rows = frame.loc[frame["benchmark"] == name]
    finished = rows.groupby("optimizer")["seed"].nunique()
    failed = [f.optimizer for f in failures if f.benchmark == name]
    return tuple(o for o in entered if failed.count(o) > int(finished.get(o, 0)))


def _bands(measured: Sequence[Regrets], alpha: float) -> list[Band]:
    """Return the mean ranks over benchmarks that weigh alike, with their intervals.

    A shorter grid keeps its last regrets up to the end of the longest.
    """
    longest = max(len(each.grid) for each in measured)
    means = [
        inference.MeanRanks.of(_hold(inference.ranks(each.curves), longest)) for each in measured
    ]
    curves = inference.MeanRanks.intervals(means, alpha=alpha)
    return [band(*rows) for rows in zip(*curves, strict=True)]


def _hold(values: FloatArray, n_points: int) -> FloatArray:
    """Lengthen the last axis to `n_points` by its last value: an incumbent stays."""
    width = [(0, 0)] * (values.ndim - 1) + [(0, n_points - values.shape[-1])]
    return np.pad(values, width, mode="edge")


def _test_all(measured: Mapping[str, Regrets], *, paired: bool) -> Overall | None:
    """Test all optimizers at once on the final regret, by seed only where seeds are shared."""
    blocks = [each.curves[:, :, -1] for each in measured.values()]
    name = KRUSKAL_WALLIS if len(blocks) == 1 else MACK_SKILLINGS
    if paired:
        name = FRIEDMAN
        blocks = [column[:, None] for block in blocks for column in block.T]
    result = inference.chi_square_of_ranks(blocks)
    return None if result is None else Overall(name, *result)


def _rank_over_all(
    shared: Mapping[str, Regrets], draw: Draws
) -> tuple[tuple[Ranked, ...], tuple[Pair, ...], Overall | None]:
    """Rank the optimizers that every benchmark has, among themselves."""
    if not shared:
        return (), (), None
    names = next(iter(shared.values())).optimizers
    bands = _bands([*shared.values()], draw.alpha)
    order = sorted(range(len(names)), key=lambda i: bands[i].value[-1])
    return (
        tuple(Ranked(names[i], bands[i]) for i in order),
        pairs_of(shared, order, draw),
        _test_all(shared, paired=draw.paired),
    )


def _compare_one(
    name: str,
    compared: ComparedBenchmark,
    rows: pd.DataFrame,
    measured: Regrets,
    left_out: tuple[str, ...],
    draw: Draws,
) -> BenchmarkComparison:
    noise = _finite(compared.noise)
    bands = _bands([measured], draw.alpha)
    order = sorted(range(len(bands)), key=lambda i: bands[i].value[-1])
    part = set(rows.loc[compared.shares(rows) < 1, "optimizer"])
    costs = rows["cost_seconds"] if "cost_seconds" in rows.columns else pd.Series(dtype=float)
    metric = compared.judged_by
    return BenchmarkComparison(
        benchmark=name,
        identity=dict(compared.identity),
        objectives=tuple(Objective(m.name, m.unit, m.direction) for m in compared.objectives),
        metric=metric.name,
        unit=metric.unit,
        direction=metric.direction,
        optimum=float(compared.optimum),
        optimum_known=compared.optimum_known,
        noise_sd=noise,
        seed_shift_sd=_finite(compared.shift),
        constraints=compared.constraints,
        seeds=measured.seeds,
        dropped_seeds=measured.dropped,
        left_out=left_out,
        in_part=tuple(o for o in measured.optimizers if o in part),
        costs_known=bool(costs.notna().all()),
        grid=tuple(measured.grid.tolist()),
        trials=int(measured.trials.max()),
        front=_corners([compared.front], compared) if compared.front is not None else None,
        standings=tuple(_stand(i, name, compared, noise, measured, bands[i], draw) for i in order),
        pairs=pairs_of({name: measured}, order, draw),
        overall=_test_all({name: measured}, paired=draw.paired),
        baselines=_baseline_points(compared),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _stand(
    number: int,
    name: str,
    compared: ComparedBenchmark,
    noise: float | None,
    measured: Regrets,
    rank: Band,
    draw: Draws,
) -> Standing:
    values, trials = measured.curves[number], measured.trials[number]
    reached = np.inf
    if noise is not None:
        reached = float(np.median(inference.first_within(values, noise, measured.grid)))
    broken = float(measured.infeasible[number].sum() / trials.sum())
    return Standing(
        optimizer=measured.optimizers[number],
        regret=draw.median(values, name),
        rank=rank,
        optimum_share=float(np.mean(values[:, -1] <= (noise or 0.0))),
        spent_to_noise=reached if np.isfinite(reached) else None,
        trials=int(trials.max()),
        early=int(measured.early[number].sum()),
        unfinished=int(measured.unfinished[number].sum()),
        empty=int(measured.empty[number].sum()),
        infeasible=broken if compared.constraints else None,
        front=_corners(measured.fronts[number], compared),
    )


def _baseline_points(compared: ComparedBenchmark) -> tuple[BaselinePoints, ...]:
    """Return the baselines that have both of two objectives, by method."""
    names = compared.names
    points: dict[str, list[tuple[float, float]]] = {}
    for baseline in compared.baselines if len(names) == 2 else ():
        if all(name in baseline.values for name in names):
            x, y = (float(baseline.values[name]) for name in names)
            points.setdefault(baseline.method, []).append((x, y))
    return tuple(BaselinePoints(method, tuple(each)) for method, each in points.items())


def _corners(
    fronts: Sequence[FloatArray], compared: ComparedBenchmark
) -> tuple[tuple[float, float], ...] | None:
    """Return the median attained surface in own units; None without exactly two objectives."""
    if len(compared.objectives) != 2:
        return None
    signs = np.array([metric.from_loss(1.0) for metric in compared.objectives])
    return tuple((float(x), float(y)) for x, y in median_attained(fronts) * signs)
