"""The ranking check: do optimizers rank on a surrogate as they do on its table?

Both sides are the same problem to an optimizer: the table's space and configurations, the same
optimizer seeds, the mean over seeds on the table and the expected run on the surrogate. So the
check tells what replacing measurements by predictions changes, and nothing else; the space between
the grid's points, which a table cannot answer, is judged by the held-out regions instead.

Two optimizers are compared by their incumbents after the same number of trials, once for each of a
few budgets, which are the beginnings of one replay. Over the seeds, one wins more often than the
other. Many pairs are ties on the table itself: about these it says nothing, and a surrogate cannot
be wrong. So what counts are the pairs that the table tells apart, by a sign test over the seeds at
5 %. Kendall's tau over them is the share that the surrogate orders alike minus the share that it
reverses; a pair that it ties counts 0.

What tau can be expected of a perfect surrogate is measured, not assumed: the same optimizers run
on the table once more with other seeds, and the tau of the table with itself is the ceiling. The
bar is a share of it. A surrogate can be above the ceiling: it shares the table's seeds, and so
every optimizer's random start.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, pearsonr, rankdata, spearmanr

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError, MissingDependencyError, NotMeasuredError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.registry import build, list_optimizers
from hpobench_llm.provenance import versions
from hpobench_llm.space import Configuration
from hpobench_llm.studies.replay import replay
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.tables.table import Table

# NOMAD is not among them: its models take minutes for some seeds.
OPTIMIZERS = (
    "random",
    "sobol",
    "local-search-mo",
    "de",
    "cmaes",
    "nsga2",
    "tpe-nni",
    "tpe-optuna",
)
SEEDS, BUDGETS = 60, (16, 32, 64)
LEVEL = 0.05  # of the test that tells two optimizers apart on the table
BAR = 0.8  # of the ceiling
LEAST_PAIRS = 5
RESAMPLES = 2000

FloatArray = NDArray[np.float64]
Signs = NDArray[np.int64]


def ranking_check(
    table: Table,
    surrogate: Surrogate,
    *,
    objective: str | None = None,
    seeds: int = SEEDS,
    budgets: Sequence[int] = BUDGETS,
    on_replay: Callable[[int, int, str], None] = lambda *_: None,
) -> dict[str, Any]:
    """Run the fixed optimizers on table and surrogate and compare how they rank.

    Args:
        table: what the surrogate was fitted on.
        surrogate: the surrogate.
        objective: which metric is optimized; None: the table's first.
        seeds: how many seeds of each optimizer on either side; the ceiling takes as many more.
        budgets: after how many trials optimizers are compared, increasing.
        on_replay: told how many replays are done, of how many, and which.

    Returns:
        Plain JSON: what `compare_losses` returns, and what was run. An optimizer whose library is
        not installed is left out. Where the objective was not measured of every configuration,
        the check cannot be made, and is not passed.
    """
    name = objective or next(iter(table.metadata.metrics))
    measured = TabularBenchmark(table)
    restricted = _OnTheTablesGrid(measured, SurrogateBenchmark(surrogate))
    installed = [o for o in OPTIMIZERS if _installed(o, measured, name)]
    libraries = {list_optimizers()[o].distribution for o in installed} - {""}
    made: dict[str, Any] = {
        "objective": name,
        "optimizers": installed,
        "left_out": [o for o in OPTIMIZERS if o not in installed],
        "versions": versions("hpobench-llm", "numpy", *sorted(libraries)),
        "seeds": seeds,
        "budgets": list(budgets),
        "bar": BAR,
    }
    sides: tuple[tuple[str, Benchmark, range], ...] = (
        ("table", measured, range(seeds)),
        ("surrogate", restricted, range(seeds)),
        ("table again", measured, range(seeds, 2 * seeds)),
    )
    losses = {side: np.empty((seeds, len(installed), len(budgets))) for side, *_ in sides}
    done, total = 0, len(sides) * len(installed) * seeds
    for side, benchmark, numbers in sides:
        for place, optimizer in enumerate(installed):
            for row, seed in enumerate(numbers):
                try:
                    frame = replay(
                        benchmark, optimizer, budget=budgets[-1], seed=seed, objectives=(name,)
                    ).frame
                except NotMeasuredError as error:
                    verdict = f"the check cannot be made: {error}"
                    return made | {"passed": False, "verdict": verdict, "tau": None}
                told = _losses(frame, name, measured.metrics[name].to_loss)
                best = np.minimum.accumulate(told)
                losses[side][row, place] = [best[min(b, len(best)) - 1] for b in budgets]
                done += 1
                on_replay(done, total, f"{optimizer} on the {side}")
    compared = compare_losses(*losses.values(), optimizers=installed, budgets=budgets)
    return made | compared


def compare_losses(
    table: FloatArray,
    surrogate: FloatArray,
    again: FloatArray,
    *,
    optimizers: Sequence[str],
    budgets: Sequence[int],
) -> dict[str, Any]:
    """Compare the losses of incumbents `(seeds, optimizers, budgets)`; see the module.

    `table` and `surrogate` are paired by seed, `again` is of other seeds. Returns plain JSON:

    `passed` and `verdict`; `pairs` of all budgets and `told_apart`, those that the table tells
    apart; `tau` with its 95 % `interval` from resampling seeds, those of table and surrogate
    together; `ceiling`, the same of the table with itself; `correlation` of the cells' mean losses
    (a cell is an optimizer and a budget), between table and surrogate and of the table with
    itself; `cells`, with mean ranks and losses. The check is passed with at least five pairs told
    apart, a tau of at least the bar's share of the ceiling, and an interval above 0. Where no pair
    is told apart `tau` is None.
    """
    pairs = list(combinations(range(len(optimizers)), 2))
    ours, theirs, others = (_signs(losses, pairs) for losses in (table, surrogate, again))
    told = _told_apart(ours)
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {"pairs": int(told.size), "told_apart": int(told.sum())}
    made["cells"] = _cells(table, surrogate, optimizers, budgets)
    made["correlation"] = {
        "surrogate": _correlations(table, surrogate),
        "table_with_itself": _correlations(table, again),
    }
    apart = f"the table tells {made['told_apart']} of {made['pairs']} pairs of optimizers apart"
    if not told.any():
        return made | {"passed": False, "verdict": apart, "tau": None, "interval": None}
    ours, theirs, others = ours[:, told], theirs[:, told], others[:, told]
    first, second = (_resampled(len(table), rng) for _ in range(2))
    tau, ceiling = float(_tau(ours, theirs)[0]), float(_tau(ours, others)[0])
    low, high = _interval(_tau(ours, theirs, first, first))
    made |= {
        "tau": tau,
        "interval": [low, high],
        "ceiling": {"tau": ceiling, "interval": _interval(_tau(ours, others, first, second))},
    }
    enough = told.sum() >= LEAST_PAIRS
    passed = bool(enough and tau >= BAR * ceiling and low > 0)
    verdict = f"{apart}; on these Kendall's tau is {tau:.2f} [{low:.2f}, {high:.2f}]"
    verdict += f", the table's own with other seeds {ceiling:.2f}"
    if not enough:
        verdict += f": fewer than {LEAST_PAIRS} pairs are too few to judge by"
    elif passed:
        verdict += f": it reaches {BAR:.0%} of that"
    else:
        verdict += f": it does not reach {BAR:.0%} of that, or may be 0"
    return made | {"passed": passed, "verdict": verdict}


def _signs(losses: FloatArray, pairs: list[tuple[int, int]]) -> Signs:
    """Return `(seeds, pairs x budgets)`: 1 where the first of a pair is better, -1, or 0."""
    signs = [np.sign(losses[:, b] - losses[:, a]) for a, b in pairs]
    return np.concatenate(signs, axis=1).astype(np.int64)


def _told_apart(signs: Signs) -> NDArray[np.bool_]:
    """Return for each pair whether a sign test tells it apart; ties say nothing."""
    wins, losses = (signs > 0).sum(axis=0), (signs < 0).sum(axis=0)
    return np.array(
        [
            bool(won + lost) and binomtest(won, won + lost).pvalue < LEVEL
            for won, lost in zip(wins.tolist(), losses.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )


def _tau(
    one: Signs, other: Signs, first: Signs | None = None, second: Signs | None = None
) -> FloatArray:
    """Return `(n,)` taus, one for each row of how often the seeds of either side count."""
    once = np.ones((1, len(one)), dtype=np.int64)
    left = np.sign((once if first is None else first) @ one)
    right = np.sign((once if second is None else second) @ other)
    found: FloatArray = (left * right).mean(axis=1)
    return found


def _resampled(seeds: int, rng: np.random.Generator) -> Signs:
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES)


def _interval(values: FloatArray) -> list[float]:
    return [float(q) for q in np.quantile(values, [0.025, 0.975])]


def _cells(
    table: FloatArray, surrogate: FloatArray, optimizers: Sequence[str], budgets: Sequence[int]
) -> list[dict[str, Any]]:
    sides = {"table": table, "surrogate": surrogate}
    ranks = {side: rankdata(losses, axis=1).mean(axis=0) for side, losses in sides.items()}
    means = {side: losses.mean(axis=0) for side, losses in sides.items()}
    return [
        {
            "optimizer": optimizer,
            "trials": budget,
            "mean_rank": {side: float(found[i, j]) for side, found in ranks.items()},
            "mean_loss": {side: float(found[i, j]) for side, found in means.items()},
        }
        for i, optimizer in enumerate(optimizers)
        for j, budget in enumerate(budgets)
    ]


def _correlations(one: FloatArray, other: FloatArray) -> dict[str, float | None]:
    """Return the correlations of the cells' mean losses; None where a side is constant."""
    x, y = (losses.mean(axis=0).ravel() for losses in (one, other))
    if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
        return {"pearson": None, "spearman": None}
    return {
        "pearson": float(pearsonr(x, y).statistic),
        "spearman": float(spearmanr(x, y).statistic),
    }


