"""What related tasks tell: their losses, and their configurations from the best on."""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.base import Source
from hpobench_llm.optimizers.pareto import epsilon_net, fronts
from hpobench_llm.space import Configuration, config_id


def losses(source: Source, objectives: Sequence[Metric]) -> NDArray[np.float64]:
    """Return the losses `(n, k)` of a source; NaN where an evaluation failed or is infeasible."""
    rows = [
        [evaluation.loss(metric) for metric in objectives]
        if evaluation.status == "ok" and evaluation.feasible
        else [np.nan] * len(objectives)
        for evaluation in source.evaluations
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def ranked(source: Source, objectives: Sequence[Metric]) -> list[list[Configuration]]:
    """Return the sound configurations of a source in levels of equal value, the best first.

    For one objective a level is one distinct loss, in the order of the source; for several a
    non-dominated front, well spread from its beginning.
    """
    source_losses = losses(source, objectives)
    sound = np.flatnonzero(np.isfinite(source_losses).all(axis=1))
    if len(objectives) == 1:
        values = source_losses[sound, 0]
        levels = [sound[values == value] for value in np.unique(values)]
    else:
        levels = [
            sound[front][epsilon_net(source_losses[sound[front]])]
            for front in fronts(source_losses[sound])
        ]
    return [[source.configs[row] for row in level] for level in levels]


def best_of_all(
    sources: Sequence[Source],
    objectives: Sequence[Metric],
    count: int,
    exclude: Iterable[Configuration] = (),
    shuffle: np.random.Generator | None = None,
) -> list[Configuration]:
    """Return up to `count` distinct configurations: the best of each source, the second, ...

    The queue of Hellan et al. (2023): at every level the newest source has its turn first. Where
    several configurations of a source share the level, it gives one of them and comes again after
    the others. `shuffle` draws another order of the sources at every level. Configurations in
    `exclude` are passed over.
    """
    tasks = [ranked(source, objectives) for source in reversed(sources)]  # the newest first
    excluded = {config_id(config) for config in exclude}
    best: dict[str, Configuration] = {}
    for level in range(max((len(task) for task in tasks), default=0)):
        turns = [deque(task[level]) for task in tasks if level < len(task)]
        if shuffle is not None:
            turns = [turns[index] for index in shuffle.permutation(len(turns))]
        queue = deque(turns)
        while queue and len(best) < count:
            tied = queue.popleft()
            config = tied.popleft()
            name = config_id(config)
            if name not in excluded:
                best.setdefault(name, config)  # one that two sources share counts once
            if tied:  # it comes again after the others have had a turn
                queue.append(tied)
    return list(best.values())
