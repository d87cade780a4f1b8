"""Build an optimizer for a toy benchmark, and run it in an order that is hard on it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Source, Trial
from hpobench_llm.optimizers.registry import build, entry
from hpobench_llm.space import Configuration
from hpobench_llm.testing.elsewhere import Asked, Record, Told

if TYPE_CHECKING:  # an optimizer's module may import this one, and must not import a benchmark
    from hpobench_llm.testing.benchmarks import TwoLossToy

Outcome = Callable[[Trial, Evaluation], tuple[Trial, Evaluation]]


def arguments(
    optimizer: str | type[Optimizer],
    benchmark: "TwoLossToy",
    *,
    budget: int,
    seed: int = 0,
    metrics: Sequence[str] = ("val_loss", "far"),
    initial: Sequence[Configuration] = (),
    sources: Sequence[Source] | None = None,
) -> dict[str, Any]:
    """Return the arguments of `build`, by what the optimizer's entry says it takes.

    One that takes a single objective gets the first of `metrics`. `sources` None: two related
    tasks for one that learns from them, otherwise nothing.
    """
    from hpobench_llm.testing.benchmarks import related

    takes = entry(optimizer)
    names = metrics[:1] if takes.objectives == "one" else metrics
    if sources is None:
        sources = related(benchmark) if takes.transfer else ()
    return {
        "space": benchmark.space,
        "objectives": [benchmark.metrics[name] for name in names],
        "fidelities": benchmark.fidelities,
        "budget": budget,
        "seed": seed,
        "sources": sources,
        "initial": initial,
        "constraints": benchmark.constraints,
    }


def build_for(
    optimizer: str | type[Optimizer], benchmark: "TwoLossToy", **kwargs: Any
) -> Optimizer:
    """Return an optimizer of a benchmark; the other arguments are those of `arguments`."""
    return build(optimizer, **arguments(optimizer, benchmark, **kwargs))


def unchanged(trial: Trial, evaluation: Evaluation) -> tuple[Trial, Evaluation]:
    """Return what the benchmark answers as it is."""
    return trial, evaluation


def recorded(
    optimizer: str | type[Optimizer],
    benchmark: "TwoLossToy",
    *,
    workers: int = 1,
    asks: int | None = None,
    outcome: Outcome = unchanged,
    budget: int = 20,
    **kwargs: Any,
) -> Record:
    """Run an optimizer until it asks for no more; of the running trials the newest is told first.

    Args:
        optimizer: by name or class.
        benchmark: what answers.
        workers: how many trials run at a time.
        asks: after how many trials none is asked for; None: after `budget`.
        outcome: what is told instead of a trial and its evaluation.
        budget: what the optimizer is built with.
        **kwargs: further ones of `arguments`.
    """
    kwargs_of_build = arguments(optimizer, benchmark, budget=budget, **kwargs)
    calls: list[Asked | Told] = []
    running: list[Trial] = []
    count = 0
    most = budget if asks is None else asks
    with closing(build(optimizer, **kwargs_of_build)) as instance:
        while True:
            while len(running) < workers and count < most:
                trial = instance.ask()
                calls.append(Asked(trial))
                if trial is None:  # it waits for answers, or has ended
                    break
                count += 1
                running.append(trial)
            if not running:
                return Record(kwargs_of_build, calls)
            # The newest first: no optimizer may rely on answers in the order of its questions.
            trial = running.pop()
            call = Told(*outcome(trial, benchmark.query(trial.config, fidelity=trial.fidelity)))
            calls.append(call)
            instance.tell(call.trial, call.evaluation)


def trials(
    optimizer: str | type[Optimizer], benchmark: "TwoLossToy", **kwargs: Any
) -> list[Trial]:
    """Return the trials of a run; the arguments are those of `recorded`."""
    calls = recorded(optimizer, benchmark, **kwargs).calls
    return [call.trial for call in calls if isinstance(call, Asked) and call.trial is not None]


def configs(
    optimizer: str | type[Optimizer], benchmark: "TwoLossToy", **kwargs: Any
) -> list[Configuration]:
    """Return the configurations of `trials`."""
    return [trial.config for trial in trials(optimizer, benchmark, **kwargs)]
