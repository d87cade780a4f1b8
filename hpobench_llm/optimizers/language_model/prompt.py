"""What a language model is told and what is read out of its answer. Nothing of it is evaluated."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.plain import Json
from hpobench_llm.space import Configuration, Space

SHOWN = 30  # trials: the latest, and the best before them

TASK = """\
You choose hyperparameters for the fine-tuning of a language model, one trial at a time.
A trial trains with one configuration and reports its metrics. {objectives}
{constraints}
Search space, one JSON object an axis; values off these axes cannot be run, and the axes of a
simplex have to sum to one:
{space}

Trials so far, {count} of {budget}, as JSON lines:
{history}
{running}{advice}
Which configuration should be tried next? Use what the trials show and what you know of training,
and avoid what failed. Answer with one JSON object that has a value for each of: {names}."""

WRONG = "That cannot be run: {problem}. Answer with one JSON object as asked, and nothing else."


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """A finished trial as the model sees it."""

    number: int
    config: Configuration
    evaluation: Evaluation


def question(
    space: Space,
    objectives: Sequence[Metric],
    constraints: Sequence[Constraint],
    trials: Sequence[FinishedTrial],
    running: Sequence[Configuration],
    budget: int,
    advice: str = "",
) -> str:
    """Return the prompt: task, space, trials and what is asked for."""
    goals = ", ".join(
        f"{metric.direction} {metric.name}" + (f" ({metric.unit})" if metric.unit else "")
        for metric in objectives
    )
    limits = ", ".join(
        f"{c.name} {'at most' if c.direction == 'minimize' else 'at least'} {c.bound:g} {c.unit}"
        for c in constraints
    )
    under_way = "".join(json.dumps(config) + "\n" for config in running)
    return TASK.format(
        objectives=f"Objective: {goals}.",
        constraints=f"To be kept: {limits}.\n" if limits else "",
        space="\n".join(json.dumps(axis) for axis in space.to_json()),
        count=len(trials),
        budget=budget,
        history="\n".join(_line(t, objectives) for t in _selected(trials, objectives)) or "none",
        running=f"\nRunning now, outcome not known yet:\n{under_way}" if running else "",
        advice=f"\n{advice}\n" if advice else "",
        names=", ".join(space.names),
    )


def _selected(
    trials: Sequence[FinishedTrial], objectives: Sequence[Metric]
) -> list[FinishedTrial]:
    """Return the latest trials, and before them the best by the first objective, by number."""
    latest = list(trials[-SHOWN // 2 :])
    before = sorted(
        trials[: len(trials) - len(latest)], key=lambda t: t.evaluation.loss(objectives[0])
    )
    # In the order of the trials, so that the model sees a course and not a ranking.
    return sorted([*before[: SHOWN - len(latest)], *latest], key=lambda t: t.number)


def _line(trial: FinishedTrial, objectives: Sequence[Metric]) -> str:
    values = {
        metric.name: _short(metric.from_loss(trial.evaluation.loss(metric)))
        for metric in objectives
    }
    line: dict[str, Json] = {
        "trial": trial.number,
        "config": trial.config,
        "status": trial.evaluation.status,
    }
    if trial.evaluation.status == "ok":
        line |= values
    broken = {k: _short(v) for k, v in trial.evaluation.constraints.items() if v > 0}
    if broken:
        line["beyond_limit_by"] = broken
    return json.dumps(line)


def _short(value: float) -> float | str:
    # JSON has no infinity, and a model reads six digits as well as seventeen.
    return float(f"{value:.6g}") if math.isfinite(value) else "unknown"


def read_configuration(answer: str, space: Space) -> Configuration:
    """Return the configuration of an answer: its last JSON object with a value for each axis.

    Raises:
        ConfigurationError: there is none, or it lies outside the space.
    """
    names = set(space.names)
    # The last one: models think aloud, and may quote trials, before they answer.
    objects = [candidate for candidate in _objects(answer) if names <= set(candidate)]
    if not objects:
        raise ConfigurationError(
            f"no JSON object with a value for each of {', '.join(space.names)}"
        )
    return space.canonical({name: objects[-1][name] for name in space.names})


def _objects(text: str) -> list[dict[str, object]]:
    """Return the JSON objects of a text, in order; those inside of others are not looked at."""
    decoder, objects, start = json.JSONDecoder(), [], text.find("{")
    while start >= 0:
        try:
            value, start = decoder.raw_decode(text, start)
            objects.append(value)
        except (ValueError, RecursionError):  # a brace of prose: the next one may begin an object
            start += 1
        start = text.find("{", start)
    return objects
