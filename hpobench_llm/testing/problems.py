"""Closed-form problems for the contract: every kind of axis, two objectives, related tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hpobench_llm.benchmarks.base import FidelityValues
from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_bowl, toy_sphere
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Source
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Simplex, Space

_SHIFTS = (-0.1, 0.1)  # of the related tasks' optima, in the unit encoding
_KNOWN = 24  # evaluations of a related task


class ToyProblem(ToyBenchmark):
    """A toy with a second loss, `far`, whose optimum is at 0.7 on every axis.

    Args:
        name: of the problem.
        space: any.
        shift: where both optima lie from those of the problem itself: a related task.
    """

    def __init__(self, name: str, space: Space, shift: float = 0.0) -> None:
        super().__init__(name, space)
        self.shift = shift
        worst = float(len(space)) + 1.0
        far = Metric(name="far", unit="1", direction="minimize", worst=worst, low=0.0)
        self.metrics = self.metrics | {"far": far}

    def query(
        self,
        config: Mapping[str, object],
        *,
        fidelity: FidelityValues | None = None,
        seed: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Evaluation:
        """Evaluate the closed form, always with all metrics."""
        told = super().query(config, fidelity=fidelity, seed=seed, metrics=("val_loss",))
        unit = self.space.to_unit([self.space.canonical(config)]) - self.shift
        loss = float(((unit - 0.3) ** 2).sum()) + 1.0 / told.cost_seconds
        values = {"val_loss": loss, "score_toy": -loss, "far": float(((unit - 0.7) ** 2).sum())}
        excesses = dict(self._excesses(values | {"cost_seconds": told.cost_seconds}))
        return replace(told, metrics=values, constraints=excesses)


def related(problem: ToyProblem) -> tuple[Source, ...]:
    """Return two related tasks: the problem with its optima moved a little to either side."""
    rng = np.random.default_rng(0)
    drawn = [problem.space.sample(rng) for _ in range(_KNOWN)]
    configs = tuple({problem.space.config_id(config): config for config in drawn}.values())
    shifts = [problem.shift + shift for shift in _SHIFTS]
    tasks = [ToyProblem(f"{problem.name}{shift:+}", problem.space, shift) for shift in shifts]
    return tuple(
        Source(task.name, configs, tuple(task.query(config) for config in configs))
        for task in tasks
    )


def bowl() -> ToyProblem:
    """Return 5 x 7 x 3 configurations, like a small table."""
    return ToyProblem("bowl", toy_bowl().space)


def sphere() -> ToyProblem:
    """Return three real axes."""
    return ToyProblem("sphere", toy_sphere().space)


def mixed() -> ToyProblem:
    """Return every kind of axis, one of them with a single value."""
    return ToyProblem(
        "mixed",
        Space(
            (
                Categorical("modules", ("q", "v", "qv")),
                Integer("warmup_steps", 0, 100),
                Integer("batch", 1, 64, log=True),
                Float("lr", 1e-5, 1e-2, log=True),
                Ordinal("rank", (1, 2, 4, 8)),
                Ordinal("epochs", (3,)),
            )
        ),
    )


def names() -> ToyProblem:
    """Return an axis of forty names and an axis of one."""
    templates = tuple(f"template-{number}" for number in range(40))
    axes = (Categorical("template", templates), Categorical("loss", ("nll",)))
    return ToyProblem("names", Space((*axes, Float("lr", 1e-5, 1e-2, log=True))))


def integers() -> ToyProblem:
    """Return integer ranges only."""
    axes = (
        Integer("warmup", 0, 100),
        Integer("batch", 1, 1000, log=True),
        Integer("shift", -5, 5),
    )
    return ToyProblem("integers", Space(axes))


def axis() -> ToyProblem:
    """Return a single real axis."""
    return ToyProblem("axis", Space((Float("lr", 1e-5, 1e-2, log=True),)))


def tiny() -> ToyProblem:
    """Return eight configurations."""
    axes = (Ordinal("rank", (1, 2)), Ordinal("dropout", (0.0, 0.1)), Integer("epochs", 1, 2))
    return ToyProblem("tiny", Space(axes))


def single() -> ToyProblem:
    """Return one configuration."""
    return ToyProblem("single", Space((Ordinal("rank", (8,)), Categorical("modules", ("qv",)))))


def shares() -> ToyProblem:
    """Return proportions with levels, 15 combinations of quarters, beside another axis."""
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    names = ("share_chat", "share_code", "share_maths")
    axes = (Ordinal("rank", (1, 2, 4)), *(Ordinal(name, quarters) for name in names))
    return ToyProblem("shares", Space(axes, (Simplex("share", names),)))


def mixture() -> ToyProblem:
    """Return proportions that are ranges, two of them with a least share."""
    names = ("chat", "code", "maths")
    low = (0.0, 0.1, 0.2)
    axes = [Float(name, least, 1.0) for name, least in zip(names, low, strict=True)]
    return ToyProblem("mixture", Space(tuple(axes), (Simplex("share", names),)))
