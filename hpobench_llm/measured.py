"""A space with only some configurations: those that a sparse table has measured."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from hpobench_llm.space import Configuration, Space, check_seed

DENSE, SPARSE = "dense", "sparse"


@dataclass(frozen=True, slots=True)
class MeasuredSpace(Space):
    """A space whose draws are `measured` configurations, each as likely as any other.

    With draws from the whole product, a configuration that lies between others would hardly ever
    be the nearest one. Axes, encoding and valid configurations are those of the product.
    """

    measured: tuple[Configuration, ...] = field(kw_only=True, compare=False, repr=False)

    def configurations(self) -> Iterator[Configuration]:
        """Yield every measured configuration."""
        yield from map(dict, self.measured)

    def sample(self, rng: np.random.Generator | int) -> Configuration:
        """Draw one measured configuration. See `Space.sample`."""
        if not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(check_seed(rng, "rng"))
        return dict(self.measured[int(rng.integers(len(self.measured)))])


def density(space: Space, count: int) -> str:
    """Say whether so many configurations are all of a space: `dense` or `sparse`, and a colon."""
    size = space.size
    if size == count:
        return f"{DENSE}: all {size} configurations of its grid"
    return f"{SPARSE}: {count} configurations of {size or 'a space that is no grid'}"
