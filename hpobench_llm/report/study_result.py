"""The result of a study in Python: its ranking and trials as frames, and its pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from hpobench_llm.comparison.result import BenchmarkComparison, Comparison, Interval
from hpobench_llm.drawing.axes import new_axes
from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.replaying.columns import short_names
from hpobench_llm.report import plots, tasks
from hpobench_llm.report.summary import failures, summarise
from hpobench_llm.report.words import identity, interval, reached


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """A study's comparison, its trials, and where its report lies.

    Pictures are drawn on the given axes, or on those of a new figure, and returned; fonts, sizes
    and widths are those of matplotlib's rcParams.
    """

    comparison: Comparison
    report: Path
    trials: pd.DataFrame
    table_seed: int | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of all trials with short names, `lr`, `val_loss`: see `Trajectory`."""
        return self.trials.rename(columns=short_names(self.trials.columns))

    @property
    def ranking(self) -> pd.DataFrame:
        """The mean final rank of each optimizer, best first, with its interval: over all seeds."""
        ranks = [(r.optimizer, *_ends(r.rank.last)) for r in self.comparison.ranking]
        columns = ["optimizer", "mean_rank", "low", "high"]
        return pd.DataFrame(ranks, columns=columns).set_index("optimizer")

    @property
    def standings(self) -> pd.DataFrame:
        """The final rank of each optimizer on each benchmark, and its regret with its interval."""
        rows = [
            (r.benchmark, s.optimizer, s.rank.last.value, *_ends(s.regret.last), s.optimum_share)
            for r in self.comparison.benchmarks
            for s in r.standings
        ]
        columns = ["benchmark", "optimizer", "mean_rank", "regret", "low", "high", "at_optimum"]
        return pd.DataFrame(rows, columns=columns).set_index(["benchmark", "optimizer"])

    def plot_regret(self, benchmark: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw median simple regret over what was spent, with its interval and the noise.

        Args:
            benchmark: its name; None: the only one.
            ax: where to draw; None: on a new figure.

        Raises:
            UnknownNameError: the study has no such benchmark.
            ConfigurationError: it has several, and none is named.
        """
        result = self._on(benchmark)
        return _drawn(ax, lambda axes: plots.draw_regret(axes, result, self.comparison))

    def plot_ranks(self, *, ax: Axes | None = None) -> Axes:
        """Draw every optimizer's mean rank over what was spent, with its interval.

        Raises:
            ConfigurationError: no optimizer was judged on every benchmark.
        """
        self._check_ranked()
        return _drawn(ax, lambda axes: plots.draw_ranks(axes, self.comparison))

    def plot_critical_difference(self, *, ax: Axes | None = None) -> Axes:
        """Draw mean ranks on a line, and bars that join optimizers that are ties.

        Raises:
            ConfigurationError: as `plot_ranks`.
        """
        self._check_ranked()
        axes = new_axes(ax)
        plots.draw_critical_difference(axes, self.comparison)
        if ax is None:
            plots.fit_critical_difference(axes)
        return axes

    def plot_pareto(self, benchmark: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the fronts that half of the seeds attained, and the benchmark's own.

        Raises:
            UnknownNameError: the study has no such benchmark.
            ConfigurationError: there are not two objectives; or as `plot_regret`.
        """
        result = self._on(benchmark)
        if not result.front:
            names = ", ".join(objective.name for objective in result.objectives)
            raise ConfigurationError(
                f"{result.benchmark}: a front is drawn of two objectives, and the study has "
                f"{names}"
            )
        return _drawn(ax, lambda axes: plots.draw_fronts(axes, result))

    def summary(self) -> str:
        """Return the ranking as a table, what it means in words, and the report's path."""
        lines = tasks.lines(self.comparison)
        answers = "" if self.table_seed is None else f", answers of table seed {self.table_seed}"
        for result in self.comparison.benchmarks:
            width = max(12, *(len(standing.optimizer) for standing in result.standings))
            budget = reached(result.grid[-1], self.comparison.spending)
            lines += [
                f"{result.benchmark}: {', '.join(o.name for o in result.objectives)}, "
                f"{len(result.seeds)} seeds, {budget}{answers}",
                f"  {identity(result.identity)}",
                f"  {'optimizer':<{width}} {'mean rank':<20} {'median final regret':<32} "
                + ("at optimum" if result.optimum_known else "at best known"),
            ]
            for standing in result.standings:
                rank, regret = standing.rank.last, standing.regret.last
                ranks = f"{rank.value:.2f} [{rank.low:.2f}, {rank.high:.2f}]"
                lines.append(
                    f"  {standing.optimizer:<{width}} {ranks:<20} {interval(regret):<32} "
                    f"{standing.optimum_share:.0%}"
                )
        lines += ["", summarise(self.comparison)]
        lines += [f"failed: {line}" for line in failures(self.comparison)]
        return "\n".join([*lines, f"report: {self.report}"])

    def __repr__(self) -> str:
        ranked = ", ".join(
            f"{name} {rank:.2f}" for name, rank in self.ranking["mean_rank"].items()
        )
        return (
            f"<result on {len(self.comparison.benchmarks)} benchmarks, "
            f"{self.comparison.finished} replays; mean ranks: {ranked or 'none'}>"
        )

    def _repr_html_(self) -> str:
        """Return the ranking, and what it means in words, for a notebook."""
        ranking = self.ranking.to_html(float_format="{:.2f}".format)
        return f"{ranking}<p>{escape(summarise(self.comparison))}</p>"

    def _on(self, benchmark: str | None) -> BenchmarkComparison:
        results = {result.benchmark: result for result in self.comparison.benchmarks}
        if benchmark is None and len(results) > 1:
            raise ConfigurationError(
                f"the study has several benchmarks, so name one: {', '.join(results)}"
            )
        name = benchmark if benchmark is not None else next(iter(results))
        if name not in results:
            raise UnknownNameError("benchmark", name, results, "the study")
        return results[name]

    def _check_ranked(self) -> None:
        if not self.comparison.ranking:
            raise ConfigurationError(
                "no optimizer was judged on every benchmark, so there are no ranks to draw"
            )


def _ends(estimate: Interval) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _drawn(ax: Axes | None, draw: Callable[[Axes], object]) -> Axes:
    axes = new_axes(ax)
    draw(axes)
    plots.add_legend(axes, beside=ax is None)
    return axes
