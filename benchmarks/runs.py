"""One run of an optimizer, ours or a library's: how good its best is, and what it took.

A library is imported only where it runs.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from functions import FunctionBenchmark
from scipy.stats.qmc import Sobol

from hpobench_llm.adapters import to_configspace
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.optimizers.encoding import decode, features
from hpobench_llm.replaying.replay import replay

# What a run returns: its best loss in full (of several objectives the negative of the hypervolume
# that it dominates), its suggestions, and the CPU seconds that they took.
Run = tuple[float, int, float]
Library = Callable[[Benchmark, int, int], Run]

REFERENCE = 1.1  # the corner up to which a front's area counts


def ours(name: str, problem: Benchmark, trials: int, seed: int, *, partial: bool) -> Run:
    """Run our optimizer; a multi-fidelity method has the steps of `trials` runs in full."""
    budget: Any = trials
    if partial:
        budget = {problem.fidelities[0].name: trials * problem.fidelities[0].full}
    started = time.process_time()  # the replay itself is in it
    objectives = objectives_of(problem)
    frame = replay(problem, name, budget=budget, seed=seed, objectives=objectives).to_frame()
    seconds = time.process_time() - started
    for axis in problem.fidelities:
        frame = frame[frame[axis.name] == axis.full]
    sound = frame[frame["status"] == "ok"]
    losses = [[problem.metrics[name].to_loss(v) for v in sound[name]] for name in objectives]
    return reached(np.array(losses).T), len(frame), seconds


def objectives_of(problem: Benchmark) -> tuple[str, ...]:
    """Return what is minimised: of a function all of its values, else the first metric."""
    every = tuple(problem.metrics)
    return every if isinstance(problem, FunctionBenchmark) else every[:1]


def reached(losses: np.ndarray) -> float:
    """Return how good losses `(n, k)` are together, lower being better."""
    if losses.shape[1] == 1:
        return float(losses.min())
    return -dominated(losses, REFERENCE)


def dominated(points: np.ndarray, corner: float) -> float:
    """Return the area of the plane that points `(n, 2)` dominate, up to `corner` on both axes."""
    area, low = 0.0, corner
    for first, second in sorted(map(tuple, points)):
        if first < corner and second < low:
            area += (corner - first) * (low - second)
            low = second
    return area


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, from which Syne Tune draws, and put them back."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


def loss_of(problem: Benchmark, config: dict[str, Any], level: float | None = None) -> float:
    """Return the loss of a library's configuration."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in config.items()}
    snapped = problem.snap(problem.space.canonical(plain))
    fidelity = None if level is None else {problem.fidelities[0].name: level}
    metric = problem.metrics[objectives_of(problem)[0]]
    return problem.query(snapped, fidelity=fidelity, metrics=[metric.name]).loss(metric)


