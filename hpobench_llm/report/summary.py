"""A comparison in sentences, written from its numbers alone."""

import math
from collections import defaultdict
from collections.abc import Sequence

from hpobench_llm.comparison.over_tasks import runs_of_ties
from hpobench_llm.comparison.result import BenchmarkComparison, Comparison, Pair
from hpobench_llm.comparison.spending import IN_FULL
from hpobench_llm.replaying.budget import SECONDS
from hpobench_llm.report.words import (
    MANY,
    bound,
    count,
    identity,
    label,
    listed,
    number,
    overall,
    percent,
    reached,
    some,
    with_unit,
)


def summarise(comparison: Comparison) -> str:
    """Return one paragraph: who ranks first, which pairs differ, and which are ties."""
    names = [ranked.optimizer for ranked in comparison.ranking]
    results = comparison.benchmarks
    seeds = sorted({len(result.seeds) for result in results})
    sampled = count(seeds[0], "seed")
    if len(seeds) > 1:
        sampled = f"{seeds[0]} to {count(seeds[-1], 'seed')}"
    spent = reached(max(result.grid[-1] for result in results), comparison.spending)
    setting = f"on {some([r.benchmark for r in results])}, with {sampled} and up to {spent} each"
    if not names:
        sentences = [f"No optimizer is judged everywhere {setting}: too many replays failed."]
    elif len(names) == 1:
        sentences = [f"Only {names[0]} was run {setting}, so there is nothing to compare."]
    else:
        who = listed(names) if len(names) <= MANY else f"{len(names)} optimizers"
        sentences = [f"This study compares {who} {setting}."]
        sentences += _ranking(comparison, names)
    if len(results) == 1:
        sentences.append(_outcome(results[0]))
    part = sorted({name for result in results for name in result.in_part})
    if part and comparison.spending == IN_FULL:
        sentences.append(
            f"As {some(part)} trained in part, trials are counted by their share of a run in "
            "full, and compared where the first optimizer has used up its trials: a trial in part "
            "and one in full do not cost the same."
        )
    if comparison.failures:
        sentences.append(
            f"{count(len(comparison.failures), 'replay')} of "
            f"{len(comparison.failures) + comparison.finished} failed and are left out."
        )
    return " ".join(sentences)


def failures(comparison: Comparison, benchmark: str | None = None) -> list[str]:
    """Return the failed replays and the reasons, one line for each reason."""
    grouped: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for failure in comparison.failures:
        if benchmark in (None, failure.benchmark):
            grouped[failure.optimizer, failure.benchmark, failure.reason].append(failure.seed)
    return [
        f"{optimizer} on {name}, seed {', '.join(map(str, seeds))}: {reason}"
        for (optimizer, name, reason), seeds in grouped.items()
    ]


def setting(result: BenchmarkComparison, comparison: Comparison) -> str:
    """Return the setting of one benchmark: objectives, bounds, budget and number of seeds."""
    goals = [f"{label(o.name, o.unit)}, to {o.direction}" for o in result.objectives]
    optimum = "Optimum" if result.optimum_known else "Best known"
    text = f"Objective: {goals[0]}. {optimum} {result.optimum:.5g}; {_noise(result)}."
    if len(goals) > 1:
        front = "the Pareto front" if result.optimum_known else "the best known front"
        text = f"Objectives: {'; '.join(goals)}. Hypervolume of {front}: {result.optimum:.5g}."
    text = f"{identity(result.identity)}. {text}" if result.identity else text
    if result.constraints:
        text += f" Constraints: {listed([bound(c) for c in result.constraints])}."
    spent = reached(result.grid[-1], comparison.spending)
    text += f" {count(len(result.seeds), 'seed')}, up to {spent} each"
    return f"{text}, {comparison.workers} at a time." if comparison.workers > 1 else f"{text}."


def _noise(result: BenchmarkComparison) -> str:
    """Return the noise in words, in its two parts."""
    if result.noise_sd is None:
        return "noise unknown"
    text = f"noise between configurations at one seed {number(result.noise_sd)}"
    if result.seed_shift_sd is not None:
        text += f", shift that a seed gives to all {number(result.seed_shift_sd)}"
    return f"{text} (standard deviations of a good run)"


def _ranking(comparison: Comparison, names: list[str]) -> list[str]:
    first = comparison.ranking[0].rank.last
    level = percent(1 - comparison.alpha)
    top = [r.optimizer for r in comparison.ranking if r.rank.last.value == first.value]
    if len(top) > 1:
        lead = f"{some(top)} share the lowest mean final rank, {first.value:.2f}."
    else:
        lead = (
            f"{names[0]} has the lowest mean final rank, {first.value:.2f} ({level} interval "
            f"{first.low:.2f} to {first.high:.2f})."
        )
    if comparison.overall is not None:
        lead += f" {overall(comparison.overall)}."
    ties = [(pair.first, pair.second) for pair in comparison.pairs if pair.verdict == "tie"]
    if len(ties) == len(comparison.pairs):
        return [lead, "No pair differs significantly after Holm's correction: it is a tie."]
    if len(names) > MANY:
        return [lead, *_against_first(comparison.pairs, names[0])]
    sentences = [lead, f"Significant after Holm's correction: {_beaten(comparison.pairs, names)}."]
    if ties:
        sentences.append(f"Not told apart, so {_tied(names, comparison.pairs)}.")
    return sentences


