"""The ranking check: do optimizers rank on a surrogate as they do on its table?

Both sides look the same to an optimizer: the table's space and configurations, the same optimizer
seeds, the mean over seeds on the table and the expected run on the surrogate. So the check shows
what changes when predictions replace measurements, and nothing else; the space between the grid's
points, which a table cannot answer, is judged by the held-out regions instead.

Optimizers are compared by their incumbents after as much work as the same number of runs in full
(`ranks.py`). Ranks do not tell where the best lies; that is asked apart (`location.py`), and both
have to pass.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark, FidelityValues
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.comparison.incumbents import incumbent_losses
from hpobench_llm.comparison.location import location
from hpobench_llm.comparison.ranks import BAR, compare_losses
from hpobench_llm.errors import (
    ConfigurationError,
    MissingDependencyError,
    NotInTableError,
    NotMeasuredError,
    OptimizerError,
)
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.registry import build, list_optimizers
from hpobench_llm.provenance import versions
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Configuration
from hpobench_llm.surrogates.record import RankingCheck
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
    "gp",
    "bore",
    "asha",
)
SEEDS, BUDGETS = 60, (16, 32, 64)
PARTIAL_TRIALS = 30  # enough to show whether an objective is measured along a fidelity

FloatArray = NDArray[np.float64]


def ranking_check(
    table: Table,
    surrogate: Benchmark,
    *,
    objective: str | None = None,
    seeds: int = SEEDS,
    budgets: Sequence[int] = BUDGETS,
    on_replay: Callable[[int, int, str], None] = lambda *_: None,
) -> RankingCheck:
    """Run the fixed optimizers on table and surrogate and compare how they rank.

    Args:
        table: the surrogate was fitted on it.
        surrogate: the surrogate as a benchmark.
        objective: which metric is optimized; None: the table's first.
        seeds: how many seeds of each optimizer on either side; the ceiling takes as many more.
        budgets: after how many runs in full optimizers are compared, increasing.
        on_replay: called with the number of replays that are done, of how many, and the last.

    Returns:
        Plain JSON: the result of `compare_losses`, the replays that were run, and `location`.
        `passed` means that ranks and location are. An optimizer whose library is not installed is
        left out, and so is one that trains in part if the table has not exactly one fidelity or
        does not measure the objective along it. If some configuration lacks the objective, the
        check cannot be made, and is not passed.
    """
    name = objective or next(iter(table.metadata.metrics))
    measured = TabularBenchmark(table)
    restricted = _OnTheTablesGrid(measured, surrogate)
    metric = measured.metrics[name]
    check: RankingCheck = {
        "objective": name,
        "seeds": seeds,
        "budgets": list(budgets),
        "bar": BAR,
    }
    try:
        full = {
            side: _in_full(benchmark, measured, metric)
            for side, benchmark in (("table", measured), ("surrogate", restricted))
        }
        usable = [o for o in OPTIMIZERS if _usable(o, measured, metric)]
        check |= {
            "optimizers": usable,
            "left_out": [o for o in OPTIMIZERS if o not in usable],
            "versions": versions("hpobench-llm", "numpy", *_libraries(usable)),
        }
        losses = {}
        done, total = 0, 3 * len(usable) * seeds
        for side, benchmark, numbers in (
            ("table", measured, range(seeds)),
            ("surrogate", restricted, range(seeds)),
            ("table again", measured, range(seeds, 2 * seeds)),
        ):
            losses[side] = np.empty((seeds, len(usable), len(budgets)))
            in_full = full["surrogate" if benchmark is restricted else "table"]
            for column, optimizer in enumerate(usable):
                for row, seed in enumerate(numbers):
                    losses[side][row, column] = incumbent_losses(
                        benchmark,
                        optimizer,
                        seed=seed,
                        metric=metric,
                        budgets=budgets,
                        in_full=in_full,
                    )
                    done += 1
                    on_replay(done, total, f"{optimizer} on the {side}")
    except NotMeasuredError as error:
        verdict = f"the check cannot be made: {error}"
        return check | {"passed": False, "verdict": verdict, "tau": None}
    ranks = compare_losses(*losses.values(), optimizers=usable, budgets=budgets)
    where_best = location(*_located(full, table, metric))
    return {
        **check,
        **ranks,
        "location": where_best,
        "passed": ranks["passed"] and where_best["passed"],
        "verdict": f"{ranks['verdict']}; {where_best['verdict']}",
    }


def _in_full(benchmark: Benchmark, table: TabularBenchmark, metric: Metric) -> dict[str, float]:
    """Return the loss in full of each of the table's configurations that ends ok, by its id."""
    configs = table.configurations()
    losses = {}
    for config_id, config in zip(
        configs["config_id"], configs.drop(columns="config_id").to_dict("records"), strict=True
    ):
        try:
            answer = benchmark.query({str(k): v for k, v in config.items()})
        except NotInTableError:
            continue
        value = answer.metrics.get(metric.name)
        if answer.status == "ok" and value is not None:
            losses[config_id] = metric.to_loss(value)
    return losses


def _located(
    full: Mapping[str, Mapping[str, float]], table: Table, metric: Metric
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the arguments of `location`, for the configurations that are ok on the table."""
    ids = list(full["table"])
    worst = metric.to_loss(metric.worst)
    truth = np.array([full["table"][i] for i in ids])
    predicted = np.array([full["surrogate"].get(i, worst) for i in ids])
    frame = table.frame.loc[table.frame["status"] == "ok"]
    for axis in table.metadata.fidelities:
        frame = frame.loc[frame[axis.name] == axis.full]
    seeds = np.full((len(ids), 2), np.nan)
    row_of = {config_id: row for row, config_id in enumerate(ids)}
    for config_id, runs in frame.sort_values("seed").groupby("config_id")[metric.name]:
        if len(runs) > 1 and config_id in row_of:
            seeds[row_of[str(config_id)]] = [metric.to_loss(float(v)) for v in runs.iloc[:2]]
    return truth, predicted, seeds


def _usable(optimizer: str, table: TabularBenchmark, metric: Metric) -> bool:
    """Return whether an optimizer is installed and, if it trains in part, can do so here."""
    partial = list_optimizers()[optimizer].fidelity
    if partial and len(table.fidelities) != 1:
        return False
    try:
        if partial:
            replay(table, optimizer, budget=PARTIAL_TRIALS, seed=0, objectives=(metric.name,))
        else:
            build(optimizer, space=table.space, objectives=(metric,), budget=1, seed=0).close()
    except MissingDependencyError:
        return False
    except (NotMeasuredError, NotInTableError, OptimizerError):
        if partial:
            return False
        raise
    return True


def _libraries(optimizers: Sequence[str]) -> list[str]:
    return sorted({list_optimizers()[o].distribution for o in optimizers} - {""})


class _OnTheTablesGrid(Benchmark):
    """A surrogate that answers only for the configurations of its table."""

    def __init__(self, table: TabularBenchmark, surrogate: Benchmark) -> None:
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
