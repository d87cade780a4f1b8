"""The neighbourhood that evolution and local search share: one axis takes another value."""

import numpy as np

from hpobench_llm.space import Configuration, Dimension, Space


def neighbour(space: Space, config: Configuration, rng: np.random.Generator) -> Configuration:
    """Return a configuration that differs from `config` on exactly one axis.

    The axis is drawn uniformly among those with more than one value, its new value as in
    `Space.sample` until it is another one: uniformly among the other levels of a finite axis,
    anywhere in a range. A space with one configuration has no neighbour: it is returned itself.
    """
    axes = [d.name for d in space if not _fixed(d)]
    if not axes:
        return dict(config)
    name = axes[int(rng.integers(len(axes)))]
    while (value := space.sample(rng)[name]) == config[name]:
        pass
    return config | {name: value}


def _fixed(dimension: Dimension) -> bool:
    return dimension.levels is not None and len(dimension.levels) == 1
