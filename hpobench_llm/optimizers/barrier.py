"""Constraints without units, for methods that see by how much one is broken."""

from collections.abc import Sequence

from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation

LEAST, MOST = 1e-6, 1e6


def relative_excesses(constraints: Sequence[Constraint], evaluation: Evaluation) -> list[float]:
    """Return how far a trial is beyond each bound, in multiples of the bound; kept: at most 0.

    So bytes and seconds can be added up. Where a bound is 0 the excess keeps its unit. What is
    beyond is so by a millionth at least, as NOMAD takes the square of less for 0, and by a million
    at most, as it crashes on infinity: that is what a quantity counts as that was not measured.
    """
    found = []
    for constraint in constraints:
        excess = evaluation.constraints[constraint.name] / (abs(constraint.bound) or 1.0)
        low, high = (LEAST, MOST) if excess > 0 else (-MOST, 0.0)
        found.append(min(max(excess, low), high))
    return found
