"""Replay an optimizer against a benchmark on the simulated clock."""

import math
from collections.abc import Callable, Mapping, Sequence

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.live import LiveBenchmark
from hpobench_llm.errors import ConfigurationError, OptimizerError
from hpobench_llm.metrics import objective_of, select
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.registry import build, entry
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.clock import Clock, Rules, TrialRun
from hpobench_llm.replaying.live_clock import LiveClock
from hpobench_llm.replaying.sources import sources_of
from hpobench_llm.replaying.trajectory import Trajectory
from hpobench_llm.space import Configuration, check_seed, is_number


def replay(
    benchmark: str | Benchmark,
    optimizer: str | type[Optimizer],
    *,
    budget: int | Mapping[str, float],
    seed: int,
    workers: int = 1,
    objectives: str | Sequence[str] = (),
    initial: Sequence[Configuration] = (),
    sources: Sequence[str | Benchmark] = (),
    table_seed: int | None = None,
    checkpoint_seconds: float | None = 0.0,
    count_optimizer_seconds: bool = False,
    on_trial: Callable[[Trajectory], None] | None = None,
    order: Sequence[int] = (),
) -> Trajectory:
    """Run one optimizer until its budget is spent and return its trajectory.

    A suggestion is snapped to the nearest configuration that the benchmark can evaluate, and the
    optimizer is told of that one. A configuration that is suggested again is a trial like any
    other, for every optimizer: it costs and counts, gets the same answer, and is marked as a
    `duplicate`. An optimizer that ends early leaves a shorter trajectory. Where costs are not
    known, each trial takes one unit of time: its `cost_seconds` stays NaN, and `started_seconds`
    and `finished_seconds` count these units.

    Args:
        benchmark: a benchmark, or the name of one.
        optimizer: a name in the registry, or a class of your own, whose name it then has.
        budget: how many trials, or an amount of another unit: `{"seconds": 3600}` of the simulated
            clock, `{"tokens": 1e6}`, or steps of a fidelity axis, `{"step": 4096}`. See `Budget`.
        seed: the optimizer's only source of randomness.
        workers: how many trials run at a time on the simulated clock; on a live benchmark that
            keeps its runs (`kept_in`), as many processes train at the same time.
        objectives: the metrics that the optimizer is told; by default the benchmark's own.
        initial: configurations that every optimizer has to try first, in full; they count.
        sources: benchmarks of related tasks, the most recent last, whose results in full an
            optimizer that transfers is told; see `sources_of`.
        table_seed: which seed of the benchmark answers, whatever the optimizer's own `seed` is.
            None: the mean over the seeds that all configurations have; an integer: of a table
            that seed's runs, among whose configurations suggestions are snapped, of a surrogate a
            draw, of a live benchmark a run that is trained with it.
        checkpoint_seconds: what it takes to resume a trial; None: it begins anew.
        count_optimizer_seconds: let the optimizer's own time pass on the clock.
        on_trial: called with each trial when it has ended, as a trajectory of one.
        order: the trials that have ended, in that order, if this replay with several processes
            was begun before: see `LiveClock`.

    Example:
        >>> trajectory = replay("lora-nano", "random", budget=20, seed=0)
        >>> print(f"{trajectory.to_frame()['val_loss'].min():.3f}")
        3.705

    Raises:
        UnknownNameError: there is no such benchmark, optimizer, metric or unit.
        ConfigurationError: a budget, a number of workers, a seed, a time or a source that cannot
            be, or a budget in tokens that the benchmark does not know.
        NotInTableError: a table has no run of `table_seed`.
        OptimizerError: the optimizer failed, or it transfers and has no source.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigurationError(f"`workers`: a whole number of at least 1, got {workers!r}")
    if checkpoint_seconds is not None and not (
        is_number(checkpoint_seconds) and 0 <= checkpoint_seconds < math.inf
    ):
        raise ConfigurationError(f"`checkpoint_seconds`: 0 or more, got {checkpoint_seconds!r}")
    if not isinstance(benchmark, Benchmark):
        benchmark = load(benchmark)
    metrics = select(
        benchmark.metrics, objectives or objective_of(benchmark.metrics).name, benchmark.name
    )
    if len(set(metrics)) < len(metrics):
        raise ConfigurationError(f"`objectives`: each once, got {[m.name for m in metrics]}")
    limit = Budget.of(budget, benchmark.fidelities)
    rules = Rules(
        workers=workers,
        table_seed=table_seed,
        checkpoint_seconds=checkpoint_seconds,
        count_optimizer_seconds=count_optimizer_seconds,
    )
    instance = build(
        optimizer,
        space=benchmark.space,
        objectives=metrics,
        fidelities=benchmark.fidelities,
        budget=limit.trials(benchmark.fidelities, in_part=entry(optimizer).fidelity),
        seed=check_seed(seed),
        initial=initial,
        sources=sources_of(benchmark, sources, metrics),
        constraints=benchmark.constraints,
    )
    name = optimizer if isinstance(optimizer, str) else optimizer.__name__

    def on_done(run: TrialRun) -> None:
        if on_trial is not None:
            on_trial(Trajectory.of(benchmark, name, entry(optimizer), instance, [run]))

    try:
        if isinstance(benchmark, LiveBenchmark) and benchmark.kept and workers > 1:
            runs = LiveClock(benchmark, instance, metrics, limit, rules, on_done, order).run()
        else:
            runs = Clock(benchmark, instance, metrics, limit, rules, on_done).run()
    finally:
        instance.close()
    if not runs:
        raise OptimizerError(f"{name}: no trial was finished within the budget of {budget}")
    return Trajectory.of(benchmark, name, entry(optimizer), instance, runs)
