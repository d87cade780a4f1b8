"""How a page is to be read, and what it cannot say: sentences that are true of its study."""

from hpobench_llm.report.words import counted, number, percent
from hpobench_llm.studies.budget import SECONDS
from hpobench_llm.studies.comparison import Comparison
from hpobench_llm.studies.spending import IN_FULL, TRIALS


def limits(comparison: Comparison) -> list[str]:
    """Return what stands under "How to read this, and its limits"."""
    several = len(comparison.benchmarks) > 1
    over = (
        " (and once more over the pairs of all benchmarks, each benchmark's differences divided "
    )
    over += "by their mean magnitude)"
    step = "trial by trial" if comparison.spending == TRIALS else "point by point"
    found = [
        *_regret(comparison),
        f"Seeds are drawn again {comparison.resamples} times with replacement, with generator "
        f"seed {comparison.seed}; intervals are percentiles, curve by curve and {step}. A median "
        "of few distinct values can have an interval of width zero.",
        "Pairs are tested with Wilcoxon's signed-rank test, zeros ranked and split, at level "
        f"{number(comparison.alpha)} after Holm's correction over the pairs of one benchmark"
        f"{over if several else ''}. A tie is a difference that is not significant; it is no "
        "proof of equality.",
        "Wins, ties and losses are of the first of a pair. Superiority is the share of seeds that "
        "it wins, a tie counting half.",
        "Seeds are those of the optimizers on fixed measurements. A verdict speaks of "
        f"{'these benchmarks' if several else 'this benchmark'} and this budget, not of other "
        "models, data or spaces.",
        "A tabular benchmark knows only the configurations that were trained: one between them, "
        "which a real search could try, does not exist here. The optimum is the best measured "
        "value, so its own seed noise makes it look a little better than it is.",
        *_budget(comparison),
    ]
    return found


def _regret(comparison: Comparison) -> list[str]:
    results = comparison.benchmarks
    found = []
    if any(len(result.objectives) == 1 for result in results):
        found.append(
            "Simple regret is the best value found so far minus the best in the benchmark, in the "
            "objective's units; lower is better. A run that diverged or failed counts as the "
            "metric's worst value. A trajectory that ended early keeps its incumbent."
        )
    if any(len(result.objectives) > 1 for result in results):
        found.append(
            "Of several objectives regret is the hypervolume of the benchmark's Pareto front "
            "minus that of the trials found so far, both up to the point of the metrics' worst "
            "values, in the product of the units; lower is better. A run that diverged or failed "
            "adds nothing. A trajectory that ended early keeps what it found. The hypervolume's "
            "scale depends on that point: compare ranks rather than sizes."
        )
    if any(result.in_part for result in results):
        found.append(
            "Trials in part: an optimizer's incumbent is its best trial, by the loss that it saw, "
            "among those at the highest fidelity that it has reached so far. It is judged by what "
            "its configuration is worth in full, so such a curve can rise."
        )
    if any(result.constraints for result in results):
        found.append(
            "Only a trial that keeps every constraint can be an incumbent, and the optimum is "
            "that of the configurations that keep them. A seed without such a trial has the "
            "regret of the worst value, and counts."
        )
    return found


def _budget(comparison: Comparison) -> list[str]:
    own = "the optimizers' own computing time is not part of any number on this page."
    if comparison.optimizer_seconds_count:
        own = "the optimizers' own measured computing time passes on the clock too."
    what = {
        TRIALS: "Trials are counted, not seconds",
        SECONDS: "Seconds are those of the simulated clock, as the benchmark measured them",
        IN_FULL: "Trials are counted by their share of a run in full, not in seconds",
    }.get(comparison.spending, f"What is counted is {counted(comparison.spending)}, not seconds")
    found = [f"{what}; {own}"]
    if comparison.workers > 1:
        found.append(
            f"{comparison.workers} trials were trained at a time; they count in the order in "
            "which they finished. An optimizer that asks for one at a time leaves workers idle."
        )
    if comparison.failures:
        found.append(
            "Replays that failed are not part of any number: the seeds are used that every "
            "optimizer finished, and an optimizer that failed on a benchmark more often than it "
            f"finished is left out there. Failed: {percent(_failed_share(comparison))} of all."
        )
    return found


def _failed_share(comparison: Comparison) -> float:
    failed = len(comparison.failures)
    return failed / (failed + comparison.finished)
