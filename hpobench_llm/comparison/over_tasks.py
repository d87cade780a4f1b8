"""What a study says of a new task: tasks are drawn, and seeds within each of them.

An interval over seeds alone speaks of the benchmarks at hand. Here tasks are drawn with
replacement, and seeds within every drawn task: the hierarchical bootstrap (Davison and
Hinkley 1997, section 3.8). Pairs are tested with one value a task, by Wilcoxon's signed-rank test
with Holm's correction, as Demsar (2006) and Benavoli, Corani and Mangili (2016, Should we really
use post-hoc tests based on mean-ranks?) advise; all at once by Friedman's test.

Units do not agree between tasks. So a regret is divided by the task's typical one: the median
regret of a configuration that is drawn at random (see `ComparedBenchmark.typical`).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from hpobench_llm.comparison import inference
from hpobench_llm.comparison.benchmark import ComparedBenchmark
from hpobench_llm.comparison.regret import FloatArray, Regrets
from hpobench_llm.comparison.result import (
    Interval,
    Overall,
    OverTasks,
    Pair,
    TaskPair,
    TaskRanked,
    Verdict,
)
from hpobench_llm.comparison.verdicts import Draws

FRIEDMAN = "Friedman's test over tasks"


def nested_means(
    tasks: Sequence[FloatArray], *, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Return `(resamples, k)` means of tasks drawn with replacement, seeds drawn within each.

    Args:
        tasks: `(n_seeds, k)` values of each task; all tasks have equal weight.
        resamples: how many.
        rng: where the draws come from.
    """
    # Counting how often each seed is drawn gives the same means as drawing seeds one by one.
    drawn = rng.integers(len(tasks), size=(resamples, len(tasks)))
    total = np.zeros((resamples, tasks[0].shape[1]))
    for number, values in enumerate(tasks):
        row = np.repeat(np.arange(resamples), (drawn == number).sum(axis=1))
        count = len(values)
        times = rng.multinomial(count, np.full(count, 1 / count), size=len(row))
        np.add.at(total, row, times @ values / count)
    return total / len(tasks)


def over_tasks(
    measured: Mapping[str, Regrets], benchmarks: Mapping[str, ComparedBenchmark], draw: Draws
) -> OverTasks | None:
    """Return the results over tasks; None for fewer than two tasks, or without an optimizer.

    Args:
        measured: the regrets of the same optimizers on each task.
        benchmarks: the tasks, by name.
        draw: the comparison's bootstrap.
    """
    if len(measured) < 2:
        return None
    names = next(iter(measured.values())).optimizers
    finals = [task.curves[:, :, -1].T for task in measured.values()]  # (n_seeds, n_optimizers)
    ranked = [inference.ranks(final.T).T for final in finals]
    typical = [benchmarks[name].typical for name in measured]
    positive = tuple(scale for scale in typical if scale)
    scales = positive if len(positive) == len(typical) else None
    scaled = None
    if scales is not None:
        scaled = [final / scale for final, scale in zip(finals, scales, strict=True)]

    ranks = _with_draws(ranked, draw, "ranks over tasks")
    regrets = _with_draws(scaled, draw, "regret over tasks") if scaled else None
    order = np.argsort(ranks[0], kind="stable").tolist()
    values = np.array([task.mean(axis=0) for task in scaled or ranked])  # (n_tasks, n_optimizers)
    pairs = _pairs(names, order, values, ranks, draw)
    test = inference.chi_square_of_ranks([task[:, None] for task in values])
    return OverTasks(
        tasks=tuple(measured),
        scales=scales,
        ranking=tuple(
            TaskRanked(
                names[i],
                _interval(ranks[0][i], ranks[1][:, i], draw.alpha),
                _interval(regrets[0][i], regrets[1][:, i], draw.alpha) if regrets else None,
            )
            for i in order
        ),
        pairs=pairs,
        groups=runs_of_ties([names[i] for i in order], pairs),
        overall=Overall(FRIEDMAN, *test) if test else None,
    )


def _with_draws(
    tasks: Sequence[FloatArray], draw: Draws, purpose: str
) -> tuple[FloatArray, FloatArray]:
    """Return the mean over tasks `(k,)` of the means over seeds, and its draws."""
    means: FloatArray = np.mean([task.mean(axis=0) for task in tasks], axis=0)
    rng = draw.generator(purpose)
    return means, nested_means(tasks, resamples=draw.resamples, rng=rng)


def _interval(value: float, draws: FloatArray, alpha: float) -> Interval:
    low, high = inference.percentiles(draws, alpha=alpha)
    return Interval(float(value), float(low), float(high))


def _pairs(
    names: Sequence[str],
    order: Sequence[int],
    values: FloatArray,
    ranks: tuple[FloatArray, FloatArray],
    draw: Draws,
) -> tuple[TaskPair, ...]:
    """Test every pair on one value a task, the better-ranked optimizer first."""
    both = list(combinations(order, 2))
    tests = [inference.signed_rank_test([values[:, a] - values[:, b]]) for a, b in both]
    corrected = inference.holm([p for p, _ in tests])
    pairs = []
    for (a, b), (p, side), p_holm in zip(both, tests, corrected, strict=True):
        signs = np.sign(values[:, a] - values[:, b])
        verdict: Verdict = "tie"
        if p_holm < draw.alpha and side:
            verdict = "better" if side < 0 else "worse"
        means, draws = ranks
        pairs.append(
            TaskPair(
                first=names[a],
                second=names[b],
                wins=int((signs < 0).sum()),
                ties=int((signs == 0).sum()),
                losses=int((signs > 0).sum()),
                difference=_interval(means[a] - means[b], draws[:, a] - draws[:, b], draw.alpha),
                p=p,
                p_holm=p_holm,
                verdict=verdict,
            )
        )
    return tuple(pairs)


def runs_of_ties(
    names: Sequence[str], pairs: Sequence[Pair | TaskPair]
) -> tuple[tuple[str, ...], ...]:
    """Return the longest runs of the ranking in which every pair is a tie."""
    apart = {(pair.first, pair.second) for pair in pairs if pair.verdict != "tie"}
    groups: list[tuple[str, ...]] = []
    end = 0
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and not any(
            (name, names[stop]) in apart for name in names[start:stop]
        ):
            stop += 1
        if stop > max(end, start + 1):
            groups.append(tuple(names[start:stop]))
            end = stop
    return tuple(groups)
