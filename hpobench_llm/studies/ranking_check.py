"""The ranking check: do optimizers rank on a surrogate as they do on its table?

Both sides are the same problem to an optimizer: the table's space and configurations, the same
optimizer seeds, the mean over seeds on the table and the expected run on the surrogate. So the
check tells what replacing measurements by predictions changes, and nothing else; the space between
the grid's points, which a table cannot answer, is judged by the held-out regions instead.

An optimizer's rank on one side and seed is its mean rank over the trials: after each trial, the
optimizers are ranked by the loss of their incumbents (equal losses share the mean rank). Ranks
over seeds are averaged, and Kendall's tau-b compares the two orders. With four optimizers tau
takes few values, hence two companions: an interval from resampling the seeds, which both sides
share, and the tau between two halves of the seeds on the table alone: no surrogate can be asked
for more agreement than the table has with itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError, MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Configuration
from hpobench_llm.studies.replay import replay
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.tables.table import Table

OPTIMIZERS = ("random", "nomad", "tpe-optuna", "tpe-nni")
SEEDS, BUDGET, BAR, RESAMPLES = 10, 50, 0.5, 2000
LEAST_OPTIMIZERS = 3  # of two, the order is right or wrong by the toss of a coin

FloatArray = NDArray[np.float64]


def ranking_check(
    table: Table,
    surrogate: Surrogate,
    *,
    objective: str | None = None,
    seeds: int = SEEDS,
    budget: int = BUDGET,
    on_replay: Callable[[int, int, str], None] = lambda *_: None,
) -> dict[str, Any]:
    """Run the fixed optimizers on table and surrogate and compare their ranks.

    Args:
        table: what the surrogate was fitted on.
        surrogate: the surrogate.
        objective: which metric is optimized; None: the table's first.
        seeds: how many seeds of each optimizer.
        budget: trials of each replay.
        on_replay: told how many replays are done, of how many, and which.

    Returns:
        Plain JSON: `passed`, `verdict`, `tau`, its `interval` (95 %) and `bar`, the table's
        agreement with itself, the mean ranks, and what was run. `passed` needs a tau of at least
        the bar. An optimizer whose library is not installed is left out; with fewer than three
        `tau` is None and the check is not passed.
    """
    name = objective or next(iter(table.metadata.metrics))
    measured = TabularBenchmark(table)
    sides: dict[str, Benchmark] = {
        "table": measured,
        "surrogate": _OnTheTablesGrid(measured, SurrogateBenchmark(surrogate)),
    }
    metric = measured.metrics[name]
    optimizers = [o for o in OPTIMIZERS if _installed(o, measured, name)]
    made: dict[str, Any] = {
        "objective": name,
        "optimizers": optimizers,
        "seeds": seeds,
        "budget": budget,
        "bar": BAR,
    }
    if len(optimizers) < LEAST_OPTIMIZERS:
        verdict = (
            f"only {len(optimizers)} of its optimizers are installed ({', '.join(optimizers)}), "
            f"{LEAST_OPTIMIZERS} are needed"
        )
        return made | {"passed": False, "verdict": verdict, "tau": None, "interval": None}
    losses = {side: np.full((seeds, len(optimizers), budget), np.inf) for side in sides}
    done, total = 0, len(sides) * len(optimizers) * seeds
    for side, benchmark in sides.items():
        for place, optimizer in enumerate(optimizers):
            for seed in range(seeds):
                frame = replay(
                    benchmark, optimizer, budget=budget, seed=seed, objectives=(name,)
                ).frame
                told = _losses(frame, name, metric.to_loss)
                losses[side][seed, place, : len(told)] = told
                done += 1
                on_replay(done, total, f"{optimizer} on the {side}")
    ranks = {side: mean_ranks(found) for side, found in losses.items()}
    return made | compare_ranks(ranks["table"], ranks["surrogate"], optimizers)


def mean_ranks(losses: FloatArray) -> FloatArray:
    """Return `(seeds, optimizers)`: the mean rank of the incumbents over the trials.

    `losses` is `(seeds, optimizers, trials)`, lower is better; a trial that was not run is inf.
    """
    incumbents = np.minimum.accumulate(losses, axis=2)
    ranks: FloatArray = rankdata(incumbents, axis=1).mean(axis=2)
    return ranks


def compare_ranks(
    table: FloatArray, surrogate: FloatArray, optimizers: Sequence[str]
) -> dict[str, Any]:
    """Compare two arrays `(seeds, optimizers)` of mean ranks; see `ranking_check`.

    A resample in which a side ranks all optimizers equal agrees with nothing: its tau is 0.
    """
    seeds = len(table)
    tau = _tau(table.mean(axis=0), surrogate.mean(axis=0))
    rng = np.random.default_rng(0)
    draws = rng.integers(seeds, size=(RESAMPLES, seeds))
    taus = [_tau(table[d].mean(axis=0), surrogate[d].mean(axis=0)) for d in draws]
    halves = [np.array_split(rng.permutation(seeds), 2) for _ in range(RESAMPLES // 10)]
    itself = [_tau(table[a].mean(axis=0), table[b].mean(axis=0)) for a, b in halves if len(b)]
    low, high = (float(q) for q in np.quantile(taus, [0.025, 0.975]))
    passed = tau >= BAR
    relation = "reaches" if passed else "is below"
    return {
        "passed": passed,
        "verdict": f"Kendall's tau {tau:.2f} [{low:.2f}, {high:.2f}] {relation} the bar of {BAR}",
        "tau": tau,
        "interval": [low, high],
        "tau_of_the_table_with_itself": float(np.mean(itself)) if itself else None,
        "tau_seed_by_seed": float(
            np.mean([_tau(a, b) for a, b in zip(table, surrogate, strict=True)])
        ),
        "mean_ranks": {
            name: {"table": float(one), "surrogate": float(other)}
            for name, one, other in zip(
                optimizers, table.mean(axis=0), surrogate.mean(axis=0), strict=True
            )
        },
    }


def _tau(one: FloatArray, other: FloatArray) -> float:
    # Means of equal ranks may differ in the last bits; a tie is a tie.
    found = float(kendalltau(np.round(one, 9), np.round(other, 9)).statistic)
    return found if np.isfinite(found) else 0.0


def _losses(frame: pd.DataFrame, name: str, to_loss: Callable[[float], float]) -> list[float]:
    values = frame[name].where(frame["status"] == "ok")
    return [to_loss(float(value)) for value in values]


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
    ) -> Configuration:
        """Return the table's configuration nearest in the unit encoding."""
        return self._table.snap(config, fidelity=fidelity, seed=seed)

    def optimum(self, metric: str) -> tuple[Configuration, float]:
        """Refuse: the check compares incumbents, which needs no optimum."""
        raise ConfigurationError(f"{self.name}: the ranking check needs no optimum of {metric}")
