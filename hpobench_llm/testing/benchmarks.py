"""Closed-form benchmarks for the contract: every kind of axis, two objectives, related tasks."""

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
_EVALUATIONS = 24  # of a related task


class TwoLossToy(ToyBenchmark):
    """A toy with a second loss, `far`, whose optimum is at 0.7 on every axis.

    Args:
        name: of the benchmark.
        space: any.
        shift: how far both optima lie from those of the unshifted benchmark: a related task.
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
        evaluation = super().query(config, fidelity=fidelity, seed=seed, metrics=("val_loss",))
        unit = self.space.to_unit([self.space.canonical(config)]) - self.shift
        loss = float(((unit - 0.3) ** 2).sum()) + 1.0 / evaluation.cost_seconds
        values = {"val_loss": loss, "score_toy": -loss, "far": float(((unit - 0.7) ** 2).sum())}
        excesses = dict(self._excesses(values | {"cost_seconds": evaluation.cost_seconds}))
        return replace(evaluation, metrics=values, constraints=excesses)


def related(benchmark: TwoLossToy) -> tuple[Source, ...]:
    """Return two related tasks: the benchmark with its optima moved a little to either side."""
    rng = np.random.default_rng(0)
    drawn = [benchmark.space.sample(rng) for _ in range(_EVALUATIONS)]
    # A draw from a small space may repeat a configuration; a source holds each once.
    configs = tuple({benchmark.space.config_id(config): config for config in drawn}.values())
    shifts = [benchmark.shift + shift for shift in _SHIFTS]
    tasks = [TwoLossToy(f"{benchmark.name}{shift:+}", benchmark.space, shift) for shift in shifts]
    return tuple(
        Source(task.name, configs, tuple(task.query(config) for config in configs))
        for task in tasks
    )


def bowl() -> TwoLossToy:
    """Return 5 x 7 x 3 configurations, like a small table."""
    return TwoLossToy("bowl", toy_bowl().space)


def sphere() -> TwoLossToy:
    """Return three real axes."""
    return TwoLossToy("sphere", toy_sphere().space)


def mixed() -> TwoLossToy:
    """Return every kind of axis, one of them with a single value."""
    return TwoLossToy(
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


def names() -> TwoLossToy:
    """Return an axis of forty names and an axis of one."""
    templates = tuple(f"template-{number}" for number in range(40))
    axes = (Categorical("template", templates), Categorical("loss", ("nll",)))
    return TwoLossToy("names", Space((*axes, Float("lr", 1e-5, 1e-2, log=True))))


def integers() -> TwoLossToy:
    """Return integer ranges only."""
    axes = (
        Integer("warmup", 0, 100),
        Integer("batch", 1, 1000, log=True),
        Integer("shift", -5, 5),
    )
    return TwoLossToy("integers", Space(axes))


def axis() -> TwoLossToy:
    """Return a single real axis."""
    return TwoLossToy("axis", Space((Float("lr", 1e-5, 1e-2, log=True),)))


def tiny() -> TwoLossToy:
    """Return eight configurations."""
    axes = (Ordinal("rank", (1, 2)), Ordinal("dropout", (0.0, 0.1)), Integer("epochs", 1, 2))
    return TwoLossToy("tiny", Space(axes))


def single() -> TwoLossToy:
    """Return one configuration."""
    return TwoLossToy("single", Space((Ordinal("rank", (8,)), Categorical("modules", ("qv",)))))


def shares() -> TwoLossToy:
    """Return proportions with levels, 15 combinations of quarters, beside another axis."""
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    names = ("share_chat", "share_code", "share_maths")
    axes = (Ordinal("rank", (1, 2, 4)), *(Ordinal(name, quarters) for name in names))
    return TwoLossToy("shares", Space(axes, (Simplex("share", names),)))


def mixture() -> TwoLossToy:
    """Return proportions that are ranges, two of them with a least share."""
    names = ("chat", "code", "maths")
    low = (0.0, 0.1, 0.2)
    axes = [Float(name, least, 1.0) for name, least in zip(names, low, strict=True)]
    return TwoLossToy("mixture", Space(tuple(axes), (Simplex("share", names),)))
