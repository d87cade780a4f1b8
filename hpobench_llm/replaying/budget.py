"""What a replay may spend: evaluations, simulated seconds, tokens, or steps of a fidelity axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpobench_llm.errors import ConfigurationError, UnknownNameError
from hpobench_llm.metrics import Fidelity

EVALUATIONS, SECONDS, TOKENS = "evaluations", "seconds", "tokens"
UNITS = (EVALUATIONS, SECONDS, TOKENS)
# What an optimizer plans with where nobody knows how many trials it can have: it shall not stop.
MANY_TRIALS = 1_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """An `amount` of a `unit`: one of `UNITS`, or a fidelity axis (steps, epochs).

    Trials of all workers are added up. Seconds are those of the simulated clock, not the sum over
    the workers: when they have passed, all that still runs is ended and counts for nothing. In
    every other unit a trial that would overrun the budget is not begun, and none after it.
    """

    unit: str
    amount: float

    @staticmethod
    def of(spec: object, fidelities: Sequence[Fidelity] = ()) -> "Budget":
        """Return a budget: a whole number counts evaluations, a mapping names another unit.

        Raises:
            ConfigurationError: it is not a positive amount of one unit.
            UnknownNameError: there is no such unit.
        """
        amounts = spec if isinstance(spec, Mapping) else {EVALUATIONS: spec}
        if len(amounts) != 1:
            raise ConfigurationError(f"`budget`: one unit is expected, got {dict(amounts)!r}")
        ((unit, amount),) = amounts.items()
        axes = [axis.name for axis in fidelities]
        if unit not in UNITS and unit not in axes:
            raise UnknownNameError("unit", unit, [*UNITS, *axes], "`budget`")
        counts = unit == EVALUATIONS
        kinds = int if counts else int | float
        if isinstance(amount, bool) or not isinstance(amount, kinds) or not 0 < amount < math.inf:
            rule = "a whole number of at least 1" if counts else f"more than 0 {unit}"
            raise ConfigurationError(f"`budget`: {rule}, got {amount!r}")
        return Budget(str(unit), amount)

    def trials(self, fidelities: Sequence[Fidelity], *, in_part: bool) -> int:
        """Return the number of trials that an optimizer plans with, at least 1.

        Evaluations are counted. Of steps it is the number of trials in full, which is all that an
        optimizer can have that runs none `in_part`.

        Example:
            >>> from hpobench_llm.metrics import Fidelity
            >>> steps = Fidelity(name="step", unit="updates", values=(0, 24, 96))
            >>> Budget("step", 4800).trials((steps,), in_part=False)
            50
        """
        if self.unit == EVALUATIONS:
            return int(self.amount)
        longest = [axis.values[-1] for axis in fidelities if axis.name == self.unit]
        if in_part or not longest:
            return MANY_TRIALS
        return max(1, int(self.amount / longest[0] + 1e-9))
