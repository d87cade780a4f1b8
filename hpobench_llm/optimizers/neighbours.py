"""The neighbourhood that evolution and local search share: one axis takes another value."""

import numpy as np

from hpobench_llm.space import Configuration, Space


def neighbour(space: Space, config: Configuration, rng: np.random.Generator) -> Configuration:
    """Return a configuration that differs from `config` on exactly one axis.

    The axis is drawn uniformly among those with more than one value, its new value as in
    `Space.sample` until it is another one: uniformly among the other levels of a finite axis,
    anywhere in a range. All proportions of a simplex count as one axis. A space with one
    configuration has no neighbour: it is returned itself.
    """
    axes = [f.names for f in space.factors if f.points is None or len(f.points) > 1]
    if not axes:
        return dict(config)
    names = axes[int(rng.integers(len(axes)))]
    # Drawn until it differs: `sample` knows how each axis is drawn, and a simplex as one.
    while True:
        drawn = space.sample(rng)
        if any(drawn[name] != config[name] for name in names):
            return config | {name: drawn[name] for name in names}
