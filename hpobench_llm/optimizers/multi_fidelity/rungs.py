"""What multi-fidelity methods share: the rungs of a fidelity axis, and who searches in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers.base import (
    Optimizer,
    SingleObjectiveOptimizer,
    Suggestion,
    Trial,
)
from hpobench_llm.space import Configuration

ETA = 3  # the reduction factor of Li et al. (2018); Jamieson and Talwalkar (2016) leave it open


@dataclass(frozen=True, slots=True)
class RungMember:
    """A finished trial on a rung: its number, its configuration and its losses."""

    number: int
    config: Configuration
    losses: tuple[float, ...]
    ok: bool

    @property
    def loss(self) -> float:
        """The loss of the first objective, and mostly the only one."""
        return self.losses[0]


def rung_values(axis: Fidelity, eta: int) -> tuple[int | float, ...]:
    """Return the values at which runs are compared, the last in full.

    The ideal values are `lowest * eta**k`, from the lowest measured value above zero on. Each is
    rounded up to the next measured value.
    """
    measured = [value for value in axis.values if value > 0]
    rungs: list[int | float] = []
    ideal = float(measured[0])
    while ideal < axis.full:
        # `ideal` may lie a rounding error above the value that it stands for.
        rungs.append(next(value for value in measured if value >= ideal * (1 - 1e-12)))
        ideal *= eta
    return tuple(dict.fromkeys([*rungs, axis.full]))  # coarse axes give a value twice


class RungOptimizer(Optimizer):
    """An optimizer along the first fidelity axis; further axes stay in full.

    Configurations are independent uniform draws unless a method says otherwise.
    """

    eta = ETA

    def check(self) -> None:
        """Refuse an axis without anything below the full value."""
        super().check()
        if not self.fidelities or len(rung_values(self.fidelities[0], self.eta)) < 2:
            raise OptimizerError(
                f"{type(self).__name__} is a multi-fidelity method, and this benchmark has no "
                "fidelity below the full one"
            )

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._axis = self.fidelities[0].name
        self.rungs = rung_values(self.fidelities[0], self.eta)
        self.rng = np.random.default_rng(self.seed)

    def on_rung(self, rung: int, promoted: "RungMember | None") -> Suggestion:
        """Return a suggestion on a rung (0: the lowest): the promoted member, or a new one."""
        level = {self._axis: self.rungs[rung]}
        if promoted is None:
            return Suggestion(self.sample(), level)
        return Suggestion(promoted.config, level, promoted.number)

    def member(self, trial: Trial, evaluation: Evaluation) -> "RungMember":
        """Return a finished trial as a member of its rung."""
        ok = evaluation.status == "ok"
        losses = tuple(evaluation.loss(metric) for metric in self.objectives)
        return RungMember(trial.number, trial.config, losses, ok)

    def sample(self) -> Configuration:
        """Return a new configuration."""
        return self.space.sample(self.rng)


class MultiFidelityOptimizer(RungOptimizer, SingleObjectiveOptimizer):
    """A `RungOptimizer` of exactly one objective."""


def best(rung: Sequence[RungMember], count: int) -> list[RungMember]:
    """Return the `count` best that did not fail, ties by age."""
    sound = (member for member in rung if member.ok)
    return sorted(sound, key=lambda member: (member.loss, member.number))[:count]