def _losses(frame: pd.DataFrame, name: str, to_loss: Callable[[float], float]) -> FloatArray:
    values = frame[name].where(frame["status"] == "ok")
    return np.array([to_loss(float(value)) for value in values])


def _installed(optimizer: str, benchmark: Benchmark, objective: str) -> bool:
    try:
        build(
            optimizer,
            space=benchmark.space,
            objectives=(benchmark.metrics[objective],),
            budget=1,
            seed=0,
        ).close()
    except MissingDependencyError:
        return False
    return True


class _OnTheTablesGrid(Benchmark):
    """A surrogate that can be asked for its table's configurations alone."""

    def __init__(self, table: TabularBenchmark, surrogate: SurrogateBenchmark) -> None:
        self._table, self._surrogate = table, surrogate
        self.name = surrogate.name
        self.space = table.space
        self.fidelities = table.fidelities
        self.metrics = table.metrics

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Predict one configuration of the table."""
        return self._surrogate.query(config, fidelity=fidelity, seed=seed, metrics=metrics)

    def snap(
        self,
        config: Configuration,
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        tried: Sequence[Configuration] = (),
    ) -> Configuration:
        """Return the table's configuration nearest in the unit encoding."""
        return self._table.snap(config, fidelity=fidelity, seed=seed, tried=tried)

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Refuse: the check compares incumbents, which needs no optimum."""
        raise ConfigurationError(f"{self.name}: the ranking check needs no optimum of {metric}")
