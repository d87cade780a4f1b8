"""Constraints without units, for methods that see by how much one is broken."""

from collections.abc import Sequence

from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation

LEAST, MOST = 1e-6, 1e6


def relative_excesses(constraints: Sequence[Constraint], evaluation: Evaluation) -> list[float]:
    """Return how far a trial is beyond each bound, in multiples of the bound; kept: at most 0.

    So bytes and seconds can be added up. Where a bound is 0 the excess keeps its unit. An excess
    above 0 counts as a millionth at least, since NOMAD takes the square of less for 0, and as a
    million at most, since NOMAD crashes on infinity. A quantity that was not measured counts as a
    million.
    """
    excesses = []
    for constraint in constraints:
        excess = evaluation.constraints[constraint.name] / (abs(constraint.bound) or 1.0)
        low, high = (LEAST, MOST) if excess > 0 else (-MOST, 0.0)
        excesses.append(min(max(excess, low), high))
    return excesses
