"""Any optimizer, with the best configurations of related tasks as the end of its initial design.

Feurer, Springenberg and Hutter, "Initializing Bayesian hyperparameter optimization via
meta-learning", AAAI 2015, for the idea; the order is that of Hellan, Shen, Aubet, Salinas and
Klein, "Obeying the order: introducing ordered transfer hyperparameter optimisation", 2023.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Optimizer, Source
from hpobench_llm.optimizers.transfer.knowledge import best_of_all
from hpobench_llm.space import Configuration


def warm_start(
    make: Callable[..., Optimizer],
    count: int,
    *,
    sources: Sequence[Source],
    objectives: Sequence[Metric],
    initial: Sequence[Configuration],
    **arguments: Any,
) -> Optimizer:
    """Return an optimizer that evaluates `count` configurations of the sources first, in full.

    They follow a study's own initial design, count towards the budget, and are learned of as that
    is. Their order: `best_of_all`, the newest source first. A configuration that failed on a
    source is not its candidate, and one that is in the design already is not tried again; where
    the sources have fewer than `count`, there are fewer. Default: 5, as in the paper.
    """
    # Part of the initial design, so that the method learns of them like of any others.
    first = best_of_all(sources, objectives, count, exclude=initial)
    return make(sources=sources, objectives=objectives, initial=[*initial, *first], **arguments)