def _tied(names: list[str], pairs: Sequence[Pair]) -> str:
    """Return the ties: the runs of the ranking, then the remaining pairs."""
    runs = runs_of_ties(names, pairs)
    remaining = [
        (pair.first, pair.second)
        for pair in pairs
        if pair.verdict == "tie"
        and not any(pair.first in run and pair.second in run for run in runs)
    ]
    groups = [listed([*group]) for group in (*runs, *remaining)]
    return f"{'a tie' if len(groups) == 1 else 'ties'}: {'; '.join(groups)}"


def _against_first(pairs: Sequence[Pair], first: str) -> list[str]:
    """Count the pairs that differ, and name those of the first in the ranking."""
    decided = sum(pair.verdict != "tie" for pair in pairs)
    sentences = [f"{decided} of {len(pairs)} pairs differ significantly after Holm's correction."]
    verdicts = {pair.second: pair.verdict for pair in pairs if pair.first == first}
    beaten = [name for name, verdict in verdicts.items() if verdict == "better"]
    tied = [name for name, verdict in verdicts.items() if verdict == "tie"]
    if beaten:
        sentences.append(f"{first} beats {some(beaten)}.")
    if tied:
        sentences.append(f"Not told apart from it: {some(tied)}.")
    return sentences


def _beaten(pairs: Sequence[Pair], names: list[str]) -> str:
    """Group significant pairs by winners: "a and b beat c; a beats b"."""
    winners: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        if pair.verdict == "better":
            winners[pair.second].append(pair.first)
        elif pair.verdict == "worse":
            winners[pair.first].append(pair.second)
    losers: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for loser in sorted(winners, key=names.index):
        losers[tuple(sorted(winners[loser], key=names.index))].append(loser)
    return "; ".join(
        f"{listed([*group])} {'beats' if len(group) == 1 else 'beat'} {listed(beaten)}"
        for group, beaten in losers.items()
    )


def _outcome(result: BenchmarkComparison) -> str:
    """State the median final regret of the first in the ranking, in its units."""
    first = result.standings[0]
    regret = with_unit(number(first.regret.last.value), result.unit)
    text = f"The median final regret of {first.optimizer} is {regret}"
    best = "the optimum" if result.optimum_known else "the best known"
    if result.noise_sd:
        side = "within" if first.regret.last.value <= result.noise_sd else "above"
        noise = with_unit(number(result.noise_sd), result.unit)
        text += f", {side} the noise between configurations at one seed, {noise}"
        reached_by = f"ended within this noise of {best}"
    elif len(result.objectives) > 1:
        reached_by = "found the whole front" + ("" if result.optimum_known else " that is known")
    else:
        reached_by = f"found {best}"
    return f"{text}; {percent(first.optimum_share)} of its seeds {reached_by}."


def remarks(result: BenchmarkComparison, comparison: Comparison) -> list[str]:
    """Return remarks that a reader of one benchmark's numbers needs."""
    alpha = comparison.alpha
    sentences = [f"Failed: {line}." for line in failures(comparison, result.benchmark)]
    if result.left_out:
        sentences.append(
            f"Left out, as more replays failed than finished: {some([*result.left_out])}."
        )
    empty = [f"{s.optimizer} ({count(s.empty, 'seed')})" for s in result.standings if s.empty]
    if empty:
        bounds = " and keeps the constraints" if result.constraints else ""
        sentences.append(
            f"Ended without a trial that is ok{bounds}, so with the regret of the worst value: "
            f"{some(empty)}."
        )
    if not result.optimum_known:
        sentences.append(
            "The best that this benchmark holds is not known: regret is against the best known, "
            "the better of what a search and any trial found, so it may be too low, by the same "
            "amount for all."
        )
    if comparison.spending == SECONDS and not result.costs_known:
        sentences.append(
            "The seconds of some trials are not known: the clock counted 1 for each of these."
        )
    if result.in_part:
        sentences.append(f"Trained in part: {some([*result.in_part])}.")
    if len(result.objectives) > 2:
        sentences.append("More than two objectives have no picture of their front.")
    seeds, pairs = len(result.seeds), len(result.pairs)
    if result.dropped_seeds:
        sentences.append(
            f"Only the {count(seeds, 'seed')} that all optimizers share are used; not used: "
            f"seed {', '.join(map(str, result.dropped_seeds))}."
        )
    early = [f"{s.optimizer} ({count(s.early, 'seed')})" for s in result.standings if s.early]
    if early:
        sentences.append(f"Ended early and kept their incumbent: {some(early)}.")
    # The smallest p: all signs agree, 2 / 2^n; or all of one sample come before the other.
    least = 2.0 ** (1 - seeds) if comparison.paired else 2.0 / math.comb(2 * seeds, seeds)
    if pairs and least * pairs >= alpha:
        sentences.append(
            f"With {count(seeds, 'seed')} and {count(pairs, 'pair')} no difference, however "
            f"large, can be significant at {number(alpha)}: more seeds are needed."
        )
    decided = [p.difference for p in result.pairs if p.verdict != "tie" and p.difference]
    small = [d for d in decided if result.noise_sd and abs(d.value) < result.noise_sd]
    if small:
        sentences.append(
            f"{len(small)} of {count(len(decided), 'significant pair')} differ in the median by "
            "less than the noise between configurations at one seed: real on this benchmark, and "
            "hardly visible in one training run."
        )
    return sentences
