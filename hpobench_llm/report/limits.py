"""How to read a page, and its limits: sentences that hold for its study."""

from hpobench_llm.comparison.result import Comparison
from hpobench_llm.comparison.spending import IN_FULL, TRIALS
from hpobench_llm.replaying.budget import SECONDS
from hpobench_llm.report.words import counted, number, percent


def limits(comparison: Comparison) -> list[str]:
    """Return the sentences of "How to read this, and its limits"."""
    several = len(comparison.benchmarks) > 1
    step = "trial by trial" if comparison.spending == TRIALS else "point by point"
    return [
        *_regret(comparison),
        f"Intervals of medians: seeds are drawn again {comparison.resamples} times with "
        f"replacement, with generator seed {comparison.seed}; the ends are percentiles, curve by "
        f"curve and {step}. A median of few distinct values can have an interval of width zero.",
        "Intervals of mean ranks: Student's t, with two seeds added in which all optimizers are "
        "alike, since the ranks of few seeds may agree by chance. In simulations of 2 to 20 seeds "
        "they hold the mean rank in 92 to 100 of 100 studies where they say 95.",
        _pairs(comparison, several=several),
        *_tasks(comparison),
        "Seeds are those of the optimizers on fixed measurements. Below the first part a verdict "
        "speaks of "
        f"{'these benchmarks' if several else 'this benchmark'} and this budget, not of other "
        "models, data or spaces.",
        "A tabular benchmark knows only the configurations that were trained: one between them, "
        "which a real search could try, does not exist here. The optimum is the best measured "
        "value, so what noise is left makes it look a little better than it is.",
        *_budget(comparison),
    ]


def _tasks(comparison: Comparison) -> list[str]:
    """Say how verdicts over tasks are reached, if there are any."""
    if comparison.tasks is None:
        return []
    scale = (
        "A regret is counted in typical ones of its task: the median regret of a configuration "
        "that is drawn at random, of several objectives the hypervolume of the front. "
        if comparison.tasks.scales
        else "The scale of some task is not known, so over tasks ranks alone are compared. "
    )
    return [
        f"Over tasks: {comparison.resamples} times tasks are drawn with replacement, and in each "
        "that is drawn its seeds; the ends of an interval are percentiles, which with few tasks "
        f"are too narrow. {scale}A test has one value a task, the mean over its seeds. It holds "
        "for tasks as these are drawn from, and not for others."
    ]


def _pairs(comparison: Comparison, *, several: bool) -> str:
    """Say how pairs are tested and counted."""
    level = f"at level {number(comparison.alpha)} after Holm's correction over the pairs of one "
    level += (
        "benchmark. A tie is a difference that is not significant; it is no proof of equality."
    )
    if comparison.paired:
        again = (
            ", over all benchmarks once more with each benchmark's differences divided by their "
            "mean magnitude,"
        )
        return (
            "All optimizers began a seed with the same configurations, so they are tested seed by "
            "seed: all at once by Friedman's test, pairs by Wilcoxon's signed-rank test, zeros "
            f"ranked and split{again if several else ''} {level} Wins, ties and losses are of the "
            "first of a pair, over the seeds; superiority is the share that it wins, a tie "
            "counting half."
        )
    again = ", over all benchmarks once more with ranks within each,"
    blocks = " (over all benchmarks Mack and Skillings's, with ranks within each)"
    return (
        "The optimizers share nothing at equal seeds, so all are tested at once by Kruskal and "
        f"Wallis's test{blocks if several else ''}, and pairs as two samples, by the rank sum "
        f"test of Mann and Whitney with its exact distribution{again if several else ''} "
        f"{level} Wins, ties and losses count every seed of the first of a pair against every "
        "seed of the second; superiority is the share that it wins, a tie counting half."
    )


def _regret(comparison: Comparison) -> list[str]:
    results = comparison.benchmarks
    sentences = []
    if any(len(result.objectives) == 1 for result in results):
        sentences.append(
            "Simple regret is what the best trial found so far is worth minus the best in the "
            "benchmark, in the objective's units; lower is better. A run that diverged or failed "
            "counts as the metric's worst value. A trajectory that ended early keeps its "
            "incumbent."
        )
    if any(result.identity.get("kind", "").startswith("table") for result in results):
        sentences.append(
            "On a table an optimizer is told of the seeds that all configurations have. What its "
            "answer is worth, and the best there is, are judged by every seed of each "
            "configuration, less what that seed does to all good configurations alike (a two-way "
            "model of configuration and seed, fitted on the repeated ones), so a curve can rise."
        )
    if any(len(result.objectives) > 1 for result in results):
        sentences.append(
            "Of several objectives regret is the hypervolume of the benchmark's Pareto front "
            "minus that of the trials found so far, each objective counted in ranges of that "
            "front, both up to a tenth of a range beyond its worst values (unless the metrics' "
            "worst values were asked for); lower is better. A run that diverged or failed adds "
            "nothing. A trajectory that ended early keeps what it found."
        )
    if any(result.in_part for result in results):
        sentences.append(
            "Trials in part: an optimizer's incumbent is its best trial, by the loss that it saw, "
            "among those at the highest fidelity that it has reached so far. It is judged by what "
            "its configuration is worth in full, so such a curve can rise."
        )
    if any(result.constraints for result in results):
        sentences.append(
            "Only a trial that keeps every constraint can be an incumbent, and the optimum is "
            "that of the configurations that keep them. A seed without such a trial has the "
            "regret of the worst value, and counts."
        )
    return sentences


def _budget(comparison: Comparison) -> list[str]:
    own = "the optimizers' own computing time is not part of any number on this page."
    if comparison.optimizer_seconds_count:
        own = "the optimizers' own measured computing time passes on the clock too."
    subject = {
        TRIALS: "Trials are counted, not seconds",
        SECONDS: "Seconds are those of the simulated clock, as the benchmark measured them",
        IN_FULL: "Trials are counted by their share of a run in full, not in seconds",
    }.get(comparison.spending, f"What is counted is {counted(comparison.spending)}, not seconds")
    sentences = [f"{subject}; {own}"]
    if comparison.workers > 1:
        sentences.append(
            f"{comparison.workers} trials were trained at a time; they count in the order in "
            "which they finished. An optimizer that asks for one at a time leaves workers idle."
        )
    if comparison.failures:
        sentences.append(
            "Replays that failed are not part of any number: the seeds are used that every "
            "optimizer finished, and an optimizer that failed on a benchmark more often than it "
            f"finished is left out there. Failed: {percent(_failed_share(comparison))} of all."
        )
    return sentences


def _failed_share(comparison: Comparison) -> float:
    failed = len(comparison.failures)
    return failed / (failed + comparison.finished)