def botorch_gp(problem: Benchmark, trials: int, seed: int) -> Run:
    """Run BoTorch's `SingleTaskGP` and `LogExpectedImprovement`, all at their defaults.

    The first ten trials are `gp`'s: a scrambled Sobol sequence. The improvement is that over the
    best posterior mean, as outcomes are noisy. Of a table its highest value among all rows that
    were not asked for is next, of a function what `optimize_acqf` finds. A failed run is as bad as
    the worst that was not.
    """
    import torch
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    metric = problem.metrics[objectives_of(problem)[0]]
    first = Sobol(len(problem.space), rng=np.random.default_rng(seed))
    rows = [] if isinstance(problem, FunctionBenchmark) else list(table_rows(problem))
    inputs = features(problem.space, rows) if rows else np.empty(0)
    asked: list[dict[str, Any]] = []
    losses: list[float] = []
    started = time.process_time()
    for number in range(trials):
        if number < 10:
            config = problem.snap(decode(problem.space, first.random(1)[0]))
        else:
            x = torch.tensor(features(problem.space, asked))
            worst = max(loss for loss in losses if np.isfinite(loss))
            y = -torch.tensor([[min(loss, worst)] for loss in losses], dtype=torch.float64)
            model = SingleTaskGP(x, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            with torch.no_grad():
                value = LogExpectedImprovement(model, model.posterior(x).mean.max())
            if rows:
                with torch.no_grad():
                    scores = value(torch.tensor(inputs)[:, None, :]).numpy()
                order = np.argsort(-scores, kind="stable")
                config = next(rows[i] for i in order if rows[i] not in asked)
            else:
                box = torch.tensor([[0.0] * x.shape[1], [1.0] * x.shape[1]], dtype=torch.float64)
                point, _ = optimize_acqf(value, box, q=1, num_restarts=5, raw_samples=256)
                config = decode(problem.space, point[0].numpy())
        evaluation = problem.query(config, metrics=[metric.name])
        asked.append(config)
        losses.append(evaluation.loss(metric) if evaluation.status == "ok" else np.inf)
    return min(losses), trials, time.process_time() - started


def table_rows(problem: Benchmark) -> Iterator[dict[str, Any]]:
    """Return the configurations of a table."""
    names = [axis.name for axis in problem.space]
    for row in problem.configurations()[names].to_dict("records"):
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
        yield problem.space.canonical(plain)


def optuna_gp(problem: Benchmark, trials: int, seed: int) -> Run:
    """Run Optuna's `GPSampler` at its defaults, on real axes."""
    import optuna
    import torch

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = objectives_of(problem)
    started = time.process_time()
    study = optuna.create_study(
        directions=["minimize"] * len(names), sampler=optuna.samplers.GPSampler(seed=seed)
    )

    def objective(trial: Any) -> tuple[float, ...]:
        config = {axis.name: trial.suggest_float(axis.name, 0.0, 1.0) for axis in problem.space}
        return tuple(problem.query(config).metrics[name] for name in names)

    study.optimize(objective, n_trials=trials)
    losses = np.array([trial.values for trial in study.trials])
    return reached(losses), trials, time.process_time() - started


def smac(problem: Benchmark, trials: int, seed: int) -> Run:
    """Run SMAC's `HyperparameterOptimizationFacade`."""
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    losses, seconds = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            to_configspace(problem.space, seed=seed),
            n_trials=trials,
            deterministic=True,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, logging_level=False, overwrite=True
        )
        for _ in range(trials):
            started = time.process_time()
            asked = facade.ask()
            seconds += time.process_time() - started
            losses.append(loss_of(problem, dict(asked.config)))
            started = time.process_time()
            facade.tell(asked, TrialValue(cost=losses[-1]), save=False)
            seconds += time.process_time() - started
    return min(losses), trials, seconds


def syne_tune(method: str) -> Library:
    """Return a run of one of Syne Tune's baselines in full."""

    def run(problem: Benchmark, trials: int, seed: int) -> Run:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

        losses, seconds = [], 0.0
        (metric,) = objectives_of(problem)
        with seeded(seed):
            domains = SyneTuneBlackbox(problem).configuration_space
            scheduler = getattr(baselines, method)(domains, metric, random_seed=seed)
            for number in range(trials):
                started = time.process_time()
                config = scheduler.suggest().config
                seconds += time.process_time() - started
                trial = Trial(number, config, datetime.now())
                losses.append(loss_of(problem, config))
                started = time.process_time()
                scheduler.on_trial_add(trial)
                scheduler.on_trial_complete(trial, {metric: losses[-1]})
                seconds += time.process_time() - started
        return min(losses), trials, seconds

    return run


def syne_tune_in_part(method: str) -> Library:
    """Return a run of one of Syne Tune's multi-fidelity baselines, one worker, by stopping."""

    def run(problem: Benchmark, trials: int, seed: int) -> Run:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

        axis, (metric,) = problem.fidelities[0], objectives_of(problem)
        levels = [value for value in axis.values if value > 0]
        best, number, seconds, left = np.inf, 0, 0.0, float(trials * axis.full)
        with seeded(seed):
            domains = SyneTuneBlackbox(problem).configuration_space
            scheduler = getattr(baselines, method)(
                domains,
                metric,
                time_attr=axis.name,
                max_t=int(axis.full),
                grace_period=int(levels[0]),
                random_seed=seed,
            )
            while left > 0:
                started = time.process_time()
                config = scheduler.suggest().config
                trial = Trial(number, config, datetime.now())
                scheduler.on_trial_add(trial)
                seconds += time.process_time() - started
                number += 1
                for before, level in zip([0, *levels], levels, strict=False):
                    left -= level - before
                    if left < 0:
                        break
                    loss = loss_of(problem, config, level)
                    best = min(best, loss) if level == axis.full else best
                    result = {metric: loss, axis.name: level}
                    started = time.process_time()
                    go_on = scheduler.on_trial_result(trial, result) == "CONTINUE"
                    seconds += time.process_time() - started
                    if not go_on:
                        break
        return float(best), number, seconds

    return run
