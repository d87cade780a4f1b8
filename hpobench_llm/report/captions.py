"""What stands under each picture: what is drawn, what is left out, and how much of it."""

from hpobench_llm.comparison.inference import rank_correlation
from hpobench_llm.comparison.result import BenchmarkComparison, Comparison
from hpobench_llm.comparison.spending import TRIALS
from hpobench_llm.report.facts import BenchmarkFacts
from hpobench_llm.report.words import count, counted, listed, number, percent, some, words


def of_regret(result: BenchmarkComparison, comparison: Comparison) -> str:
    """Return the caption of the regret curves."""
    optimum = "the known optimum" if result.optimum_known else "the best known"
    what = f"regret of the {words(result.metric)}"
    lost = f"the best trial so far loses against {optimum}"
    if len(result.objectives) > 1:
        names = listed([words(objective.name) for objective in result.objectives])
        what = f"regret of the hypervolume of {names}"
        front = "the benchmark's front" if result.optimum_known else "the best known front"
        lost = f"the trials so far lack to {front}"
    text = (
        f"Median simple {what} {after(comparison)}, over "
        f"{count(len(result.seeds), 'seed')}: what {lost}. "
        f"Bands are pointwise {percent(1 - comparison.alpha)} bootstrap intervals."
    )
    bands = [standing.regret for standing in result.standings]
    if min(min(band.low) for band in bands) <= 0 < max(max(band.high) for band in bands):
        text += " Regret 0 has no logarithm and is drawn on the line marked 0."
    if result.noise_sd:
        text += (
            " Dotted: the noise between configurations at one seed, a standard deviation; below "
            "it, one run each can hardly tell two configurations apart."
        )
    return text


def of_ranks(comparison: Comparison) -> str:
    """Return the caption of the rank curves."""
    where = comparison.benchmarks[0].benchmark
    if len(comparison.benchmarks) > 1:
        where = f"{len(comparison.benchmarks)} benchmarks, each weighing alike"
    return (
        f"Mean rank by regret {after(comparison)}, over all seeds on {where}; ties share their "
        f"mean rank. Bands are pointwise {percent(1 - comparison.alpha)} intervals by Student's t."
    )


def of_fronts(result: BenchmarkComparison) -> str:
    """Return the caption of the attained fronts."""
    text = (
        f"What at least half of the {count(len(result.seeds), 'seed')} attained at the end of the "
        "budget: a trial as good as every point on the line, or better, in both objectives. In "
        "black the benchmark's own Pareto front"
    )
    text += "." if result.optimum_known else ", as far as it is known."
    if nothing := [s.optimizer for s in result.standings if not s.front]:
        text += f" Half of the seeds of {some(nothing)} found nothing."
    return text


def after(comparison: Comparison) -> str:
    """Return in words along what curves run."""
    if comparison.spending == TRIALS:
        return "after each trial"
    return f"over the {counted(comparison.spending)} spent"


def of_scores(facts: BenchmarkFacts) -> str:
    """Return the caption of the scatter of score against objective."""
    if facts.score is None:
        return ""
    done = facts.finished(facts.metric, facts.score)
    objective, score = words(facts.metric.name), words(facts.score.name)
    text = f"{count(int(done.sum()), 'configuration')} of {facts.name}. "
    correlation = rank_correlation(
        facts.metric.to_loss(1.0) * facts.column(facts.metric.name)[done],
        facts.score.to_loss(1.0) * facts.column(facts.score.name)[done],
    )
    if correlation is None:
        text += f"The rank correlation between {objective} and {score} is undefined."
    else:
        text += (
            f"Between a better {objective} and a better {score}, Spearman's rho is "
            f"{correlation[0]:.2f} and Kendall's tau {correlation[1]:.2f}; 1 is full agreement."
        )
    score_values = facts.column(facts.score.name)
    text += (
        f" The best {objective} comes with a {score} of "
        f"{number(score_values[facts.best_row(facts.metric)])}; the best {score} is "
        f"{number(score_values[facts.best_row(facts.score)])}."
    )
    if cut := int((facts.beyond_edge() & done).sum()):
        text += f" Triangles at the edge: {count(cut, 'configuration')} beyond the axis."
    if missing := int((~done).sum()):
        text += (
            f" Crosses on the right: {count(missing, 'configuration')} that diverged, failed or "
            "lack a value; their place has no meaning beyond their number."
        )
    return text


def of_axes(facts: BenchmarkFacts) -> str:
    """Return the caption of the small multiples."""
    constant = [words(name) for name in facts.space.names if name not in facts.varied()]
    text = (
        f"{words(facts.metric.name).capitalize()} along each hyperparameter: every configuration "
        "as a dot, the best over all other hyperparameters in black, the median in grey. "
        "Numbers on top, where an axis is a list, count the configurations that are not drawn "
        "there: they did not finish, or lie beyond the axis."
    )
    return text + (f" Constant, not shown: {', '.join(constant)}." if constant else "")
